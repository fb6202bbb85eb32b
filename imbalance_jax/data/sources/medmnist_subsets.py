"""What the twelve two-dimensional subsets of MedMNIST and MedMNIST+ are (Yang et al. 2023)."""

from typing import NamedTuple

ORGANS = (
    'bladder',
    'femur-left',
    'femur-right',
    'heart',
    'kidney-left',
    'kidney-right',
    'liver',
    'lung-left',
    'lung-right',
    'pancreas',
    'spleen',
)


class Subset(NamedTuple):
    """One subset of MedMNIST.

    task: 'multi_label', 'multi_class' (also of ordered grades), or 'binary' (one class, `positive`)
    values: names of the label's values 0, 1, ... or of its columns; positive: the value of a binary one that is the
    class; counts: images of train, validation, test as published; family: whose images these are; ordinal: whether the
    order of the classes means something
    """

    task: str
    values: tuple[str, ...]
    counts: tuple[int, int, int]
    modality: str
    family: str
    channels: int = 1
    positive: int = 1
    licence: str = 'CC BY 4.0'
    ordinal: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels."""
        return (self.values[self.positive],) if self.task == 'binary' else self.values


SUBSETS = {
    'pathmnist': Subset(
        'multi_class',
        (
            'adipose',
            'background',
            'debris',
            'lymphocytes',
            'mucus',
            'smooth muscle',
            'normal colon mucosa',
            'cancer-associated stroma',
            'colorectal adenocarcinoma epithelium',
        ),
        (89996, 10004, 7180),
        'microscopy',
        'nct_crc',
        channels=3,
    ),
    'chestmnist': Subset(
        'multi_label',
        (
            'atelectasis',
            'cardiomegaly',
            'effusion',
            'infiltration',
            'mass',
            'nodule',
            'pneumonia',
            'pneumothorax',
            'consolidation',
            'edema',
            'emphysema',
            'fibrosis',
            'pleural',
            'hernia',
        ),
        (78468, 11219, 22433),
        'radiograph',
        'nih',
    ),
    'dermamnist': Subset(
        'multi_class',
        (
            'actinic keratoses and intraepithelial carcinoma',
            'basal cell carcinoma',
            'benign keratosis-like lesions',
            'dermatofibroma',
            'melanoma',
            'melanocytic nevi',
            'vascular lesions',
        ),
        (7007, 1003, 2005),
        'dermoscopy',
        'ham10000',
        channels=3,
        licence='CC BY-NC 4.0',
    ),
    'octmnist': Subset(
        'multi_class',
        ('choroidal neovascularization', 'diabetic macular edema', 'drusen', 'normal'),
        (97477, 10832, 1000),
        'oct',
        'kermany_oct',
    ),
    'pneumoniamnist': Subset('binary', ('normal', 'pneumonia'), (4708, 524, 624), 'radiograph', 'kermany_chest'),
    'retinamnist': Subset(
        'multi_class',
        tuple(f'grade {grade}' for grade in range(5)),  # the file's names are 0 to 4, which tables read as numbers
        (1080, 120, 400),
        'photograph',
        'deepdrid',
        channels=3,
        ordinal=True,
    ),
    'breastmnist': Subset('binary', ('malignant', 'normal, benign'), (546, 78, 156), 'ultrasound', 'busi', positive=0),
    'bloodmnist': Subset(
        'multi_class',
        (
            'basophil',
            'eosinophil',
            'erythroblast',
            'immature granulocytes(myelocytes, metamyelocytes and promyelocytes)',
            'lymphocyte',
            'monocyte',
            'neutrophil',
            'platelet',
        ),
        (11959, 1712, 3421),
        'microscopy',
        'acevedo_blood',
        channels=3,
    ),
    'tissuemnist': Subset(
        'multi_class',
        (
            'Collecting Duct, Connecting Tubule',
            'Distal Convoluted Tubule',
            'Glomerular endothelial cells',
            'Interstitial endothelial cells',
            'Leukocytes',
            'Podocytes',
            'Proximal Tubule Segments',
            'Thick Ascending Limb',
        ),
        (165466, 23640, 47280),
        'microscopy',
        'bbbc051',
    ),
    'organamnist': Subset('multi_class', ORGANS, (34561, 6491, 17778), 'ct', 'lits'),
    'organcmnist': Subset('multi_class', ORGANS, (12975, 2392, 8216), 'ct', 'lits'),
    'organsmnist': Subset('multi_class', ORGANS, (13932, 2452, 8827), 'ct', 'lits'),
}

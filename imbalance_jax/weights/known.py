"""Published weights that a file may be: what they are of, what they want of an image, and whose images they know."""

import re
from dataclasses import dataclass

from imbalance_jax.weights.stored import Stored


@dataclass(frozen=True)
class Preprocessing:
    """What weights want of an image.

    Grey values in 0..1 become low + (high - low) x, then mean is subtracted and std divided by, one number per channel.
    The shorter side is resized to `resize` pixels and the middle `crop` x `crop` is cut out. source: who says so.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: float = 0.0
    high: float = 1.0
    channels: int = 3
    resize: int = 256
    crop: int = 224
    interpolation: str = 'bilinear'
    source: str = ''


@dataclass(frozen=True)
class Known:
    """Published weights.

    architecture: a name of `models.MODELS`; trained_on: families of images, as data sets have them; classes: what the
    outputs are, in their order, '' for one that was not trained; accuracy: top-1 on ImageNet in per cent as published.
    """

    name: str
    architecture: str
    preprocessing: Preprocessing
    trained_on: tuple[str, ...]
    classes: tuple[str, ...] = ()
    sha256: str = ''
    accuracy: float = 0.0


MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _imagenet(resize: int = 256) -> Preprocessing:
    return Preprocessing(MEAN, STD, resize=resize, source='torchvision')


def _torchvision(name: str, architecture: str, sha256: str, accuracy: float, resize: int = 256) -> tuple[str, Known]:
    """The file's name without its hash, and what it is. sha256: its first 8 digits, or all where they are public."""
    return f'{architecture}-{sha256[:8]}', Known(
        f'torchvision {name}', architecture, _imagenet(resize), ('imagenet',), sha256=sha256, accuracy=accuracy
    )


# torchvision's files have the first 8 digits of their sha256 in their names.
TORCHVISION = dict(
    (
        _torchvision('ResNet18_Weights.IMAGENET1K_V1', 'resnet18', 'f37072fd', 69.758),
        _torchvision('ResNet34_Weights.IMAGENET1K_V1', 'resnet34', 'b627a593', 73.314),
        _torchvision('ResNet50_Weights.IMAGENET1K_V1', 'resnet50', '0676ba61', 76.130),
        _torchvision('ResNet50_Weights.IMAGENET1K_V2', 'resnet50', '11ad3fa6', 80.858, 232),
        _torchvision('DenseNet121_Weights.IMAGENET1K_V1', 'densenet121', 'a639ec97', 74.434),
        _torchvision(
            'MobileNet_V2_Weights.IMAGENET1K_V1',
            'mobilenet_v2',
            'b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889',
            71.878,
        ),
        _torchvision('MobileNet_V2_Weights.IMAGENET1K_V2', 'mobilenet_v2', '7ebf99e0', 72.154, 232),
        _torchvision('ConvNeXt_Tiny_Weights.IMAGENET1K_V1', 'convnext_tiny', '983f1562', 82.520, 236),
    )
)
PATHOLOGIES = (
    'Atelectasis', 'Consolidation', 'Infiltration', 'Pneumothorax', 'Edema', 'Emphysema', 'Fibrosis', 'Effusion',
    'Pneumonia', 'Pleural_Thickening', 'Cardiomegaly', 'Nodule', 'Mass', 'Hernia', 'Lung Lesion', 'Fracture',
    'Lung Opacity', 'Enlarged Cardiomediastinum',
)  # fmt: skip
CHEXPERT = frozenset((0, 1, 3, 4, 7, 8, 10, 14, 15, 16, 17))  # of these, those that CheXpert and MIMIC label
# Names of torchxrayvision's sets -> families. RSNA's images are NIH's, and `google` are new labels of NIH's.
RADIOGRAPHS: dict[str, tuple[tuple[str, ...], frozenset[int]]] = {
    'nih-pc-chex-mimic_ch-google-openi-kaggle': (
        ('nih', 'padchest', 'chexpert', 'mimic', 'openi', 'rsna'),
        frozenset(range(18)),
    ),
    'nih': (('nih',), frozenset(range(14))),
    'pc': (('padchest',), frozenset((*range(14), 15))),
    'chex': (('chexpert',), CHEXPERT),
    'kaggle': (('rsna', 'nih'), frozenset((8, 16))),
    'mimic_nb': (('mimic',), CHEXPERT),
    'mimic_ch': (('mimic',), CHEXPERT),
}
XRV_RESNET = 'pc-nih-rsna-siim-vin-resnet50-test512-e400-state'


def _radiographs(size: int) -> Preprocessing:
    return Preprocessing((0.0,), (1.0,), -1024.0, 1024.0, 1, resize=size, crop=size, source='torchxrayvision')


def _torchxrayvision() -> dict[str, Known]:
    """The weights of torchxrayvision by the names of their files, which carry no hash."""
    tail = '-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best'
    result = {}
    for sets, (families, trained) in RADIOGRAPHS.items():
        classes = tuple(name if i in trained else '' for i, name in enumerate(PATHOLOGIES))
        name = f'torchxrayvision {sets}'
        result[sets + tail] = Known(name, 'densenet121', _radiographs(224), families, classes)
    families = ('padchest', 'nih', 'rsna', 'siim', 'vindr')
    name = 'torchxrayvision resnet50-res512-all'
    result[XRV_RESNET] = Known(name, 'resnet50', _radiographs(512), families, PATHOLOGIES)
    return result


TORCHXRAYVISION = _torchxrayvision()
HASHED = re.compile(r'^(.+)-([0-9a-f]{8})\.pth?$')


def known(stored: Stored) -> Known | None:
    """Which published weights a file is: by its sha256, or by its name; None for others.

    Raises ValueError for a file whose name carries another hash than it has: it is damaged, or another file.
    """
    for one in TORCHVISION.values():
        if stored.sha256.startswith(one.sha256):
            return one
    named = HASHED.match(stored.file)
    if named and f'{named[1]}-{named[2]}' in TORCHVISION:
        said = f'its name says that its sha256 begins with {named[2]}, and it begins with {stored.sha256[:8]}'
        raise ValueError(f'{stored.file} is damaged or another file: {said}; download it again, or rename it.')
    return TORCHXRAYVISION.get(stored.file.rsplit('.', 1)[0])

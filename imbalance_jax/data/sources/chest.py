"""What tables of chest radiographs have in common: findings, people, views, and how files spell them."""

from imbalance_jax.data.reader.layout import Group
from imbalance_jax.names import lookup

# The 14 observations of Irvin et al. 2019, "CheXpert" (arXiv 1901.07031), in the order of its tables.
OBSERVATIONS = (
    'No Finding', 'Enlarged Cardiomediastinum', 'Cardiomegaly', 'Lung Opacity', 'Lung Lesion', 'Edema', 'Consolidation',
    'Pneumonia', 'Atelectasis', 'Pneumothorax', 'Pleural Effusion', 'Pleural Other', 'Fracture', 'Support Devices',
)  # fmt: skip
SAME_AS = {'Lung Opacity': ('Airspace Opacity',)}  # as CheXlocalize and MIMIC's test set call it
FRONTAL = ('AP', 'PA', 'AP_horizontal', 'AP AXIAL', 'PA LLD', 'AP LLD', 'AP RLD', 'PA RLD')
LATERAL = ('LATERAL', 'LL', 'L', 'RL')
VIEWS = {'frontal': FRONTAL, 'lateral': LATERAL, 'all': ()}


def sex(column: str) -> Group:
    """Sex by any usual word for it."""
    return Group(column, {'female': ('F', 'Female'), 'male': ('M', 'Male')})


def age(column: str) -> Group:
    """Three bands of ages in years, as of NIH's table."""
    return Group(column, bands=(40, 60))


def view(column: str) -> Group:
    """The projection of a film."""
    return Group(column, {'PA': (), 'AP': ('AP_horizontal', 'AP AXIAL'), 'lateral': LATERAL})


def of_views(column: str, views: str) -> dict[str, tuple[str, ...]]:
    """The rows of a table that `views` keeps: 'frontal', 'lateral' or 'all'."""
    values = lookup(VIEWS, views, 'view (views)')
    return {column: values} if values else {}

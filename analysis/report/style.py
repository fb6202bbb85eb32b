"""How numbers and figures look: one colour and marker per arm throughout, figures as data that need no other file."""

import base64
import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure
from matplotlib.text import Text

# Okabe and Ito's palette for all kinds of colour vision; its black is the reference arm's.
BLACK, GREY = '#000000', '#8A8A8A'
COLOURS = ('#D55E00', '#0072B2', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#F0E442')
MARKERS = 'sD^vP<>XpH'
HEAT = matplotlib.colormaps['plasma']
HEAT_STOPS = [matplotlib.colors.to_hex(HEAT(i / 8)) for i in range(9)]
WIDTH = 4.1  # inches of a panel
LONGEST = 26  # characters of a name in a figure
OWN = ('backend', 'interactive', 'toolbar', 'timezone', 'webagg', 'tk.', 'docstring', 'savefig.directory')


def _defaults() -> dict[str, Any]:
    """What a user's matplotlibrc says otherwise than matplotlib itself, and pages do not take from there."""
    default = matplotlib.rcParamsDefault
    names = [name for name in default if not name.startswith(OWN)]
    return {name: default[name] for name in names if matplotlib.rcParams[name] != default[name]}


RC: dict[Any, Any] = {
    **_defaults(),
    'font.family': 'DejaVu Sans',
    'font.size': 8,
    'axes.titlesize': 9,
    'axes.titleweight': 'bold',
    'axes.titlelocation': 'left',
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.edgecolor': '#555555',
    'axes.axisbelow': True,
    'axes.unicode_minus': True,
    'grid.color': '#E4E4E4',
    'legend.frameon': False,
    'legend.fontsize': 7.5,
    'svg.hashsalt': 'imbalance-jax',
    'text.parse_math': False,  # a class name with dollar signs is a class name
}
LABELS = {
    'auroc': 'AUROC',
    'average_precision': 'average precision',
    'hit_share': 'hit share',
    'pointing_game': 'pointing game',
    'iou': 'IoU',
    'ior': 'IoR',
    'iobb': 'IoBB',
    'empty': 'empty maps',
    'heat_outside_anatomy': 'heat outside the anatomy',
    'saliency': 'Saliency',
    'integrated_gradients': 'Integrated gradients',
    'grad_cam': 'Grad-CAM',
    'grad_cam_plus_plus': 'Grad-CAM++',
    'hires_cam': 'HiRes-CAM',
    'layer_cam': 'Layer-CAM',
    'gradient': 'Gradient',
    'input_x_gradient': 'Input x gradient',
    'smooth_grad': 'SmoothGrad',
    'occlusion': 'Occlusion',
    'random': 'Random map',
    'smooth_grad_squared': 'SmoothGrad squared',
    'var_grad': 'VarGrad',
    'guided_backprop': 'Guided back-propagation',
    'guided_grad_cam': 'Guided Grad-CAM',
    'deconvnet': 'Deconvnet',
    'deeplift': 'DeepLift',
    'information_bottleneck': 'IBA',
    'rise': 'RISE',
    'extremal_perturbation': 'Extremal perturbation',
    'pointing_game_torchray': 'pointing game, TorchRay',
    'pointing_game_quantus': 'pointing game, Quantus',
    'pointing_game_chexlocalize': 'pointing game, CheXlocalize',
    'pixel_auroc': 'pixel AUROC',
    'signed_hit_share': 'signed hit share',
    'signed_pixel_auroc': 'signed pixel AUROC',
    'signed_relevance_rank': 'signed relevance rank',
    'map_rank_distance': 'rank distance of maps',
    'top1': 'top-1',
    'macro_f1': 'macro F1',
    'mcc': 'MCC',
    'quadratic_kappa': 'quadratic kappa',
    'mape': 'MAPE',
    'ece': 'ECE',
    'r2': 'R²',
    'within_class': 'spread within classes (NC1)',
    'equiangular': 'angles of class centres (NC2)',
    'self_dual': 'head beside class centres (NC3)',
    'rankme': 'RankMe',
    'head_auroc': 'AUROC of the own head',
    'probe_auroc': 'AUROC of a probe of the classes',
    'probe_minus_head': 'probe minus own head',
    'natural': 'classes as frequent as they are',
    'balanced': 'classes balanced',
    'centre_cosine': 'cosine of class centres',
    'head_cosine': 'cosine of head vectors',
    'centre_length': 'length of class centres',
    'head_length': 'length of head vectors',
    'centre_slope': 'length of class centres on positives, slope',
    'head_slope': 'length of head vectors on positives, slope',
    'iobb_chestxray8': 'IoBB, ChestX-ray8',
    'miou_otsu': 'mIoU, Otsu',
    'miou_tuned': 'mIoU at 0.5',
    'road': 'ROAD',
    'sensitivity_n': 'sensitivity-n',
}


class Panel(NamedTuple):
    """A picture as a data URI, what it shows in words, and its natural width in CSS pixels."""

    uri: str
    alt: str
    width: int


class Look(NamedTuple):
    """How an arm is drawn."""

    colour: str
    marker: str


def looks(arms: list[str]) -> dict[str, Look]:
    """Arm -> its look: the first, the reference, a black circle; after seven others colours return with new markers."""
    others = {arm: Look(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, arm in enumerate(arms[1:])}
    return {arms[0]: Look(BLACK, 'o'), **others}


def figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure in inches; call it and draw on it within `matplotlib.rc_context(RC)`."""
    return Figure(figsize=(width, height), layout='constrained')


_wording: ContextVar[Callable[[str], str] | None] = ContextVar('wording', default=None)


@contextmanager
def speaking(wording: Callable[[str], str] | None) -> Iterator[None]:
    """Texts of figures that become panels inside are put into words by `wording`, or stay as they are for None."""
    token = _wording.set(wording)
    try:
        yield
    finally:
        _wording.reset(token)


def panel(fig: Figure, alt: str) -> Panel:
    """A figure as SVG, its texts worded (`speaking`); equal figures give equal bytes."""
    file, wording = io.BytesIO(), _wording.get()
    for text in fig.findobj(Text) if wording else ():
        assert isinstance(text, Text)
        text.set_text(wording(text.get_text()))  # type: ignore[misc]  # there is one
    with matplotlib.rc_context(RC):
        fig.savefig(file, format='svg', metadata={'Date': None, 'Creator': None})
    return Panel(data_uri('image/svg+xml', file.getvalue()), alt, round(fig.get_figwidth() * 96))


def data_uri(kind: str, content: bytes) -> str:
    """A file of a MIME type as part of a page."""
    return f'data:{kind};base64,{base64.b64encode(content).decode()}'


def label(name: str) -> str:
    """A metric or method in words."""
    return LABELS.get(name, name.replace('_', ' '))


def capital(text: str) -> str:
    """A text with its first letter in upper case and the others as they are."""
    return text[:1].upper() + text[1:]


def short(name: str) -> str:
    """A name that fits beside an axis."""
    return name if len(name) <= LONGEST else f'{name[: LONGEST - 1]}…'


def number(value: float, digits: int = 3) -> str:
    """0.812, or an en dash where there is no number."""
    return f'{round(value, digits) + 0.0:.{digits}f}'.replace('-', '−') if math.isfinite(value) else '–'


def signed(value: float, digits: int = 3) -> str:
    """As `number`, with its sign in front also where it is positive."""
    return ('+' if math.isfinite(value) and round(value, digits) > 0 else '') + number(value, digits)


def spread(mean: float, deviation: float, digits: int = 3) -> str:
    """0.812 ± 0.004; a single seed has no deviation."""
    return f'{number(mean, digits)} ± {number(deviation, digits)}' if math.isfinite(deviation) else number(mean, digits)


def with_interval(estimate: float, low: float, high: float) -> tuple[str, str]:
    """+0.012 and [+0.001, +0.023], with more than three digits where three would show an end that is not 0 as 0.

    An interval that is undefined is not shown.
    """
    if not math.isfinite(low) or not math.isfinite(high):
        return signed(estimate), ''
    digits = 3
    while digits < 6 and excludes_zero(low, high) and 0 in (round(low, digits), round(high, digits)):
        digits += 1
    return signed(estimate, digits), f'[{signed(low, digits)}, {signed(high, digits)}]'


def excludes_zero(low: float, high: float) -> bool:
    """Whether 0 lies outside an interval; never so for one that is undefined."""
    return bool(low > 0 or high < 0)


def whole(value: float) -> str:
    """1,234, or an en dash where there is no number."""
    return f'{value:,.0f}' if math.isfinite(value) else '–'


def probability(p: float) -> str:
    """p with three digits, a very small one as a bound."""
    return '–' if not math.isfinite(p) else ('< 0.001' if p < 0.001 else number(p))


def percent(share: float) -> str:
    """A share as a whole percentage."""
    return f'{100 * share:.0f} %' if math.isfinite(share) else '–'


def interval(low: float, high: float, digits: int = 1) -> str:
    """[low, high], '' where it is undefined."""
    return f'[{number(low, digits)}, {number(high, digits)}]' if math.isfinite(low) and math.isfinite(high) else ''


def plural(count: int, noun: str) -> str:
    """'1 arm', '2 arms'."""
    return f'{count} {noun}{"s" if count != 1 else ""}'

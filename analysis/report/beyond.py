"""The section on what AUROC does not show: arms in the plane of AUROC and what maps and units are."""

from typing import Any

from imbalance_jax.analysis.report import planes
from imbalance_jax.analysis.report.figures import Mark
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import Look, Panel, label
from imbalance_jax.analysis.report.values import Outcome


def section(study: Study, look: dict[str, Look]) -> dict[str, Any]:
    """What the template lays out."""
    return {'panels': panels(study, look)}


def panels(study: Study, look: dict[str, Look]) -> list[Panel]:
    """The primary measure of maps, and detectors, against macro AUROC."""
    shown, auroc = [], marks(study, study.ranked('auroc'))
    for method in study.methods:
        measure = study.primary(method) or 'hit_share'
        up = marks(study, study.aligned(method, measure))
        axes, title = ('macro AUROC', f'macro {label(measure)}'), f'{label(method)} {label(measure)}'
        shown.append(planes.scatter(title, axes, look, auroc, up))
    if study.dissected:
        detectors = marks(study, study.counted('detector_units'))
        shown.append(planes.scatter('Detector units', ('macro AUROC', 'detector units'), look, auroc, detectors))
    return shown


def marks(study: Study, outcome: Outcome) -> dict[str, Mark]:
    """Arm -> its mean over seeds with the interval."""
    return {arm: Mark(*outcome.interval(arm)) for arm in study.arms}

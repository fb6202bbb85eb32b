"""Studies on one page differ in one thing, the dose: anything else would be taken for its effect."""

from collections.abc import Mapping, Sequence
from typing import Any

from imbalance_jax.analysis.report.study import Study

FREE = ('question', 'population')  # what may differ beside the dose


def check(studies: Sequence[Study], dose: tuple[str, ...]) -> None:
    """ValueError for two studies that differ in another field of the config than `dose`, the path of one."""
    first = studies[0]
    for study in studies:
        for name in {**first.config, **study.config}:
            one, other = (_without(of.config.get(name), dose[1:] if dose[0] == name else ()) for of in (study, first))
            if name not in FREE and one != other:
                both = f'{study.folder} and {first.folder}'
                raise ValueError(f'{both} differ in config.{name}, not only in config.{".".join(dose)}.')


def _without(value: Any, path: tuple[str, ...]) -> Any:
    """A block without the field at that path; () is of none."""
    if not path or not isinstance(value, Mapping):
        return value
    rest = {key: one for key, one in value.items() if key != path[0]}
    return rest if len(path) == 1 else {**rest, path[0]: _without(value.get(path[0]), path[1:])}

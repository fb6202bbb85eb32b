"""What verbs need of the folders beside the package, which the package does not import."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from imbalance_jax.sweep.plan import Job


class Outside(NamedTuple):
    """The fields, the pages and the program.

    base: every field of a config with its default; report: a working directory's page; sweep_report: that of finished
    populations; program: the command line of this console script.
    """

    base: Callable[[], 'ConfigDict']
    report: Callable[[Path], Path]
    sweep_report: Callable[[list['Job']], Path]
    program: list[str]

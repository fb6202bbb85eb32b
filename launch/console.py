"""The console script `imbalance-jax`: the package's verbs, with the fields and the pages that stand beside it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from imbalance_jax import cli
from imbalance_jax.system import signals

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from imbalance_jax.sweep.plan import Job

# Without -P, a random.py or a configs/ in the current folder would be taken for what it is called like.
PROGRAM = [sys.executable, '-P', '-m', 'imbalance_jax.launch.console']
LAST = 20  # seconds that threads of libraries may take to end after an error was said


def base() -> 'ConfigDict':
    """Every field of a config with its default."""
    from imbalance_jax.configs import base

    return base.get_config()


def report(workdir: Path) -> Path:
    """The page of a working directory."""
    from imbalance_jax.analysis.report import page

    return page.write(workdir)


def sweep_report(jobs: list['Job']) -> Path:
    """The page of a sweep's finished populations."""
    from imbalance_jax.analysis.sweeps import sweep

    return sweep.write(jobs)


def main() -> None:
    """Entry point."""
    try:
        cli.main(cli.Outside(base, report, sweep_report, PROGRAM))
    except SystemExit as error:
        if error.code not in (None, 0, signals.RESUMABLE):
            signals.end_within(LAST, error.code if isinstance(error.code, int) else 1)
        raise


if __name__ == '__main__':
    main()

"""Stage `audit`: what known mistakes of the study's code do to the results."""

from pathlib import Path

from imbalance_jax.explain import outputs
from imbalance_jax.results import audit
from imbalance_jax.system.workdir import read_table
from imbalance_jax.training.trained import SPLIT, Stage, Trained


def run(trained: Trained, workdir: Path) -> None:
    """results/audit, from the tables of training and of the stages before it."""
    tables = {name: read_table(workdir, name) for name in ('performance', 'alignment', 'concepts')}
    of_test = {name: table[table['split'] == SPLIT] for name, table in tables.items()}
    outputs.write_rows(workdir, 'audit', audit.rows(outputs.population(trained), of_test))


STAGE = Stage(run=run, tables=('audit',))

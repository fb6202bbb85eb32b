"""From a trained population to what it learned: alignment of maps with findings, and concepts in units.

Every part leaves one file in `explain/` when it is done, so that interrupted work goes on with the next part, and the
tables in `results/` are made from those files alone.
"""

from pathlib import Path

from imbalance_jax.explain.alignment import align
from imbalance_jax.explain.faithfulness import scrutinise
from imbalance_jax.explain.shortcut import follow_shortcut
from imbalance_jax.explain.units import dissect
from imbalance_jax.results import audit
from imbalance_jax.system import processes
from imbalance_jax.system.provenance import stage
from imbalance_jax.system.workdir import lock, read_table, write_table
from imbalance_jax.training import run as training_run
from imbalance_jax.training.trained import SPLIT, Stage, Trained, check_trained, load

STAGES: dict[str, Stage] = {}


def run(workdir: Path) -> None:
    """Explains what `workdir` holds: explain/*.npz, results/alignment, audit, and those of what units encode.

    Of several processes the first does it, on its own devices.
    Raises FileNotFoundError if it holds no finished training.
    """
    workdir = Path(workdir)
    if not processes.leads() and not processes.joined():
        return
    check_trained(workdir)
    training_run.set_up_jax(join=False)
    with lock(workdir):
        trained = load(workdir)  # processes that are together read checkpoints together
        if not processes.leads():
            return
        with stage(workdir, 'explain', strategy=trained.place.strategy):
            align(trained, workdir)
            scrutinise(trained, workdir)
            follow_shortcut(trained, workdir)
            dissect(trained, workdir)
            audit_mistakes(trained, workdir)


def audit_mistakes(trained: Trained, workdir: Path) -> None:
    """results/audit, from the other tables: what known mistakes of the study's code do to them."""
    found = {name: read_table(workdir, name) for name in ('performance', 'alignment', 'concepts')}
    found = {name: table[table['split'] == SPLIT] for name, table in found.items()}
    made = audit.rows(trained.members, trained.alive, found)
    write_table(workdir, 'audit', [{**row, 'split': SPLIT} for row in made])

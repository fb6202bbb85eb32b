"""From a trained population to what it learned: the stages, in order.

A stage is a question to a trained population, in one file: `run`, and with it the check of its options, its tables, its
defaults and its section of the report. It leaves arrays in `explain/` when they are done, so that interrupted work goes
on with the next, and makes its tables in `results/` from them alone.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from imbalance_jax.config.file import completed
from imbalance_jax.data.other_set import TESTED_ON
from imbalance_jax.explain import (
    alignment,
    audit,
    design,
    faithfulness,
    features,
    other_sets,
    roar,
    shortcut,
    similarity,
    twins,
    units,
)
from imbalance_jax.names import lookup, some
from imbalance_jax.results import schema
from imbalance_jax.system import layout, processes, provenance, records
from imbalance_jax.system.workdir import keeping, lock, read_table
from imbalance_jax.training import plugins
from imbalance_jax.training.network import network
from imbalance_jax.training.other_sets import folders, lost, refuse_of_other
from imbalance_jax.training.run import set_up_jax
from imbalance_jax.training.trained import FROM_BOTH, FROM_NETWORKS, Stage, Trained, check_trained, load

SHOWN = 3  # files in a message
# Of `explain`; a new question to the model is one more line. A stage may read what those before it have left.
STAGES: dict[str, Stage] = {
    'alignment': alignment.STAGE,
    'faithfulness': faithfulness.STAGE,
    'shortcut': shortcut.STAGE,
    'units': units.STAGE,
    'twins': twins.STAGE,
    'similarity': similarity.STAGE,
    'features': features.STAGE,
    'audit': audit.STAGE,
    'design': design.STAGE,
}


OWN = frozenset(STAGES)  # before plugins bring theirs


def run(
    workdir: Path,
    *,
    stages: Mapping[str, Stage] = STAGES,
    verb: str = 'explain',
    base: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Runs stages on what `workdir` holds, as `verb` of its provenance: explain/*.npz and their tables in results/.

    base: fields that the config of an older version lacks, with their defaults. Several processes do it together, on
    all their devices, and the first writes. Raises FileNotFoundError if `workdir` holds no finished training.
    """
    workdir = Path(workdir)
    check_trained(workdir, features_do=True)
    config = records.config(workdir)
    plugins.load_kept(config, STAGES)
    set_up_jax(completed(config, base), stage='explain')
    with lock(workdir):
        trained = load(workdir, base)  # processes that are joined read checkpoints together
        chosen_stages = answerable(trained, other_sets.stages_of(workdir, stages))
        for table in (table for stage in chosen_stages.values() for table in stage.reads):
            read_table(workdir, table)  # what is not there is said before hours of work, not after them
        if provenance.plugins_edited(workdir):
            processes.say('The plugins of config.plugins have been edited since training; they count as they are now.')
            _check_again(trained, chosen_stages)
        tables = {*schema.TABLES, *(table for stage in STAGES.values() for table in stage.tables)}
        with provenance.stage(workdir, verb, strategy=trained.place.strategy):
            for name, stage in chosen_stages.items():
                try:
                    before = _written(workdir, stage)
                    with keeping(tables - set(stage.tables), f'The stage {name!r}'):
                        stage.run(trained, workdir)
                    _check_written(workdir, name, stage, before)
                    processes.wait_for_all()  # the next reads what this one has left
                except Exception as error:
                    error.add_note(f'This was the stage {name!r}; what the stages before it made is kept.')
                    if name not in OWN and isinstance(error, ValueError):
                        raise ValueError(provenance.of_plugin(error) or f'The stage {name!r}: {error}') from error
                    wrong = isinstance(error, (LookupError, TypeError, ValueError))
                    if not wrong or not (changed := records.accepted(workdir)):
                        raise
                    reason = ' '.join(f'{type(error).__name__}: {error}'.split())
                    what = f'files that were accepted as they are, {some(changed, SHOWN)}, cannot be explained'
                    raise ValueError(f'{workdir}: {what}: {reason}. Bring them back from a copy.') from error
            if 'alignment' in stages and TESTED_ON in records.data(workdir):
                other_sets.write_map_shift(trained, workdir, base)


def _check_again(trained: Trained, stages: Mapping[str, Stage]) -> None:
    """Raises ValueError for what training would refuse of plugins as they are now."""
    if trained.only_features:
        return
    untrained = network(trained.config, trained.dataset)
    for stage in stages.values():
        if stage.check is not None:
            stage.check(trained.config, untrained, trained.image_shape, len(trained.dataset.rows('test')))


def _written(workdir: Path, stage: Stage) -> dict[str, tuple[int, int]]:
    """Which of its tables are there, with their files' numbers and times: one that is written again has others."""
    files = {table: workdir / layout.RESULTS / f'{table}.parquet' for table in stage.tables}
    known = {table: path.stat() for table, path in files.items() if path.exists()}
    return {table: (facts.st_ino, facts.st_mtime_ns) for table, facts in known.items()}


def _check_written(workdir: Path, name: str, stage: Stage, before: Mapping[str, tuple[int, int]]) -> None:
    """ValueError for a stage of a user's own that has not written a table which it is to write. before: what was there
    (`_written`)."""
    now = _written(workdir, stage)
    for table in () if name in OWN else stage.tables:
        if processes.leads() and (table not in now or now[table] == before.get(table)):
            older = '; what is there is older' if table in now else ''
            raise ValueError(
                f'results/{table} was not written, which its `tables` names: explain.outputs.write_rows(workdir, '
                f'{table!r}, rows) writes rows, and what `run` returns is not looked at{older}.'
            )


def answerable(trained: Trained, stages: Mapping[str, Stage]) -> dict[str, Stage]:
    """Those of the stages that can be answered; of each other one a line says why not."""
    lacking = {}
    if trained.only_features:
        lacking[FROM_NETWORKS] = 'it shows images to the networks, and only their features are here'
        if not trained.predicted:
            lacking[FROM_BOTH] = 'it also needs predictions, which were not given to adopt (--predictions)'
    for name, stage in stages.items():
        if stage.needs in lacking:
            processes.say(f'{name} is left out: {lacking[stage.needs]}.')
    return {name: stage for name, stage in stages.items() if stage.needs not in lacking}


def run_everywhere(
    workdir: Path, *, stages: Mapping[str, Stage] = STAGES, base: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """`run` on the training set, and then on every data set of `config.data.test_on`."""
    run(workdir, stages=stages, base=base)
    if said := lost(Path(workdir), records.config(workdir)):
        processes.say(said)
    for folder in folders(Path(workdir), records.config(workdir)):
        processes.say(f'explain {folder}:')
        run(folder, stages=stages, base=base)


def chosen(names: str | None) -> dict[str, Stage]:
    """The stages of that name, 'alignment,design', in their order; all without one. ValueError for an unknown one."""
    asked = [name.strip() for name in names.split(',')] if names else list(STAGES)
    for name in asked:
        lookup(STAGES, name, 'stage')
    return {name: stage for name, stage in STAGES.items() if name in asked}


def run_roar(
    workdir: Path, shares: Sequence[float] = roar.SHARES, *, base: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """results/roar, which trains again and so is a verb of its own."""
    check_trained(Path(workdir), features_do=True)
    refuse_of_other(Path(workdir), 'roar')
    stage = roar.STAGE._replace(run=partial(roar.run, shares=shares))
    run(workdir, stages={'roar': stage}, verb='roar', base=base)

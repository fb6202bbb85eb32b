"""Stages on other data sets than the training one, and how much better or worse maps align there."""

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from imbalance_jax.data.other_set import TESTED_ON
from imbalance_jax.data.regions import Pairs
from imbalance_jax.explain import outputs
from imbalance_jax.explain.map_pairs import test_pairs
from imbalance_jax.results import shift
from imbalance_jax.results.rows import Bootstrap
from imbalance_jax.system import layout, records
from imbalance_jax.system.workdir import read_arrays
from imbalance_jax.training.tested import maps_of
from imbalance_jax.training.trained import Stage, Trained, load

# Stages that ask of the training set itself: its drawn twins, its planted shortcut, heads trained on its features,
# the published study's mistakes on its images.
AT_HOME_ONLY = ('shortcut', 'twins', 'features', 'audit', 'roar')


def stages_of(workdir: Path, stages: Mapping[str, Stage]) -> dict[str, Stage]:
    """Those of the stages that make sense on what `workdir` holds."""
    elsewhere = TESTED_ON in records.data(workdir)
    return {name: stage for name, stage in stages.items() if not elsewhere or name not in AT_HOME_ONLY}


def pairs_at_home(workdir: Path, base: Mapping[str, Any]) -> Pairs:
    """The findings with a region of the training set's own test split. workdir: a folder of `WORKDIR/on`."""
    return test_pairs(load(workdir.absolute().parents[1], base))[0]


def write_map_shift(trained: Trained, workdir: Path, base: Mapping[str, Any]) -> None:
    """results/map_shift of a folder of `WORKDIR/on`: its maps' alignment minus that on the training set's test split.

    Of every method whose maps the stage `alignment` has measured on both; empty where a side has no regions.
    """
    home, rows, setting = workdir.absolute().parents[1], [], trained.config.evaluate
    here = cache(lambda: test_pairs(trained)[0])
    there = cache(partial(pairs_at_home, workdir, base))
    for method in trained.config.attribution.methods:
        paths = [layout.explained(folder, f'alignment_{method}') for folder in (home, workdir)]
        if not all(path.exists() for path in paths):
            continue
        arrays = [read_arrays(path) for path in paths]
        sides = [maps_of(one, of().finding, of().patient) for one, of in zip(arrays, (there, here), strict=True)]
        if any('iou' not in side.own or side.own['iou'].shape[1] != len(side.finding) for side in sides):
            continue  # none has a region; or of other pairs, as before an option was changed: they are made again
        rows += shift.map_rows(
            outputs.population(trained),
            method,
            *sides,
            classes=trained.dataset.classes,
            bootstrap=Bootstrap(setting.bootstrap_rounds, setting.bootstrap_seed),
            smallest_count=setting.smallest_count,
        )
    outputs.write_rows(workdir, 'map_shift', rows)

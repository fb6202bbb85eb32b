"""Stage `similarity`: do other members represent the same, and do arms differ by more than seeds do?"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from imbalance_jax import concepts
from imbalance_jax.explain import matching, outputs
from imbalance_jax.explain.dissected import Units, detectors, dissected
from imbalance_jax.explain.probe import Probe, make_probe
from imbalance_jax.results import arm_effect, similarity
from imbalance_jax.results.arm_effect import Distance
from imbalance_jax.training.trained import Stage, Trained


def run(trained: Trained, workdir: Path) -> None:
    """results/similarity, what pairs of members share, and results/arm_effect, whether arms differ beyond seeds."""
    probe = make_probe(trained)
    if not probe.has_regions():
        return
    population, names, main = outputs.population(trained), probe.dataset.concepts, probe.main
    units = dissected(probe, workdir, trained.config.concepts)
    arrays = outputs.cached(workdir, 'similarity', partial(matching.likeness, probe))
    likeness = similarity.Likeness(**arrays, layers=list(probe.layers))
    rows = similarity.pair_rows(population, likeness)
    rows += similarity.persistence_rows(population, detectors(probe, units), likeness.partner, names, layer=main)
    outputs.write_rows(workdir, 'similarity', rows + similarity.by_relation(population, rows))
    outputs.write_rows(workdir, 'arm_effect', arm_effect.rows(population, distances(probe, units, likeness)))


def distances(probe: Probe, units: Sequence[Units], likeness: similarity.Likeness) -> list[Distance]:
    """How far apart members are, by what they represent, by matching units, and by what their units detect."""
    main = probe.main
    by_layer = [Distance('1 - CKA', layer, 1 - likeness.cka[i, :, i]) for i, layer in enumerate(probe.layers)]
    profiles = {
        'detectors by concept': [concepts.unique_detectors(one[main])['per_concept'] for one in units],
        'best IoU by concept': [one[main]['iou'].max(0) for one in units],
        'dead units': [[one[main]['dead'].sum()] for one in units],
    }
    return [
        *by_layer,
        Distance('unmatched units', main, 1 - (likeness.partner >= 0).mean(-1)),
        *(Distance(name, main, matching.euclidean(np.array(one, float))) for name, one in profiles.items()),
    ]


STAGE = Stage(run=run, tables=('similarity', 'arm_effect'))

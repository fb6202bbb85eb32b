"""Stage `similarity`: do other members represent the same, and do arms differ by more than seeds do?"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from imbalance_jax import concepts
from imbalance_jax.concepts import nulls
from imbalance_jax.explain import matching, outputs
from imbalance_jax.explain.dissected import Units, detectors, dissected
from imbalance_jax.explain.probe import Probe, first_images, image_shapes, make_probe
from imbalance_jax.metrics import disagreement, exchange, scores
from imbalance_jax.results import arm_effect, similarity
from imbalance_jax.results.arm_effect import Distance
from imbalance_jax.system.processes import say
from imbalance_jax.training.trained import FROM_FEATURES, SPLIT, Asked, Stage, Trained


def run(trained: Trained, workdir: Path) -> None:
    """results/similarity, what pairs of members share, and results/arm_effect, whether arms differ beyond seeds.

    Without annotated regions nothing is said of detectors, and without predictions nothing of decisions.
    """
    probe, population = make_probe(trained), outputs.population(trained)
    arrays = outputs.cached(workdir, 'similarity', partial(matching.likeness, probe))
    likeness = similarity.Likeness(**arrays, layers=list(probe.layers))
    rows = similarity.pair_rows(population, likeness)
    found = distances(likeness)
    if probe.has_regions():
        units = dissected(probe, workdir, trained.config.concepts)
        rows += similarity.persistence_rows(population, detectors(probe, units), likeness, probe.dataset.concepts)
        found.append(detector_distance(probe, units))
    outputs.write_rows(workdir, 'similarity', rows + similarity.by_relation(population, rows))
    auroc = None
    if trained.predicted:
        dataset, logits = trained.dataset, outputs.test_logits(workdir)
        truth = [values[dataset.rows(SPLIT)] for values in (dataset.labels, dataset.label_mask)]
        found.append(Distance('1 - kappa of decisions', 'logits', disagreement.kappa_distances(logits, *truth)))
        auroc = scores.auroc(logits, *truth)
    else:
        say('Of similarity, decisions and differences at equal AUROC are left out: there are no predictions.')
    outputs.write_rows(workdir, 'arm_effect', arm_effect.rows(population, found, auroc=auroc))


def distances(likeness: similarity.Likeness) -> list[Distance]:
    """How far apart members are by what their layers represent: squared distances, up to a factor."""
    return [
        *(Distance('1 - CKA', layer, 1 - likeness.cka[i, :, i]) for i, layer in enumerate(likeness.layers)),
        Distance('Procrustes', likeness.layers[0], likeness.procrustes[0]),
    ]


def detector_distance(probe: Probe, units: Sequence[Units]) -> Distance:
    """By how many units detect each concept: squared Euclidean distance."""
    counts = [concepts.unique_detectors(one[probe.main])['per_concept'] for one in units]
    return Distance('detectors by concept', probe.main, exchange.squared_distances(counts))


def programs(trained: Trained) -> Iterator[Asked]:
    """Products of the activations of a batch, of all layers."""
    probe = first_images(trained)
    yield Asked('products of activations', matching.make_grams(probe), image_shapes(probe, nulls.BLOCK), fewer=False)


STAGE = Stage(run=run, tables=('similarity', 'arm_effect'), needs=FROM_FEATURES, programs=programs)

"""Stage `alignment`: how well the maps of a population align with findings, beside what stands in for them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from imbalance_jax import alignment, attribution
from imbalance_jax.attribution import layers
from imbalance_jax.data.arrays import pictures
from imbalance_jax.data.regions import Pairs, finding_pairs, refuse_training
from imbalance_jax.explain import gallery, outputs
from imbalance_jax.explain.map_nulls import Figures, Metrics, constant_maps, null_figures
from imbalance_jax.explain.maps import Scorer, in_slabs, make_maps, make_scorer, seed_numbers
from imbalance_jax.names import lookup
from imbalance_jax.results import alignment as results_alignment
from imbalance_jax.results.alignment import PERMUTED, SHUFFLED, UNTRAINED
from imbalance_jax.results.rows import Bootstrap, of_kind
from imbalance_jax.training.network import Network, abstract_variables
from imbalance_jax.training.trained import SPLIT, Stage, Trained

# By the share of the image that a region covers.
SIZES = {'small regions': (0, 0.02), 'medium regions': (0.02, 0.08), 'large regions': (0.08, 1.01)}


class MethodFigures(NamedTuple):
    """Figures of one method's maps of M pairs: F measures of P members, and of S untrained networks, one per seed.

    measures: [F] names; members [F,P,M]: against each pair's own region; shuffled [F,P,M]: against another pair's;
    untrained: [F,S,M]; gallery: the members' maps of the gallery's pairs [P,G,H,W]
    """

    measures: np.ndarray
    members: np.ndarray
    shuffled: np.ndarray
    untrained: np.ndarray
    gallery: np.ndarray

    def by_measure(self, values: np.ndarray) -> Figures:
        """Measure -> one of its figures, of values [F,...]."""
        return dict(zip(self.measures.tolist(), values, strict=True))


def check(config: ConfigDict, network: Network, image_shape: tuple[int, int, int], num_images: int) -> None:
    """Raises ValueError for an unknown method, metric or layer, and for options that a method cannot work with."""
    setting, image = config.attribution, jnp.zeros((1, *image_shape))
    for method in setting.methods:
        attribution.options.check(method, dict(setting.get(method, {})), image)
    for metric in setting.metrics:
        lookup(alignment.METRICS, metric, 'alignment metric')
    layers.last_stage(network.model, abstract_variables(network.model, image_shape), image_shape, setting.layer)


def run(trained: Trained, workdir: Path) -> None:
    """results/alignment: every method's maps of every finding with a region in the test split, and the nulls."""
    pairs, refused = test_pairs(trained)
    if not len(pairs.image):
        print(f'The {SPLIT} split has no annotated region: no alignment.')
        outputs.write_rows(workdir, 'alignment', [])
        return
    metrics, methods = metrics_of(trained), trained.config.attribution.methods
    scorer = make_scorer(
        against_both(metrics), trained.with_untrained[0], memory_mib=trained.config.attribution.memory_mib
    )
    figures = {}
    for method in methods:
        make = partial(measure, trained, method, pairs, scorer=scorer)
        figures[method] = MethodFigures(**outputs.cached(workdir, f'alignment_{method}', make))
    train_pairs = finding_pairs(trained.dataset, 'train', trained.config.attribution.regions)
    constant, logits = constant_maps(train_pairs, pairs), outputs.test_logits(workdir)
    layer = trained.layer_of(trained.config.attribution.layer)
    grid = layers.layer_shape(trained.model, trained.one, trained.image_shape, layer)
    nulls = null_figures(pairs, constant, metrics, grid=(grid[0], grid[1]))
    write_table(
        trained, workdir, pairs, figures=figures, nulls=nulls, subsets=subsets(trained, pairs, logits), refused=refused
    )
    write_gallery(trained, workdir, pairs, constant=constant)
    shown = gallery.shown_method(methods)
    of_shown = figures[shown].by_measure(figures[shown].members)
    missed = (of_shown['hits'] == 0) & ~np.isnan(of_shown['iou'])
    outputs.cached(workdir, 'failures', partial(gallery.failures, trained, shown, pairs, missed=missed, logits=logits))


def test_pairs(trained: Trained) -> tuple[Pairs, int]:
    """The findings with a region in the test split, at most `config.attribution.max_pairs`, and how many are refused
    because their patients are in the training split."""
    setting = trained.config.attribution
    return refuse_training(trained.dataset, finding_pairs(trained.dataset, SPLIT, setting.regions, setting.max_pairs))


def metrics_of(trained: Trained) -> Metrics:
    """The config's metrics beside the study's own, TorchRay's tolerance in proportion to the image."""
    metrics: dict[str, Callable] = {name: alignment.METRICS[name] for name in trained.config.attribution.metrics}
    if torchray := metrics.get('pointing_game_torchray'):
        tolerance = alignment.TOLERANCE * trained.image_shape[0]
        metrics['pointing_game_torchray'] = partial(torchray, tolerance=tolerance)
    return metrics


def against_both(metrics: Metrics) -> Callable[..., dict[str, jax.Array]]:
    """`figures(maps, masks, others)`: of one member's maps [n,H,W] against both kinds of region, each [n,2]."""

    def figures(maps, masks, others):
        twice = alignment.measure(jnp.tile(maps, (2, 1, 1)), jnp.concatenate([masks, others]), metrics)
        return {name: value.reshape(2, -1).T for name, value in twice.items()}

    return figures


def measure(trained: Trained, method: str, pairs: Pairs, *, scorer: Scorer) -> MethodFigures:
    """The figures of a method's maps of every pair; scorer: `make_scorer` of `against_both`."""
    other = alignment.shuffled(pairs.finding, pairs.patient)
    strange = np.where((other >= 0)[:, None, None], pairs.mask[other], False)  # undefined where there is no other
    figures, shown = in_slabs(
        trained,
        make_maps(trained, method),
        (trained.dataset.images[pairs.image], pairs.finding, pairs.image),
        phase=f'explain: {method}',
        keep=gallery.gallery_pairs(pairs),
        scorer=scorer,
        regions=(pairs.mask, strange),
    )
    values, count = np.stack(list(figures.values())), len(trained.members)  # [F,P + S,M,2]
    return MethodFigures(
        measures=np.array(list(figures)),
        members=values[:, :count, :, 0],
        shuffled=values[:, :count, :, 1],
        untrained=values[:, count:, :, 0],
        gallery=shown[:count],
    )


def stand_ins(
    figures: Mapping[str, MethodFigures], members: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, Figures]]:
    """Null -> method -> figures [P,M] of what stands in for each member.

    The null of permuted labels is the arm that was trained on them, seed by seed, if there is one.
    """
    result = {
        SHUFFLED: {method: one.by_measure(one.shuffled) for method, one in figures.items()},
        UNTRAINED: {method: one.by_measure(one.untrained[:, seed_numbers(members)]) for method, one in figures.items()},
    }
    blind = {row['seed']: row['member'] for row in members if row['labels'] == 'permuted'}
    if blind:
        stand_in = np.array([blind[row['seed']] for row in members])
        itself = np.array([row['labels'] == 'permuted' for row in members])[:, None]
        result[PERMUTED] = {
            method: one.by_measure(np.where(itself, np.nan, one.members[:, stand_in]))
            for method, one in figures.items()
        }
    return result


def subsets(trained: Trained, pairs: Pairs, logits: np.ndarray) -> dict[str, np.ndarray]:
    """Parts of the pairs that are reported apart, bool [M], or [P,M] where members differ.

    By the region's share of the image; 'labelled': the label too says that the finding is there (boxes may follow
    another version of the labels); 'true positives': labelled, and the member's score [P,N,K] of the test split is
    among as many of its class's highest as there are positives, a threshold that no loss shifts.
    """
    dataset = trained.dataset
    rows, area = dataset.rows(SPLIT), pairs.mask.mean((1, 2))
    labelled = (dataset.labels * dataset.label_mask)[pairs.image, pairs.finding] > 0
    counted = dataset.label_mask[rows] > 0
    positives = (dataset.labels[rows] * counted).sum(0)
    scores = np.where(counted, logits, -np.inf)
    threshold = np.stack(
        [np.sort(scores[..., k], axis=-1)[:, -max(int(n), 1)] for k, n in enumerate(positives)], axis=-1
    )
    high = scores[:, np.searchsorted(rows, pairs.image), pairs.finding] >= threshold[:, pairs.finding]
    by_size = {name: (low <= area) & (area < top) for name, (low, top) in SIZES.items()}
    return {**by_size, 'labelled': labelled, 'true positives': high & labelled}


def write_table(
    trained: Trained,
    workdir: Path,
    pairs: Pairs,
    *,
    figures: Mapping[str, MethodFigures],
    nulls: Mapping[str, Figures],
    subsets: Mapping[str, np.ndarray],
    refused: int,
) -> None:
    """results/alignment; refused: regions that were left out because their patients are in the training split."""
    setting = trained.config.evaluate
    rows = results_alignment.rows(
        outputs.population(trained),
        {method: one.by_measure(one.members) for method, one in figures.items()},
        pairs,
        nulls=results_alignment.Nulls(nulls, stand_ins(figures, trained.members)),
        classes=trained.dataset.classes,
        bootstrap=Bootstrap(setting.bootstrap_rounds, setting.bootstrap_seed),
        subsets=subsets,
    )
    rows.append(of_kind('data', 'regions_refused', refused, len(pairs.image), name='all findings'))
    outputs.write_rows(workdir, 'alignment', rows)


def write_gallery(trained: Trained, workdir: Path, pairs: Pairs, *, constant: np.ndarray) -> None:
    """explain/gallery: image, mask and constant map of the first pairs of every finding."""
    shown = gallery.gallery_pairs(pairs)
    outputs.write(
        workdir,
        'gallery',
        images=pictures(trained.dataset.images[pairs.image[shown]]),
        row=pairs.image[shown],
        finding=pairs.finding[shown],
        mask=pairs.mask[shown],
        constant=constant[shown].astype(np.float16),
    )


STAGE = Stage(run=run, check=check, tables=('alignment',))

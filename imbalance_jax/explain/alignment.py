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
from imbalance_jax.alignment.expected import PRODUCTS, Product
from imbalance_jax.alignment.measure import Metrics
from imbalance_jax.attribution import layers
from imbalance_jax.data.arrays import pictures
from imbalance_jax.data.regions import Pairs, finding_pairs, refuse_training
from imbalance_jax.data.streams import Rows
from imbalance_jax.explain import gallery, outputs
from imbalance_jax.explain.map_distance import RankCorrelation
from imbalance_jax.explain.map_nulls import Figures, Strangers, null_figures, strangers
from imbalance_jax.explain.maps import Scorer, in_slabs, make_scorer, make_signed_maps, seed_numbers
from imbalance_jax.metrics import scores
from imbalance_jax.names import lookup
from imbalance_jax.results import alignment as results_alignment
from imbalance_jax.results import map_effect
from imbalance_jax.results.alignment import PERMUTED, SHUFFLED, UNTRAINED
from imbalance_jax.results.rows import Bootstrap, of_kind
from imbalance_jax.training.network import Network, abstract_variables
from imbalance_jax.training.trained import SPLIT, Stage, Trained

# By the share of the image that a region covers.
SIZES = {'small regions': (0, 0.02), 'medium regions': (0.02, 0.08), 'large regions': (0.08, 1.01)}


class MethodFigures(NamedTuple):
    """Figures of one method's maps of M pairs: F measures of P members, and of S untrained networks, one per seed.

    measures: [F] names; members [F,P,M]: against each pair's own region; shuffled [F,P,M]: the mean over the regions of
    all other patients; untrained: [F,S,M]; gallery: the members' maps of the gallery's pairs [P,G,H,W]; distance [P,P]:
    1 minus the mean rank correlation of two members' signed maps of the same pairs
    """

    measures: np.ndarray
    members: np.ndarray
    shuffled: np.ndarray
    untrained: np.ndarray
    gallery: np.ndarray
    distance: np.ndarray

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
        for table in STAGE.tables:
            outputs.write_rows(workdir, table, [])
        return
    metrics, methods = metrics_of(trained), trained.config.attribution.methods
    scorers = make_scorers(trained, pairs, metrics)
    figures = {}
    for method in methods:
        make = partial(measure, trained, method, pairs, scorers=scorers)
        figures[method] = MethodFigures(**outputs.cached(workdir, f'alignment_{method}', make))
    train_pairs = finding_pairs(trained.dataset, 'train', trained.config.attribution.regions)
    layer = trained.layer_of(trained.config.attribution.layer)
    grid = layers.layer_shape(trained.model, trained.one, trained.image_shape, layer)
    nulls, constant = null_figures(pairs, train_pairs, metrics, grid=(grid[0], grid[1]))
    logits = outputs.test_logits(workdir)
    write_table(
        trained, workdir, pairs, figures=figures, nulls=nulls, subsets=subsets(trained, pairs, logits), refused=refused
    )
    distances = {method: one.distance for method, one in figures.items()}
    dataset, rows = trained.dataset, trained.dataset.rows(SPLIT)
    auroc = scores.auroc(logits, dataset.labels[rows], dataset.label_mask[rows])
    outputs.write_rows(workdir, 'map_effect', map_effect.rows(outputs.population(trained), distances, auroc))
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
    """The config's metrics beside the study's own."""
    of_metric = metric_options(trained)
    return {
        name: partial(alignment.METRICS[name], **of_metric.get(name, {})) for name in trained.config.attribution.metrics
    }


def metric_options(trained: Trained) -> dict[str, dict[str, float]]:
    """What metrics are told: TorchRay's tolerance in proportion to the image."""
    return {'pointing_game_torchray': {'tolerance': alignment.TOLERANCE * trained.image_shape[0]}}


def products_of(trained: Trained) -> dict[str, Callable[[jax.Array], Product]]:
    """The metrics whose mean over regions comes from a matrix product, with the same options."""
    of_metric = metric_options(trained)
    return {name: partial(product, **of_metric.get(name, {})) for name, product in PRODUCTS.items()}


def against_both(metrics: Metrics, products: Mapping[str, Callable[[jax.Array], Product]]) -> Callable[..., Any]:
    """`figures(maps [n,V,H,W], masks, shares, few_shares, others, few)` of one member: against their own region, and on
    the average over other patients', each [n,2]. The first version of a map is the method's, the last has its sign."""

    def figures(maps, masks, shares, few_shares, others, few):
        heat, signed = maps[:, 0], maps[:, -1]
        own = alignment.measure(heat, masks, metrics, signed)
        strange = alignment.Others(others, shares, few, few_shares)
        other = alignment.measure_others(heat, signed, strange, metrics, products=products)
        return {name: jnp.stack([value, other[name]], axis=1) for name, value in own.items()}

    return figures


class Scorers(NamedTuple):
    """What is asked of the maps of any method: their figures, with the regions [M,...] that go with the pairs, and how
    alike the members' are. order: the order [M] in which the pairs are taken, those of one finding together."""

    order: np.ndarray
    figures: Scorer
    regions: tuple[np.ndarray, ...]
    correlation: RankCorrelation


def make_scorers(trained: Trained, pairs: Pairs, metrics: Metrics) -> Scorers:
    """The scorers of all methods' maps of these pairs, compiled once."""
    order = np.argsort(pairs.finding, kind='stable')
    others: Strangers = strangers(Pairs(*(array[order] for array in pairs)))
    what: dict[str, Any] = {'memory_mib': trained.config.attribution.memory_mib}
    place = trained.with_untrained[0]
    figures = against_both(metrics, products_of(trained))
    return Scorers(
        order=order,
        figures=make_scorer(figures, place, **what, whole=(others.masks, others.few)),
        regions=(pairs.mask[order], others.shares, others.few_shares),
        correlation=RankCorrelation(place, **what),
    )


def measure(trained: Trained, method: str, pairs: Pairs, *, scorers: Scorers) -> MethodFigures:
    """The figures of a method's maps of every pair."""
    order, place = scorers.order, np.argsort(scorers.order)
    scorers.correlation.reset()
    figures, shown = in_slabs(
        trained,
        make_signed_maps(trained, method),
        (Rows(trained.dataset.images, pairs.image[order]), pairs.finding[order], pairs.image[order]),
        phase=f'explain: {method}',
        keep=place[gallery.gallery_pairs(pairs)],
        scorer=scorers.figures,
        regions=scorers.regions,
        beside=scorers.correlation.add,
        versions=3,  # both versions of a map, and the ranks
    )
    values, count = np.stack(list(figures.values()))[:, :, place], len(trained.members)  # [F,P + S,M,2]
    return MethodFigures(
        measures=np.array(list(figures)),
        members=values[:, :count, :, 0],
        shuffled=values[:, :count, :, 1],
        untrained=values[:, count:, :, 0],
        gallery=shown[:count, :, 0],
        distance=scorers.correlation.distance()[:count, :count],
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
        smallest_count=setting.smallest_count,
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


STAGE = Stage(run=run, check=check, tables=('alignment', 'map_effect'))

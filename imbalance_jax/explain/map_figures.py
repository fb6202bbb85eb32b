"""What is measured of one method's maps of every pair, slab by slab: beside the pairs' own regions and other patients',
how far members are apart, and what needs no region."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax import alignment
from imbalance_jax.alignment.expected import PRODUCTS, Product
from imbalance_jax.alignment.measure import Metrics
from imbalance_jax.data.anatomy import inside
from imbalance_jax.data.regions import Pairs
from imbalance_jax.data.streams import Rows
from imbalance_jax.explain import gallery
from imbalance_jax.explain.map_distance import RankCorrelation
from imbalance_jax.explain.map_nulls import Figures, Strangers, strangers
from imbalance_jax.explain.map_pairs import MapPairs
from imbalance_jax.explain.maps import Questions, Scorer, Signed, Slab, compile_slab, in_slabs, make_signed_maps
from imbalance_jax.results.alignment import OUTSIDE
from imbalance_jax.training.trained import Trained


class MethodFigures(NamedTuple):
    """Figures of one method's maps of M pairs: F measures of P members, and of the B networks that they began as.

    measures: [F] names; members [F,P,M]: against each pair's own region; shuffled [F,P,M]: the mean over the regions of
    all other patients; untrained: [F,B,M]; gallery: the members' maps of the gallery's pairs [P,G,H,W]; distance [P,P]:
    1 minus the mean rank correlation of two members' signed maps of the same pairs. Of all pairs, with a region and by
    label, [P + B,M + L]: outside, the share of the heat that lies outside the anatomy; empty, whether a map is
    """

    measures: np.ndarray
    members: np.ndarray
    shuffled: np.ndarray
    untrained: np.ndarray
    gallery: np.ndarray
    distance: np.ndarray
    outside: np.ndarray
    empty: np.ndarray

    def by_measure(self, values: np.ndarray) -> Figures:
        """Measure -> one of its figures, of values [F,...]."""
        return dict(zip(self.measures.tolist(), values, strict=True))


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
    """`figures(maps, masks, shares, few_shares, others, few)` of one member's `Signed` maps [n,H,W]: against their own
    region, and on the average over other patients', each [n,2]."""

    def figures(maps, masks, shares, few_shares, others, few):
        own = alignment.measure(maps.given, masks, metrics, maps.signed)
        strange = alignment.Others(others, shares, few, few_shares)
        other = alignment.measure_others(maps.given, maps.signed, strange, metrics, products=products)
        return {name: jnp.stack([value, other[name]], axis=1) for name, value in own.items()}

    return figures


class Part(NamedTuple):
    """Pairs of one kind, in the order in which their maps are made, those of one finding together: their rows [m] among
    all pairs, and what is asked of their maps."""

    rows: np.ndarray
    asked: Questions

    def arrays(self, trained: Trained, pairs: Pairs) -> tuple[Any, np.ndarray, np.ndarray]:
        """Images, classes and numbers of the images, of which maps are made."""
        images = pairs.image[self.rows]
        return Rows(trained.dataset.images, images), pairs.finding[self.rows], images


class Scorers(NamedTuple):
    """What is asked of the maps of any method: their figures, part by part; how alike the members' are; and the anatomy
    [M + L,H,W] of each pair's image."""

    parts: list[Part]
    correlation: RankCorrelation
    inside: np.ndarray


def make_scorers(trained: Trained, pairs: MapPairs, metrics: Metrics) -> Scorers:
    """The scorers of all methods' maps of these pairs, compiled once."""
    what: dict[str, Any] = {'memory_mib': trained.config.attribution.memory_mib}
    place, setting = trained.with_untrained[0], trained.config.attribution
    anatomy = inside(trained.dataset, pairs.together.image, setting.anatomy_margin)
    of_heat = Scorer(heat_figures, place, **what)
    annotated, labelled = pairs.annotated, pairs.labelled
    parts = []
    if len(annotated.image):
        order = np.argsort(annotated.finding, kind='stable')
        others: Strangers = strangers(Pairs(*(array[order] for array in annotated)))
        figures = against_both(metrics, products_of(trained))
        aligned = Scorer(figures, place, **what, whole=(others.masks, others.few))
        regions = (annotated.mask[order], others.shares, others.few_shares)
        parts.append(Part(order, [(aligned, regions), (of_heat, (anatomy[order],))]))
    if len(labelled.image):
        rows = len(annotated.image) + np.argsort(labelled.finding, kind='stable')
        parts.append(Part(rows, [(of_heat, (anatomy[rows],))]))
    return Scorers(parts, RankCorrelation(place, **what), anatomy)


def heat_figures(maps: Signed, anatomy: jax.Array) -> dict[str, jax.Array]:
    """What maps [n,H,W] of one member show that needs no region, [n]: heat outside the anatomy, and empty maps."""
    heat = maps.given
    found = (heat > 0).any((1, 2)) & jnp.isfinite(heat).all((1, 2))
    return {OUTSIDE: alignment.heat_outside(heat, anatomy), 'no_heat': (~found).astype(jnp.float32)}


def compile_method(trained: Trained, pairs: MapPairs, scorers: Scorers, method: str) -> list[Slab]:
    """The programs of a method's maps, part by part, and with them those of the scorers."""
    maps, versions = make_signed_maps(trained, method), 3  # both versions of a map, and the ranks
    return [
        compile_slab(
            trained,
            maps,
            part.arrays(trained, pairs.together),
            networks=trained.with_untrained,
            versions=versions,
            asked=part.asked,
        )
        for part in scorers.parts
    ]


def measure(
    trained: Trained, pairs: MapPairs, scorers: Scorers, method: str, programs: Callable[[], list[Slab]]
) -> MethodFigures:
    """The figures of a method's maps of every pair. programs: those of `compile_method`, once they are there."""

    def of_part(number: int) -> Slab:
        return programs()[number]

    together, annotated, count = pairs.together, len(pairs.annotated.image), len(trained.members)
    shown = gallery.gallery_pairs(together)
    networks, pictures_shown = trained.with_untrained[0].num_members, []
    of_all = {name: np.full((networks, len(together.image)), np.nan) for name in (OUTSIDE, 'no_heat')}
    aligned: Figures = {}
    scorers.correlation.reset()
    for number, part in enumerate(scorers.parts):
        here = shown[np.isin(shown, part.rows)]
        figures, maps = in_slabs(
            trained,
            partial(of_part, number),
            part.arrays(trained, together),
            phase=f'explain: {method}',
            keep=np.argsort(part.rows)[np.searchsorted(np.sort(part.rows), here)],
            asked=part.asked,
            beside=scorers.correlation.add,
        )
        pictures_shown.append(maps[:count])
        for name, values in of_all.items():
            values[:, part.rows] = figures.pop(name)
        aligned |= {name: values[:, np.argsort(part.rows)] for name, values in figures.items()}
    nothing: Any = np.zeros((0, networks, annotated, 2), np.float32)
    stacked = np.stack(list(aligned.values())) if aligned else nothing  # [F,P + B,M,2]
    return MethodFigures(
        measures=np.array(list(aligned), str),
        members=stacked[:, :count, :, 0],
        shuffled=stacked[:, :count, :, 1],
        untrained=stacked[:, count:, :, 0],
        gallery=np.concatenate(pictures_shown, axis=1),
        distance=scorers.correlation.distance()[:count, :count],
        outside=of_all[OUTSIDE],
        empty=of_all['no_heat'],
    )

"""Stage `alignment`: how well the maps of a population align with findings, beside what stands in for them.

What needs no region is asked of any data set: how far apart members are by their maps, how many maps are empty, how
much heat lies outside the anatomy.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from imbalance_jax import alignment, attribution
from imbalance_jax.attribution import layers
from imbalance_jax.data.arrays import pictures
from imbalance_jax.data.regions import Pairs, finding_pairs
from imbalance_jax.explain import gallery, map_nulls, outputs, own_parts
from imbalance_jax.explain.map_figures import MethodFigures, compile_method, make_scorers, measure, metrics_of
from imbalance_jax.explain.map_nulls import Figures, null_figures
from imbalance_jax.explain.map_pairs import MapPairs, map_pairs
from imbalance_jax.explain.maps import asked_of_maps
from imbalance_jax.explain.reader_ceiling import reader_figures
from imbalance_jax.metrics import scores
from imbalance_jax.names import lookup
from imbalance_jax.results import alignment as results_alignment
from imbalance_jax.results import map_effect, reader_ceiling
from imbalance_jax.results.alignment import (
    BEFORE,
    CENTRE,
    CHANCE,
    EMPTY,
    OUTSIDE,
    PERMUTED,
    SHUFFLED,
    UNTRAINED,
    Nulls,
)
from imbalance_jax.results.pair_means import MEASURES
from imbalance_jax.results.rows import Bootstrap, Row, of_kind
from imbalance_jax.system.processes import say
from imbalance_jax.training.network import Network, abstract_variables
from imbalance_jax.training.start import RANDOM, began_as, weights_of
from imbalance_jax.training.trained import SPLIT, Asked, Stage, Trained

log = logging.getLogger(__name__)
LABELLED = 'no region'  # subset: pairs by label, of findings that no test image has a region of
# By the share of the image that a region covers.
SIZES = {'small regions': (0, 0.02), 'medium regions': (0.02, 0.08), 'large regions': (0.08, 1.01)}


def check(config: ConfigDict, network: Network, image_shape: tuple[int, int, int], num_images: int) -> None:
    """Raises ValueError for an unknown method, metric or layer, and for options that a method cannot work with."""
    setting, image = config.attribution, jnp.zeros((1, *image_shape))
    for method in setting.methods:
        lookup(attribution.METHODS, method, 'attribution method in config.attribution.methods:')
        attribution.options.check(method, dict(setting.get(method, {})), image)
    for metric in setting.metrics:
        lookup(alignment.METRICS, metric, 'alignment metric in config.attribution.metrics:')
        if metric in (*MEASURES, *alignment.SIGNED, 'hits', 'points'):
            own = f'config.attribution.metrics has {metric!r}, which is a name of what is measured anyway'
            raise ValueError(
                f'{own} ({", ".join((*MEASURES, *alignment.SIGNED))}): leave it out, or take another name.'
            )
        own_parts.check_metric(metric, image_shape[:2])
    variables, field = abstract_variables(network.model, image_shape), 'config.attribution.layer'
    layers.last_stage(network.model, variables, image_shape, setting.layer, field=field)


def run(trained: Trained, workdir: Path) -> None:
    """results/alignment: every method's maps of every finding with a region in the test split, and the nulls; and of
    the findings without one what needs none. results/map_effect: whether arms differ by their maps beyond seeds."""
    pairs = map_pairs(trained)
    if not len(pairs.together.image):
        say(f'No image of the {SPLIT} split has a finding: no maps.')
        for table in STAGE.tables:
            outputs.write_rows(workdir, table, [])
        return
    if len(pairs.labelled.image):
        names = ', '.join(trained.dataset.classes[k] for k in np.unique(pairs.labelled.finding))
        say(f'The {SPLIT} split has no region of {names}: their maps are held against none.')
    scorers = make_scorers(trained, pairs, metrics_of(trained))
    measured = outputs.cached_by_method(
        workdir,
        'alignment',
        trained.config.attribution.methods,
        given=lambda: scorers,
        compiled=partial(compile_method, trained, pairs),
        measured=partial(measure, trained, pairs),
    )
    figures = {method: MethodFigures(**arrays) for method, arrays in measured.items()}
    logits, constant = outputs.test_logits(workdir), np.full(pairs.together.mask.shape, np.nan, np.float32)
    rows = without_regions(trained, pairs, figures, scorers.inside)
    if len(pairs.annotated.image):
        aligned, constant[: len(pairs.annotated.image)] = against_regions(trained, pairs, figures, logits)
        rows = aligned + rows
    outputs.write_rows(workdir, 'alignment', rows)
    write_map_effect(trained, workdir, figures, logits)
    write_gallery(trained, workdir, pairs.together, constant=constant)
    if len(pairs.annotated.image):
        write_failures(trained, workdir, pairs.annotated, figures, logits)


def write_map_effect(trained: Trained, workdir: Path, figures: Mapping[str, MethodFigures], logits: np.ndarray) -> None:
    """results/map_effect."""
    distances = {method: one.distance for method, one in figures.items()}
    dataset, rows = trained.dataset, trained.dataset.rows(SPLIT)
    auroc = scores.auroc(logits, dataset.labels[rows], dataset.label_mask[rows])
    outputs.write_rows(workdir, 'map_effect', map_effect.rows(outputs.population(trained), distances, auroc))


def write_failures(
    trained: Trained, workdir: Path, pairs: Pairs, figures: Mapping[str, MethodFigures], logits: np.ndarray
) -> None:
    """explain/failures: what arms are surest of although their maps miss the region."""
    shown = gallery.shown_method(trained.config.attribution.methods)
    of_shown = figures[shown].by_measure(figures[shown].members)
    missed = (of_shown['hits'] == 0) & ~np.isnan(of_shown['iou'])
    outputs.cached(workdir, 'failures', partial(gallery.failures, trained, shown, pairs, missed=missed, logits=logits))


def before(members: Sequence[Mapping[str, Any]]) -> str:
    """What the networks that members began as are called."""
    return UNTRAINED if all(weights_of(row) == RANDOM for row in members) else BEFORE


def stand_ins(
    figures: Mapping[str, MethodFigures], members: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, Figures]]:
    """Null -> method -> figures [P,M] of what stands in for each member.

    The null of permuted labels is the arm that was trained on them, seed by seed, if there is one.
    """
    _, began = began_as(members)
    result = {
        SHUFFLED: {method: one.by_measure(one.shuffled) for method, one in figures.items()},
        before(members): {method: one.by_measure(one.untrained[:, began]) for method, one in figures.items()},
    }
    blind = {row['seed']: row['member'] for row in members if row.get('labels') == 'permuted'}
    if blind:
        stand_in = np.array([blind[row['seed']] for row in members])
        itself = np.array([row.get('labels') == 'permuted' for row in members])[:, None]
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


def against_regions(
    trained: Trained, pairs: MapPairs, figures: Mapping[str, MethodFigures], logits: np.ndarray
) -> tuple[list[Row], np.ndarray]:
    """Rows of results/alignment of the pairs with a region, and the mean masks [M,H,W] of their findings."""
    annotated, setting, metrics = pairs.annotated, trained.config.attribution, metrics_of(trained)
    train_pairs = finding_pairs(trained.dataset, 'train', setting.regions, rule=setting.readers)
    grid = layers.layer_shape(trained.model, trained.one, trained.image_shape, trained.layer_of(setting.layer))
    nulls, constant = null_figures(annotated, train_pairs, metrics, grid=(grid[0], grid[1]))
    parts, population = subsets(trained, annotated, logits), outputs.population(trained)
    measured = {method: one.by_measure(one.members) for method, one in figures.items()}
    what = {**rows_options(trained), 'subsets': parts}
    held_against = Nulls(nulls, stand_ins(figures, trained.members))
    rows = results_alignment.rows(population, measured, annotated, nulls=held_against, **what)
    of_readers = map_nulls.region_measure(metrics)
    options = {'kind': setting.regions, 'rule': setting.readers}
    ceiling = reader_figures(trained.dataset, annotated, of_readers, **options)
    rows += reader_ceiling.rows(population, measured, ceiling, annotated, **what)
    rows.append(of_kind('data', 'regions_refused', pairs.refused, len(annotated.image), name='all findings'))
    return rows, constant


def rows_options(trained: Trained) -> dict[str, Any]:
    """What all rows of alignment are told."""
    setting = trained.config.evaluate
    return {
        'classes': trained.dataset.classes,
        'bootstrap': Bootstrap(setting.bootstrap_rounds, setting.bootstrap_seed),
        'smallest_count': setting.smallest_count,
    }


def without_regions(
    trained: Trained, pairs: MapPairs, figures: Mapping[str, MethodFigures], anatomy: np.ndarray
) -> list[Row]:
    """Rows of results/alignment that no finding's region is needed for: heat outside the anatomy, of all pairs whose
    image shows it, and empty maps of the pairs that have no region."""
    together, annotated = pairs.together, len(pairs.annotated.image)
    by_label = np.arange(len(together.image)) >= annotated
    began, options = began_as(trained.members)[1], rows_options(trained)
    population, count, rows = outputs.population(trained), len(trained.members), []
    asked = [
        (OUTSIDE, anatomy.any((1, 2)), 'outside', ('anatomy_pairs', 'anatomy_patients'), ''),
        (EMPTY, by_label, 'empty', ('labelled_pairs', 'labelled_patients'), LABELLED if annotated else ''),
    ]
    for measure_name, chosen, field, counted, subset in asked:
        if not chosen.any():
            continue
        some = Pairs(*(array[chosen] for array in together))
        values = {method: getattr(one, field)[:, chosen] for method, one in figures.items()}
        of_members = {method: {measure_name: value[:count]} for method, value in values.items()}
        fresh = {method: {measure_name: value[count:][began]} for method, value in values.items()}
        fixed = fixed_heat(anatomy[chosen]) if measure_name == OUTSIDE else {}
        nulls = Nulls(fixed, {before(trained.members): fresh})
        what = {**options, 'counted': counted, 'subset': subset}
        rows += results_alignment.rows(population, of_members, some, nulls=nulls, **what)
    return rows


def fixed_heat(anatomy: np.ndarray) -> dict[str, Figures]:
    """What maps that know no model have outside the anatomy [M,H,W]: one everywhere, and the image centre."""
    size = anatomy.shape[1:]
    outside = jax.jit(lambda one, masks: jax.lax.map(lambda mask: alignment.heat_outside(one, mask[None])[0], masks))
    maps = {CHANCE: jnp.ones((1, *size)), CENTRE: alignment.centre_map(size)[None]}
    return {null: {OUTSIDE: np.asarray(outside(one, anatomy))} for null, one in maps.items()}


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


def programs(trained: Trained) -> Iterator[Asked]:
    """The methods' maps; what is asked of maps needs less."""
    return asked_of_maps(trained, trained.config.attribution.methods)


STAGE = Stage(run=run, check=check, tables=('alignment', 'map_effect'), programs=programs)

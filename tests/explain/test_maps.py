"""Maps and their figures: whatever fits the memory budget at a time, the result is the same."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imbalance_jax import alignment
from imbalance_jax.attribution import all_classes
from imbalance_jax.data import arrays as data_arrays
from imbalance_jax.data import regions
from imbalance_jax.explain import map_distance, map_figures, map_nulls, map_pairs
from imbalance_jax.explain import maps as explain_maps
from imbalance_jax.results.alignment import OUTSIDE
from imbalance_jax.training import build, placement
from imbalance_jax.training import trained as training_trained


def test_the_untrained_networks_are_those_that_training_began_with(study):
    trained = training_trained.load(study)
    place, variables = trained.with_untrained
    assert place.num_members == len(trained.members) + 2
    experiment = build.build(trained.config, trained.dataset, trained.members)
    first = jax.tree.map(lambda a: a[0], experiment.member_arrays)
    begun = experiment.functions.init(first).variables['params']['head']['kernel']
    np.testing.assert_allclose(np.asarray(variables['params']['head']['kernel'])[6], begun, rtol=1e-6)


def maps_and_regions(members, count, side, seed=0):
    """Maps [P,n,H,W], what goes with each, and the regions of other patients that all are held against."""
    random = np.random.default_rng(seed)
    maps = random.normal(size=(members, count, side, side)).astype(np.float32)
    masks = random.random((count, side, side)) < 0.2
    pairs = regions.Pairs(np.arange(count), np.zeros(count, int), np.arange(count), masks)
    others = map_nulls.strangers(pairs)
    return explain_maps.Signed(maps, maps - 0.5), (masks, others.shares, others.few_shares), (others.masks, others.few)


def sizes_of(monkeypatch):
    """The sizes, in the order in which they are tried, of every program that is compiled."""
    sizes, shrunk = [], all_classes.shrunk

    def spy(compiled, most, budget):
        return shrunk(lambda size: sizes.append(size) or compiled(size), most, budget)

    monkeypatch.setattr(all_classes, 'shrunk', spy)
    return sizes


def bytes_of(figures, place, maps, arrays, *, whole, size):
    """Bytes that the scorer holds with `size` maps at a time."""
    part = slice(0, size)
    program = (
        place.map(figures).lower(jax.tree.map(lambda m: m[:, part], maps), *(a[part] for a in arrays), *whole).compile()
    )
    return program.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize('strategy', ['map', 'vmap', 'shard:map'])
def test_a_scorer_gives_the_same_figures_whatever_it_takes_at_a_time(strategy, monkeypatch):
    count = 7
    maps, arrays, whole = maps_and_regions(3, count, 32)
    place = placement.place(3, strategy)
    on_devices, arrays, whole = place.members(maps), place.shared(arrays), place.shared(whole)
    figures = map_figures.against_both({}, alignment.expected.PRODUCTS)  # the study's own; more at 128 pixels below
    sizes = sizes_of(monkeypatch)
    make = partial(explain_maps.Scorer, figures, place, whole=whole)
    together = place.fetch(make(memory_mib=512.0)(on_devices, *arrays))
    assert sizes == [count]
    assert together['iou'].shape == (3, count, 2)
    needed = bytes_of(figures, place, on_devices, arrays, whole=whole, size=count)
    taken = set()
    one = bytes_of(figures, place, on_devices, arrays, whole=whole, size=1)
    for budget in (0.8 * needed, 0.6 * needed, 1.1 * one):
        sizes.clear()
        some = place.fetch(make(memory_mib=budget / 2**20)(on_devices, *arrays))
        taken.add(sizes[-1])
        for name, value in together.items():
            np.testing.assert_allclose(
                some[name], value, rtol=1e-6, atol=1e-7, err_msg=f'{name}, {sizes[-1]} at a time'
            )
    assert min(taken) == 1
    assert len(taken) > 1
    with pytest.raises(ValueError, match=r'^One image needs [\d,]+ bytes, and the memory budget is 104 \(config'):
        make(memory_mib=1e-4)(on_devices, *arrays)


def test_a_scorer_at_128_pixels_with_all_metrics_of_the_config():
    from imbalance_jax.configs import base

    count = 6
    metrics = {name: alignment.METRICS[name] for name in base.get_config().attribution.metrics}
    figures = map_figures.against_both(metrics, alignment.expected.PRODUCTS)
    maps, arrays, whole = maps_and_regions(2, count, 128)
    place = placement.place(2, 'map')
    on_devices, arrays, whole = place.members(maps), place.shared(arrays), place.shared(whole)
    make = partial(explain_maps.Scorer, figures, place, whole=whole)
    together = place.fetch(make(memory_mib=512.0)(on_devices, *arrays))
    needed = bytes_of(figures, place, on_devices, arrays, whole=whole, size=count)
    some = make(memory_mib=0.7 * needed / 2**20)(on_devices, *arrays)
    for name, value in place.fetch(some).items():
        np.testing.assert_allclose(value, together[name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize('what', ['heat', 'correlation'])
def test_what_needs_no_region_is_the_same_within_any_budget(what, monkeypatch):
    """The whole, several chunks, one map at a time, and a clear line below that, at 128 pixels."""
    count, place = 6, placement.place(3, 'map')
    maps, arrays, _ = maps_and_regions(3, count, 128)
    on_devices, inside = place.members(maps), place.shared(arrays[:1])

    def figures(memory_mib):
        if what == 'heat':
            scorer = explain_maps.Scorer(map_figures.heat_figures, place, memory_mib=memory_mib)
            return place.fetch(scorer(on_devices, *inside))
        correlation = map_distance.RankCorrelation(place, memory_mib=memory_mib)
        correlation.add(on_devices, count)
        return {'distance': correlation.distance()}

    whole = figures(512.0)
    if what == 'heat':
        heat = np.maximum(maps.given, 0)
        expected = np.where(arrays[0], 0, heat).sum((2, 3)) / heat.sum((2, 3))
        np.testing.assert_allclose(whole[OUTSIDE], expected, rtol=1e-4)
    needed, taken = sizes_of(monkeypatch), set()
    for budget in (12.0, 2.0, 1.0, 0.5, 0.25):
        try:
            some = figures(budget)
        except ValueError:
            break
        taken.add(needed[-1])
        for name, value in whole.items():
            np.testing.assert_allclose(some[name], value, rtol=1e-5, atol=1e-6)
    assert len(taken) > 1
    with pytest.raises(ValueError, match=r'^One image needs [\d,]+ bytes, and the memory budget is 104 \(config'):
        figures(1e-4)


def test_maps_and_figures_are_the_same_within_any_budget(study, monkeypatch):
    """A whole, several chunks, slabs of one pair, and a clear error below that."""
    trained, results = training_trained.load(study), []
    annotated = regions.finding_pairs(trained.dataset, 'test', 'box', 10)
    labelled = regions.Pairs(*(array[:4] for array in annotated))._replace(mask=np.zeros_like(annotated.mask[:4]))
    pairs = map_pairs.MapPairs(annotated, labelled, 0)
    trained.config.attribution.metrics = ('relevance_rank',)
    metrics, sizes = map_figures.metrics_of(trained), sizes_of(monkeypatch)
    for memory in (512.0, 1.0, 0.5):
        trained.config.attribution.memory_mib = memory
        scorers = map_figures.make_scorers(trained, pairs, metrics)
        programs = partial(map_figures.compile_method, trained, pairs, scorers, 'grad_cam')
        measured = partial(map_figures.measure, trained, pairs, scorers, 'grad_cam', programs)
        results.append(measured())
    assert sizes[0] == 10
    assert min(sizes) < 10
    assert results[0].empty.shape == results[0].outside.shape == (8, 14)
    for row, copy in enumerate(range(10, 14)):  # the pairs by label are the first of the annotated ones
        np.testing.assert_allclose(results[0].outside[:, copy], results[0].outside[:, row], rtol=1e-4)
    for other in results[1:]:
        np.testing.assert_array_equal(other.measures, results[0].measures)
        for one, two in zip(other[1:], results[0][1:], strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    trained.config.attribution.memory_mib = 1e-4
    with pytest.raises(ValueError, match='memory budget is 104'):
        measured()


def test_kept_maps_are_those_of_their_rows(study):
    trained = training_trained.load(study)
    pairs = regions.finding_pairs(trained.dataset, 'test', 'box', 10)
    arrays = (trained.dataset.images[pairs.image], pairs.finding, pairs.image)
    maps = explain_maps.make_maps(trained, 'saliency')
    trained.config.attribution.batch_size = 4  # the last of three slabs is filled up
    program = partial(explain_maps.compile_slab, trained, maps, arrays, networks=trained.with_untrained)
    _, whole = explain_maps.in_slabs(trained, program, arrays, phase='test', keep=np.arange(10))
    figures, some = explain_maps.in_slabs(trained, program, arrays, phase='test', keep=[1, 8, 9])
    assert figures == {}
    np.testing.assert_array_equal(some, whole[:, [1, 8, 9]])
    program = partial(explain_maps.compile_slab, trained, maps, arrays, networks=trained.members_alone)
    _, of_members = explain_maps.in_slabs(trained, program, arrays, phase='test', keep=np.arange(10))
    np.testing.assert_allclose(of_members, whole[: len(trained.members)], rtol=1e-4, atol=1e-6)
    variables = jax.tree.map(lambda a: a[2], trained.variables)
    alone = maps(variables, *(jnp.asarray(a[8:9]) for a in arrays))
    np.testing.assert_allclose(whole[2, 8], alone[0], rtol=1e-4, atol=1e-6)


def test_a_black_baseline_is_the_grey_value_0_as_the_network_sees_it(study):
    trained = training_trained.load(study)
    trained.config.attribution.integrated_gradients = {'steps': 4, 'baseline': 'black'}
    options = explain_maps.options_of(trained, 'integrated_gradients')
    mean, deviation = data_arrays.grey_statistics(trained.dataset.images[trained.dataset.rows('train')])
    assert options == {'steps': 4, 'baseline': pytest.approx(-mean / deviation, rel=1e-5)}
    with pytest.raises(ValueError, match=r"Unknown attribution method 'gradcam'. Did you mean 'grad_cam'"):
        explain_maps.options_of(trained, 'gradcam')

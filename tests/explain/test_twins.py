"""Stage `twins` on networks that by construction look at one finding only: effects, maps and units agree on it."""

import copy
from functools import partial

import numpy as np
import pytest
from planted import CONCEPTS, coloured, coloured_twins, looking

from imbalance_jax.explain import twin_maps, twins
from imbalance_jax.results import twins as results_twins
from imbalance_jax.results.rows import Bootstrap
from imbalance_jax.results.schema import frame, keys_of

# An arm whose logits look at their own finding, in two seeds, and one whose logit of finding 0 looks at finding 1.
OWN, WRONG = 3.0 * np.eye(3), np.array([[0, 0, 0], [2.0, 3.0, 0], [0, 0, 3.0]])
FILMS, PAIRS = 20, 5


@pytest.fixture(scope='module')
def trained(tiny_config):
    config = copy.deepcopy(tiny_config)
    config.attribution.methods = ('integrated_gradients', 'grad_cam')
    return looking([OWN, 2 * OWN, WRONG, 2 * WRONG], ['own', 'own', 'wrong', 'wrong'], coloured(), config)


@pytest.fixture(scope='module')
def rows(trained):
    return twins.test_films(trained, FILMS)


@pytest.fixture(scope='module')
def draw(trained, rows):
    return partial(coloured_twins, trained.dataset, rows)


@pytest.fixture(scope='module')
def logits(trained):
    means = trained.dataset.images.mean((1, 2)) / 255
    return np.stack([means @ kernel for kernel in np.asarray(trained.variables['params']['head']['kernel'])])


@pytest.fixture(scope='module')
def effects(trained, draw, rows, logits):
    return twins.measure_effects(trained, draw, rows, logits)


@pytest.fixture(scope='module')
def evidence(trained, draw):
    return twin_maps.measure_evidence(trained, draw, PAIRS)


def test_films_are_of_different_patients_of_the_test_split(trained, rows):
    assert len(np.unique(trained.dataset.patient[rows])) == FILMS
    assert np.isin(rows, trained.dataset.rows('test')).all()


def test_a_finding_moves_the_logits_that_look_at_it_by_what_it_adds_and_no_other(trained, effects, draw):
    kernels = np.asarray(trained.variables['params']['head']['kernel'])
    change = results_twins.changes(effects, CONCEPTS)
    for c, name in enumerate(effects.names.tolist()):
        pair = draw(name)
        added = (pair.present.mean((1, 2)) - pair.absent.mean((1, 2))) / 255  # [M,3]
        np.testing.assert_allclose(change[c], np.einsum('mu,puk->pmk', added, kernels), atol=1e-5)
        assert (change[c][:, :, kernels[0, c] == 0][:2] == 0).all()  # not by rounding either


def test_units_answer_to_their_own_finding_only(effects):
    np.testing.assert_allclose(effects.units, np.broadcast_to(0.5 + 0.5 * np.eye(3), (4, 3, 3)), atol=1e-12)
    assert (effects.p_value[:, np.eye(3, dtype=bool)] < 1e-3).all()


def test_the_exact_map_is_where_the_twins_differ_and_adds_up_to_the_change_of_the_logit(trained, draw):
    pair = draw('finding 1')
    exact = twin_maps.exact_maps(trained, pair, np.ones(FILMS, int))
    assert (exact['map'][:, ~pair.changed] == 0).all()
    np.testing.assert_allclose(exact['map'].sum((2, 3)), exact['delta'], rtol=1e-4)
    added = (pair.present - pair.absent)[..., 1].mean((1, 2)) / 255
    np.testing.assert_allclose(exact['delta'], np.outer([3, 6, 3, 6], added), rtol=1e-4)


def test_integrated_gradients_of_a_network_that_looks_at_the_finding_are_the_exact_map(evidence):
    of = evidence.figures[0]  # [P,G,F,2]
    own = (evidence.finding > 0)[None] | (np.arange(4) < 2)[:, None]
    without, present = of[own][..., 0], of[own][..., 1]
    np.testing.assert_allclose(present, 1.0, atol=1e-5)  # pixel AUROC, relevance mass, cosine
    np.testing.assert_allclose(without, np.broadcast_to([0.5, 0, 0], without.shape), atol=1e-5)
    inside = evidence.inside[0]
    np.testing.assert_allclose(inside[own], evidence.delta[own], rtol=1e-4)
    elsewhere = of[~own]  # what looks at another finding says the same with and without this one
    np.testing.assert_allclose(elsewhere[..., 1], elsewhere[..., 0], atol=1e-6)
    assert (evidence.delta[~own] == 0).all()


def test_patients_of_the_pairs_differ_between_findings(evidence):
    assert len(np.unique(evidence.patient)) == PAIRS * CONCEPTS
    assert evidence.images.shape[:2] == (CONCEPTS, 2)


@pytest.fixture(scope='module')
def table(trained, effects, evidence):
    planted = np.broadcast_to(np.eye(3, dtype=bool), (4, 3, 3)).copy()
    planted[2:, 0] = [False, True, False]  # a detector of finding 0 that answers to another
    made = results_twins.rows(
        twins.outputs.population(trained)._replace(reference='own'),
        effects,
        evidence,
        detectors=planted,
        classes=trained.dataset.classes,
        layer='stage1',
        bootstrap=Bootstrap(200, 0),
    )
    return frame('twins', [{**row, 'split': 'test'} for row in made])


def test_rows_can_be_told_apart(table):
    assert not table[keys_of(table.columns)].duplicated().any()


def test_effects_in_deviations_of_the_logit_know_no_scale(table, effects):
    own = table.query("kind == 'member' and metric == 'standard_logit_change' and concept == 'finding 1'")
    values = own[own['class'] == 'finding 1']['value'].tolist()
    assert values[0] == pytest.approx(values[1])  # twice the kernel
    change = (effects.logits[1] - effects.logits[0])[1, 0, :, 1]
    assert values[0] == pytest.approx(change.mean() / effects.deviation[0, 1])
    logit = table.query("kind == 'arm' and metric == 'logit_change' and concept == 'finding 1' and statistic == 'mean'")
    of_class = logit[logit['class'] == 'finding 1'].set_index('arm')['value']
    np.testing.assert_allclose(of_class, 1.5 * change.mean())


def test_an_arm_that_looks_elsewhere_is_found(table):
    against = table.query("against == 'own' and metric == 'standard_logit_change' and `class` == 'finding 0'")
    by_statistic = against.set_index('statistic')['value']
    assert by_statistic['high'] < 0
    assert by_statistic['p_adjusted'] < 0.01
    moved = table.query("kind == 'arm' and arm == 'wrong' and `class` == 'finding 0' and concept == 'finding 1'")
    assert moved.query("metric == 'standard_logit_change' and statistic == 'low'")['value'].item() > 0


def test_maps_hold_more_where_the_finding_does_more_only_if_they_are_of_it(table):
    correlation = table.query("kind == 'member' and method == 'integrated_gradients' and metric == 'rank_correlation'")
    assert correlation.set_index('member')['value'][0] == pytest.approx(1.0)
    error = table.query("metric == 'completeness_error'")['value']
    assert (error < 1e-3).all()


def test_detectors_that_answer_to_something_else_cost_precision(table):
    means = table.query("statistic == 'value' and metric == 'detector_precision'").set_index(
        ['kind', 'member', 'concept']
    )
    value = means['value']
    assert value['member', 0, 'all concepts'] == 1.0
    assert value['member', 2, 'all concepts'] == pytest.approx(2 / 3)
    assert value['member', 2, 'finding 0'] == 0.0
    assert value['null level', 2, 'all concepts'] == pytest.approx(1 / 3)
    recall = table.query("kind == 'member' and metric == 'detector_recall' and concept == 'all concepts'")
    assert recall['value'].tolist() == pytest.approx([1, 1, 2 / 3, 2 / 3])

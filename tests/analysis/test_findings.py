"""What the first screen says follows from the tables by fixed rules: planted differences are found, and only those."""

import shutil

import pytest
from noise_study import make_workdir
from planted_tables import plant

from imbalance_jax.analysis.report import answer, findings, page, study, verdicts
from imbalance_jax.analysis.report.contrasts import Contrast

OTHERS = ('focal', 'inter_class_weighted_bce')
REAL = (0.1, 0.001)  # a difference and its corrected p


@pytest.fixture(scope='module')
def noise(tmp_path_factory):
    return make_workdir(tmp_path_factory.mktemp('findings'))


@pytest.fixture
def planted(noise, tmp_path):
    """A function that plants differences in a copy of the study and reads it."""

    def make(**differences):
        folder = shutil.copytree(noise, tmp_path / 'run', dirs_exist_ok=True)
        return study.load(plant(folder, **{'maps': {}, 'units': 0.5, 'whole_maps': 0.5, **differences}))

    return make


def headline(loaded) -> str:
    return answer.headline(loaded, answer.shown(loaded))


def test_a_difference_that_only_maps_show_is_found(planted):
    loaded = planted(equal=OTHERS, maps={'focal': REAL})
    assert headline(loaded).startswith('Found: the maps of focal differ')
    assert 'focal: Grad-CAM +0.100' in answer.of_maps(loaded, answer.shown(loaded))


def test_a_difference_that_only_units_show_is_found(planted):
    loaded = planted(equal=OTHERS, units=(0.001, {'focal': 0.01}))
    assert headline(loaded).startswith('Found: the units of focal differ')


def test_units_that_differ_among_arms_that_are_all_equal_are_found_without_a_name(planted):
    loaded = planted(equal=OTHERS, units=0.001)
    assert headline(loaded).startswith('Found: units differ between arms')
    assert 'no single arm can be named' in answer.of_units(loaded, answer.shown(loaded))


@pytest.mark.parametrize(('given', 'start'), [(0.01, 'Found: units differ'), (0.5, 'Units differ, between arms')])
def test_units_that_differ_beyond_what_performance_explains_are_found(planted, given, start):
    loaded = planted(performance={'focal': (0.05, 0.001)}, units=0.001, given_performance=given)
    assert headline(loaded).startswith(start)


def test_no_difference_is_not_found(planted):
    loaded = planted(equal=OTHERS)
    assert headline(loaded).startswith('Not found')
    assert not answer.shown(loaded).maps.real


@pytest.mark.parametrize('performance', [None, {'focal': (0.05, 0.001)}])
def test_maps_that_differ_at_another_performance_are_not_called_hidden(planted, performance):
    loaded = planted(performance=performance, maps={'focal': REAL})
    assert headline(loaded).startswith('Maps differ, between arms that are not shown to be equal')


def test_what_is_not_shown_to_differ_is_not_called_equal(planted):
    loaded = planted()
    shown = answer.shown(loaded).performance
    assert [one.state for one in shown] == [verdicts.OPEN] * 2
    assert 'none is shown to be equal' in answer.of_performance(loaded, shown)
    assert [one.state for one in answer.shown(planted(equal=('focal',))).performance] == [verdicts.EQUAL, verdicts.OPEN]


def test_a_difference_below_the_smallest_of_interest_is_no_finding(planted):
    loaded = planted(equal=OTHERS, maps={'focal': (0.01, 0.001)})
    assert headline(loaded).startswith('Not found')
    shown = answer.shown(loaded)
    assert [one.arm for one in shown.maps.small] == ['focal']
    assert any('smaller than the smallest effect' in one.statement for one in findings.findings(loaded, shown))


def test_maps_are_one_family_with_the_tests_of_whole_maps(planted):
    """Two arms with p of 0.02 and a test of all arms: Holm over three, 0.06 for the smallest."""
    maps = answer.shown(planted(equal=OTHERS, maps={'focal': (0.1, 0.02)}, whole_maps=0.5)).maps
    assert [round(one.p_adjusted, 6) for one in maps.contrasts] == [0.06, 1.0]
    assert [round(one.p_adjusted, 6) for one in maps.tests] == [1.0]


def test_every_arm_stands_in_the_table_with_its_p(planted):
    loaded = planted(performance={'focal': (0.05, 0.001)}, maps={'focal': REAL})
    table = findings.every_arm(loaded, answer.shown(loaded))
    assert [name for name, _ in table.rows] == list(OTHERS)
    first = dict(zip(table.head, table.rows[0][1], strict=True))
    assert first['performance'].text == verdicts.DIFFERS
    assert first['macro AUROC'].marked
    assert first['macro AUROC'].below == '[+0.040, +0.060] p 0.001'
    assert not dict(zip(table.head, table.rows[1][1], strict=True))['macro AUROC'].marked


def test_training_that_ended_too_early_is_said(planted):
    loaded = planted()
    late = [{**line, 'validation_auroc': line['epoch'] / 10} for line in loaded.lines]
    assert 'still improving: the last epoch is the best of 6 of 6 members' in answer.training(
        loaded._replace(lines=late)
    )
    early = [{**line, 'validation_auroc': -line['epoch'] / 10} for line in loaded.lines]
    assert answer.training(loaded._replace(lines=early)) == 'after 2 epochs of training'


def test_a_study_of_before_these_tests_says_so(noise):
    loaded = study.load(noise)
    assert 'above the regions of other patients' in answer.of_maps(loaded, answer.shown(loaded))
    assert 'not compared above shuffled regions' in page.render(loaded)


def test_no_difference_is_found_with_power_that_is_larger_than_any_can_be():
    def test(half: float) -> Contrast:
        return Contrast('focal', None, 0.0, -half, half, 1.0, 1.0, 1.0, 2)

    assert answer.smallest_shown([test(0.1)]) == '0.143'
    assert answer.smallest_shown([test(0.1), test(2.0), test(2.0)]) == 'none up to 1'
    assert answer.smallest_shown([]) == ''

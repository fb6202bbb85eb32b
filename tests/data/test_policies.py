"""Label policies: counts of public tables, rebuilt from their published marginals, and rules cell by cell."""

import dataclasses
import itertools

import numpy as np
import pytest

from imbalance_jax.data import policies
from imbalance_jax.data.dataset import ABSENT, NOT_MENTIONED, NOT_READ, PRESENT, UNCERTAIN
from imbalance_jax.data.policies import Policy

CELLS = (PRESENT, ABSENT, UNCERTAIN, NOT_MENTIONED, NOT_READ)
# Cells of CheXpert's 223,414 training images: present, absent, uncertain, not mentioned.
CHEXPERT = {
    'No Finding': (22381, 0, 0, 201033),
    'Atelectasis': (33376, 1328, 33739, 154971),
    'Edema': (52246, 20726, 12984, 137458),
    'Cardiomegaly': (27000, 11116, 8087, 177211),
    'Fracture': (9040, 2512, 642, 211220),
}
# Images of VinDr-CXR's Kaggle version that one reader or more, two or more, and all three mark.
VINDR = {'Aortic enlargement': (3067, 2346, 1744), 'Pneumothorax': (96, 58, 45), 'Other lesion': (1134, 362, 127)}


def chexpert() -> np.ndarray:
    columns = [np.repeat(CELLS[:4], counts).astype(np.int8) for counts in CHEXPERT.values()]
    return np.stack(columns, axis=1)[None]


def prevalence(name: str, policy: Policy) -> float:
    labels, mask = policies.reduce_cells(chexpert(), [('', '')], tuple(CHEXPERT), policy=policy)
    k = list(CHEXPERT).index(name)
    return round(100 * float(labels[:, k].sum() / mask[:, k].sum()), 1)


@pytest.mark.parametrize(
    ('name', 'percent'), [('empty_ignored', 96.2), ('u_ignore', 17.6), ('u_zeros', 14.9), ('u_ones', 30.0)]
)
def test_prevalences_of_chexpert(name, percent):
    assert prevalence('Atelectasis', policies.POLICIES[name]) == percent


def test_the_best_rule_is_per_class_and_leaves_out_what_it_does_not_name():
    best = policies.POLICIES['u_best']
    assert prevalence('Edema', best) == prevalence('Edema', policies.POLICIES['u_ones'])
    assert prevalence('Cardiomegaly', best) == prevalence('Cardiomegaly', policies.POLICIES['u_zeros'])
    assert prevalence('Fracture', best) == prevalence('Fracture', policies.POLICIES['u_ignore'])


@pytest.mark.parametrize(('rule', 'column'), [('any', 0), ('majority', 1), ('all', 2)])
def test_readers_of_vindr(rule, column):
    """Three of five readers read each image; the other two have not."""
    marks = np.stack([np.repeat([3, 2, 1, 0], [c, b - c, a - b, 15000 - a]) for a, b, c in VINDR.values()], axis=1)
    rng = np.random.default_rng(0)
    order = rng.permuted(np.tile(np.arange(5), (15000, 1)), axis=1)  # the first three of a row read its image
    cells = np.full((5, *marks.shape), NOT_READ, np.int8)
    for place in range(3):
        cells[order[:, place], np.arange(15000)] = np.where(marks > place, PRESENT, ABSENT)
    readings = [('', f'R{i}') for i in range(5)]
    labels, mask = policies.reduce_cells(cells, readings, tuple(VINDR), policy=Policy(readers=rule))
    assert labels.sum(0).tolist() == [counts[column] for counts in VINDR.values()]
    assert mask.all()


@pytest.mark.parametrize('readers', policies.READER_RULES)
@pytest.mark.parametrize('empty', ['zeros', 'ignore'])
@pytest.mark.parametrize('uncertain', policies.UNCERTAIN_RULES)
def test_every_triple_of_cells_by_hand(uncertain, empty, readers):
    """All 125 triples of three readings against the rules written out in Python for one cell."""
    triples = list(itertools.product(CELLS, repeat=3))
    cells = np.array(triples, np.int8).T[:, :, None]
    policy = Policy(uncertain=uncertain, empty=empty, readers=readers)
    labels, mask = policies.reduce_cells(cells, [('', 'a'), ('', 'b'), ('', 'c')], ('Mass',), policy=policy)
    means = {PRESENT: 1, ABSENT: 0, UNCERTAIN: {'zeros': 0, 'ones': 1}.get(uncertain), NOT_READ: None}
    means[NOT_MENTIONED] = 0 if empty == 'zeros' else None
    for triple, label, counts in zip(triples, labels[:, 0], mask[:, 0], strict=True):
        read = [cell for cell in triple if cell != NOT_READ][: 1 if readers == 'one' else 3]
        votes = [means[cell] for cell in read if means[cell] is not None]
        assert counts == bool(votes), triple
        wanted = {'any': any(votes), 'all': all(votes), 'majority': 2 * sum(votes) > len(votes), 'one': any(votes)}
        assert label == (bool(votes) and wanted[readers]), triple


def test_no_finding_makes_silence_a_no_of_findings_but_not_of_devices():
    classes = ('No Finding', 'Edema', 'Support Devices')
    cells = np.array([[[PRESENT, NOT_MENTIONED, NOT_MENTIONED], [NOT_MENTIONED, NOT_MENTIONED, PRESENT]]], np.int8)
    policy = policies.POLICIES['empty_if_no_finding']
    labels, mask = policies.reduce_cells(cells, [('', '')], classes, policy=policy)
    assert labels.tolist() == [[1, 0, 0], [0, 0, 1]]
    assert mask.tolist() == [[1, 1, 0], [1, 0, 1]]
    with pytest.raises(ValueError, match="needs a class 'No Finding'; there are Edema"):
        policies.reduce_cells(cells[:, :, 1:], [('', '')], classes[1:], policy=policy)


def test_a_reader_and_a_version_by_name():
    cells = np.array([[[PRESENT]], [[ABSENT]], [[ABSENT]]], np.int8)
    readings = [('2017', 'ann'), ('2017', 'bob'), ('2020', 'ann')]

    def label(**fields):
        return policies.reduce_cells(cells, readings, ('Mass',), policy=Policy(**fields))[0].item()

    assert [label(readers='ann'), label(readers='bob'), label(version='2020')] == [1, 0, 0]
    with pytest.raises(ValueError, match="Unknown version of the labels: '2019'"):
        label(version='2019')
    with pytest.raises(ValueError, match=r"'bob'.*ann"):
        label(version='2020', readers='bob')


@pytest.mark.parametrize(
    ('fields', 'said'),
    [
        ({'uncertian': 'ones'}, "Did you mean 'uncertain'"),
        ({'uncertain': 'one'}, "Did you mean 'ones'"),
        ({'uncertain': {'Edema': 'yes'}}, 'Known: ignore, ones, zeros'),
        ({'empty': 'ones'}, "rule of config.data.policies.mine.empty: 'ones'"),
        ({'readers': 3}, 'readers is 3; it must be a word'),
        ('u_ones', 'it must be a block'),
    ],
)
def test_a_policy_of_ones_own_says_what_is_wrong(fields, said):
    with pytest.raises(ValueError, match=said):
        policies.named({'mine': fields})


def test_own_policies_join_those_that_are_built_in():
    own = {'mine': {'uncertain': {'Edema': 'ones', '*': 'zeros'}}}
    known = policies.named(own)
    assert known['mine'] == dataclasses.replace(Policy(), uncertain={'Edema': 'ones', '*': 'zeros'})
    assert known['u_ones'].uncertain == 'ones'
    with pytest.raises(ValueError, match='has a meaning already'):
        policies.named({'own': {}})


def test_a_policy_of_the_name_of_another_is_refused():
    with pytest.raises(ValueError, match=r"data\.policies\.u_ones is another policy than 'u_ones' is everywhere"):
        policies.named({'u_ones': {'uncertain': 'zeros'}})
    assert policies.named({'u_ones': {'uncertain': 'ones'}})['u_ones'] == policies.POLICIES['u_ones']

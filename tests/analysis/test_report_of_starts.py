"""What the report says of the weights that members began with."""

from types import SimpleNamespace

import pytest

from imbalance_jax.analysis.report import elsewhere, starts, style

IMAGENET = {
    'channels': 3,
    'mean': [0.485, 0.456, 0.406],
    'std': [0.229, 0.224, 0.225],
    'low': 0.0,
    'high': 1.0,
    'resize': 0,
    'crop': 0,
    'interpolation': 'bilinear',
}
XRV = {**IMAGENET, 'channels': 1, 'mean': [0.0], 'std': [1.0], 'low': -1024.0, 'high': 1024.0}
SIZED = {**XRV, 'resize': 256, 'crop': 224}


def facts(**fields):
    known = {'file': 'there/w.pth', 'name': 'W', 'sha256': 'ab', 'container': 'zip', 'head': 'new', 'trained_size': 224}
    return {**known, 'trained_on': ['imagenet'], 'preprocessing': IMAGENET, 'seen': {}, **fields}


def study(arms, given):
    members = [{'arm': arm, 'seed': seed, 'weights': name} for arm, name in arms.items() for seed in (0, 1)]
    return SimpleNamespace(
        members=members,
        arms=list(arms),
        reference=next(iter(arms)),
        others=list(arms)[1:],
        starts=given,
        adopted=False,
        not_here=False,
        predicted=True,
        has_features=False,
        paired=True,
        config={'question': 'Why?', 'data': {'image_size': 64}, 'train': {'epochs': 2}, 'seeds': (0, 1)},
        rows=lambda arm: [row for row in members if row['arm'] == arm],
    )


def test_nothing_is_said_where_all_networks_are_drawn():
    one = starts.section(study({'a': 'random', 'b': ''}, {}))
    assert not any((one['began'], one['seen'], one['sizes'], one['table'].rows))
    assert 'start from the same weights and draw' in one['lead']
    assert 'initial weights' in one['before']


@pytest.mark.parametrize('arms', [{'a': 'w', 'b': 'w'}, {'a': 'random', 'b': 'w'}])
def test_sentences_are_about_what_members_began_as(arms):
    one = starts.section(study(arms, {'w': facts()}))
    assert ('all members start from the same weights' in one['lead']) == (arms['a'] == 'w')
    assert ('arms start from different weights' in one['lead']) == (arms['a'] == 'random')
    assert one['began'] == ('a, b: W (w.pth)' if arms['a'] == 'w' else 'a: random weights; b: W (w.pth)')
    assert one['sizes'] == ['W (w.pth) was trained on images of 224 pixels, and meets 64 here']
    assert 'new head' in one['before']
    kept = starts.section(study(arms, {'w': facts(head='kept')}))
    assert 'new head' not in kept['before']
    assert 'their own head' in kept['before']


def test_weights_that_may_know_the_test_patients_are_flagged():
    given = facts(trained_on=['nih', 'chexpert'], seen={'nih_chest_xray14': 'nih'}, preprocessing=SIZED)
    one = starts.section(study({'a': 'w'}, {'w': given}))
    [line] = one['seen']
    assert 'was trained on images of nih, chexpert' in line
    assert 'nih_chest_xray14 (images of nih)' in line
    assert not one['sizes']  # images are resized
    cells = [cell.text for cell in one['table'].rows[0][1]]
    wanted = 'one channel; -1024 + 2048 v, v in 0..1; shorter side resized to 256 (bilinear); middle 224 pixels'
    assert cells == ['W', 'ab', 'zip', wanted, 'new', 'nih, chexpert']


def test_pictures_of_networks_that_are_no_pairs_speak_of_networks():
    def texts(wording):
        fig = style.figure(1.0)
        fig.suptitle('Single seeds, paired by seed')
        with style.speaking(wording):
            style.panel(fig, '')
        return fig.get_suptitle()

    assert texts(elsewhere.worded_text) == 'Single networks, not paired'
    assert texts(None) == 'Single seeds, paired by seed'


@pytest.mark.parametrize(
    ('arms', 'said'),
    [
        ({'a': 1}, 'of 1 network'),
        ({'a': 3}, 'of 3 networks'),
        ({'a': 1, 'b': 1}, 'of 1 network each'),
        ({'a': 1, 'b': 3, 'c': 2}, 'of 1 to 3 networks each'),
    ],
)
def test_numbers_of_networks_that_are_no_pairs(arms, said):
    members = [{'arm': arm, 'seed': seed} for arm, count in arms.items() for seed in range(count)]
    given = study(dict.fromkeys(arms, ''), {})
    given.members, given.paired, given.adopted = members, False, True
    given.rows = lambda arm: [row for row in members if row['arm'] == arm]
    one = starts.comparisons(given)
    assert one['times'] == said
    assert one['models'] == style.plural(len(members), 'model')

"""Networks that were trained elsewhere: what is said of them, heads by the names of their outputs, and errors."""

from types import SimpleNamespace

import numpy as np
import pytest
from ml_collections import ConfigDict

from imbalance_jax.losses import UNKNOWN
from imbalance_jax.models.odds import against_others
from imbalance_jax.training import adopt, adopt_files, adopt_members, calibration, members
from imbalance_jax.training.adopt_members import Adopted
from imbalance_jax.training.start import Start

SPLIT_OF = {'validation': 1, 'test': 2}


def one_dataset(classes):
    return type('OnlyClasses', (), {'classes': tuple(classes), 'info': {'name': 'mine'}})()


def a_file(outputs, names=(), seed=0):
    random = np.random.default_rng(seed)
    head = {'kernel': random.normal(size=(5, outputs)), 'bias': random.normal(size=outputs)}
    facts = dict.fromkeys(adopt_files.TOLD, '') | {'classes': list(names)}
    return Start(facts, {'params': {'head': head}, 'batch_stats': {}})


def logits_of(variables, x):
    head = variables['params']['head']
    return x @ head['kernel'] + head['bias']


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('arm,seed,weights,weights\nbce,0,a.pth,b.pth\n', "has the column 'weights' twice"),
        ('', "has no column 'arm'; it has none"),
        ('arm,seed,wights\nbce,0,a.pth\n', "has no column 'weights'; it has 'arm', 'seed', 'wights'"),
        ('arm;seed;weights\nbce;0;a.pth\n', "has no column 'arm'; it has 'arm;seed;weights', separated by commas"),
    ],
)
def test_a_table_of_members_with_other_columns_is_one_line(tmp_path, text, said):
    (tmp_path / 'members.csv').write_text(text)
    with pytest.raises(ValueError, match=said):
        adopt_members.from_table(tmp_path / 'members.csv')


def test_weights_may_lie_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'members.csv').write_text('arm,seed,weights\nbce,0,~/a.pth\n')
    for (one,) in (
        adopt_members.from_texts(['arm=bce,seed=0,weights=~/a.pth']),
        adopt_members.from_table(tmp_path / 'members.csv'),
    ):
        assert one.weights == str(tmp_path / 'a.pth')


def test_members_are_what_texts_and_tables_say(tmp_path):
    text = 'arm=focal,seed=3,weights=a.pth,loss=focal,gamma=1.5,classes=Mass|Effusion'
    [one] = adopt_members.from_texts([text])
    assert (one.arm, one.seed, one.loss, one.hyper, one.link) == ('focal', 3, 'focal', {'gamma': 1.5}, 'sigmoid')
    assert one.classes == ('Mass', 'Effusion')
    table = tmp_path / 'members.csv'
    table.write_text('arm,seed,weights,loss,gamma,classes\nfocal,3,a.pth,focal,1.5,Mass|Effusion\nbce,0,b.pth,,,\n')
    (tmp_path / 'a.pth').write_bytes(b'')
    first, second = adopt_members.from_table(table)
    assert first._replace(where='', weights='') == one._replace(where='', weights='')
    assert first.weights == str(tmp_path / 'a.pth')
    assert (second.loss, second.hyper) == (UNKNOWN, {})
    table.write_text('arm,seed,weights\nfocal,3.0,a.pth\n')  # as pandas writes a column with an empty cell
    assert adopt_members.from_table(table)[0].seed == 3
    table.write_text('arm,seed,weights,loss\nfocal,3,a.pth,"\nbce,0,b.pth,"\nbce,1,c.pth,\n')
    with pytest.raises(ValueError, match='line 2: a quote'):  # it would swallow a network
        adopt_members.from_table(table)
    table.write_text('arm,seed,weights\nfocal,3,a.pth\n', encoding='utf-16')
    assert adopt_members.from_table(table)[0].arm == 'focal'


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('arm=a,seed=0', "'weights' is missing"),
        ('arm=a,seed=-1,weights=w', "seed is '-1'"),
        ('arm=a,seed=0,weights=w,gamma=2', 'gamma'),
        ('arm=a,seed=0,weights=w,loss=focal,gama=2', 'gama'),
        ('arm=a,seed=0,weights=w,loss=focal,gamma=x', 'a number'),
        ('arm=a,seed=0,weights=w,link=tanh', 'tanh'),
        ('arm=a,seed=0,weights=w,loss=focal,link=softmax', 'sigmoid'),
        ('arm=a,arm=b,seed=0,weights=w', 'twice'),
        ('arm=a,seed=0,weights=w,classes=A|B|A', "'A' twice"),
        ('weights.pth', 'FIELD=VALUE'),
    ],
)
def test_a_member_that_cannot_be_is_one_line(text, said):
    with pytest.raises(ValueError, match=said) as error:
        adopt_members.from_texts([text])
    assert '\n' not in str(error.value)


def test_a_population_needs_a_reference_and_different_seeds():
    bce = [Adopted('bce', seed, 'w', where=f'number {seed}') for seed in (0, 1)]
    focal = Adopted('focal', 7, 'w', where='number 7')
    adopt_members.check([*bce, focal], 'bce', paired=False)
    for given, reference, paired, said in (
        ([], 'bce', False, 'No member'),
        ([*bce, bce[0]], 'bce', False, 'seed 0 twice'),
        ([*bce, focal], 'asymmetric', False, 'Arms: bce, focal'),
        ([*bce, focal], 'bce', True, 'same seeds'),
        ([*bce, focal, focal._replace(seed=8, loss='focal')], 'bce', False, 'differ in loss'),
        ([*bce, focal, bce[1]._replace(arm='Bce')], 'bce', False, "arms 'bce' and 'Bce' differ in the case"),
        ([*bce, focal._replace(arm='focal_0.5')], 'bce', False, "number 7: the arm 'focal_0.5' has a dot.*'focal_0_5'"),
    ):
        with pytest.raises(ValueError, match=said):
            adopt_members.check(given, reference, paired=paired)


def test_one_network_is_no_two_members(capsys):
    """The same parameters in two files, under two seeds or two arms; files that differ in a bit are two networks."""
    files = {'a.pth': a_file(4), 'b.npz': a_file(4), 'c.pth': a_file(4, seed=1)}
    files['b.npz'].variables['params']['head'] = dict(reversed(files['b.npz'].variables['params']['head'].items()))
    a, b = Adopted('bce', 0, 'a.pth', where='number 0'), Adopted('bce', 1, 'b.npz', where='number 1')
    c = Adopted('bce', 1, 'c.pth', where='number 2')
    adopt_files.check_different([a, c], files)
    for twin in (b, b._replace(arm='focal'), b._replace(weights='a.pth'), b._replace(link='softmax')):
        with pytest.raises(ValueError, match='number 0 and number 1 are one network') as error:
            adopt_files.check_different([a, c._replace(seed=2), twin], files)
        assert '\n' not in str(error.value)
    assert not capsys.readouterr().out
    adopt_files.check_different([a, b._replace(arm='other', link='softmax')], files)
    assert 'arms bce and other differ in what is made of it only' in capsys.readouterr().out
    files['b.npz'].variables['params']['head']['bias'][0] = np.nextafter(
        a_file(4).variables['params']['head']['bias'][0], 9
    )
    adopt_files.check_different([a, b], files)


def test_an_exported_file_is_of_the_network_that_it_says(capsys):
    adopted = adopt_members.from_texts(['arm=a,seed=0,weights=a.safetensors'])
    own = {'architecture': 'cnn', 'options': 'widths [4, 8]', 'image': '[20, 20, 1]', 'loss': 'bce', 'link': 'sigmoid'}
    files = {'a.safetensors': Start({'exported': own, 'classes': ['Mass', 'Edema']}, {})}

    def check(image=(20, 20, 1), **options):
        config = ConfigDict({'model': {'name': 'cnn', 'cnn': {'widths': [4, 8], **options}}})
        adopt_files.check_exports(config, adopted, files, image)

    check(stem_stride=1)  # its default
    assert not capsys.readouterr().out
    check(widths=(4, 8))
    with pytest.raises(ValueError, match=r'from a network with stem_stride 1, and .*cnn\.stem_stride is 2'):
        check(stem_stride=2)
    with pytest.raises(ValueError, match=r'with widths \[4, 8\], and .*cnn\.widths is \[4, 8, 16\]'):
        check(widths=(4, 8, 16))
    files['a.safetensors'].facts['exported']['options'] = 'widths [16, 32, 64], pools 2'  # as by default
    config = ConfigDict({'model': {'name': 'cnn', 'cnn': {}}})
    adopt_files.check_exports(config, adopted, files, (20, 20, 1))
    files['a.safetensors'].facts['exported']['options'] = 'widths [4, 8]'
    check(image=(18, 18, 1))
    assert 'was trained on images [20, 20, 1], and here they are [18, 18, 1]' in capsys.readouterr().out
    adopted[0] = adopted[0]._replace(classes=('Mass', 'Oedema'), loss='focal')
    check()
    said = capsys.readouterr().out
    assert 'classes=Mass|Oedema, and a.safetensors says that its outputs are Mass|Edema.' in said
    assert 'loss=focal, and a.safetensors says that it was trained with bce.' in said
    adopted[0] = adopted[0]._replace(link='softmax')
    check()
    assert 'link=softmax, and a.safetensors says that it is sigmoid.' in capsys.readouterr().out
    files['a.safetensors'].facts['exported'] |= {'arm': 'b', 'loss': 'focal', 'hyper': '{"gamma": 2.0}'}
    adopted[0] = adopted[0]._replace(hyper={'gamma': 5.0})
    check()
    said = capsys.readouterr().out
    assert 'arm=a, and a.safetensors says that it is of arm b.' in said
    assert 'gamma=5.0, and a.safetensors says that it is 2.0.' in said
    adopted[0] = adopted[0]._replace(classes=('Edema', 'Mass'))
    with pytest.raises(ValueError, match=r'says that its outputs are Mass\|Edema: leave classes out'):
        check()
    files['a.safetensors'].facts['exported'] = {}  # of somebody else's
    check(stem_stride=2)


def test_the_link_of_an_exported_file_is_what_it_says():
    dataset = one_dataset(['Mass', 'Edema'])
    dataset.info['task'] = 'multi_class'
    config = ConfigDict({'model': {'allow_seen_patients': True}})
    exported = a_file(2, ['Mass', 'Edema'])
    exported.facts.update({'exported': {'link': 'sigmoid'}, 'trained_on': []})
    others = a_file(2, ['Mass', 'Edema'])
    others.facts.update({'exported': {}, 'trained_on': []})
    for file, link, found in ((exported, '', 'sigmoid'), (exported, 'softmax', 'softmax'), (others, '', 'softmax')):
        one = Adopted('a', 0, 'a.pth', link, where='a')
        (fitted,) = adopt.fit(config, [one], {'a.pth': file}, dataset=dataset, others=[])
        assert fitted.link == found


def test_networks_that_rank_as_the_absence_of_a_finding_are_said(capsys):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (60, 2)).astype(np.uint8)
    split = np.repeat([0, 1, 2], 20)
    mask = np.ones_like(labels)
    dataset = SimpleNamespace(labels=labels, label_mask=mask, rows=lambda name: np.flatnonzero(split == SPLIT_OF[name]))
    good = labels + rng.normal(0, 0.3, labels.shape)
    logits = {name: np.stack([good, -good, rng.normal(size=good.shape)])[:, split == k] for name, k in SPLIT_OF.items()}
    adopt.tell_inverted(['a', 'b', 'c'], logits, dataset)
    said = '1 of 3 networks have an AUROC below 0.3 in every class, as probabilities of the absence of a finding have'
    assert capsys.readouterr().out == f'{said}: b.\n'
    adopt.tell_inverted(['a'], {name: one[:1] for name, one in logits.items()}, dataset)
    assert not capsys.readouterr().out


def test_outputs_are_found_by_their_names():
    x, file = np.random.default_rng(1).normal(size=(3, 5)), a_file(4, ['Mass', '', 'Pleural_Effusion', 'Edema'])
    one = Adopted('a', 0, 'a.pth', where='a')
    fitted = adopt_files.fit(one, file, one_dataset(['Effusion', 'Mass']), link='sigmoid')
    np.testing.assert_array_equal(logits_of(fitted.variables, x), logits_of(file.variables, x)[:, [2, 0]])
    with pytest.raises(ValueError, match='no output is called Hernia'):
        adopt_files.fit(one, file, one_dataset(['Mass', 'Hernia']), link='sigmoid')
    with pytest.raises(ValueError, match='softmax also has the outputs'):
        adopt_files.fit(one, file, one_dataset(['Mass', 'Edema']), link='softmax')
    with pytest.raises(ValueError, match='4 outputs'):
        adopt_files.fit(one, a_file(4), one_dataset(['Mass', 'Edema']), link='sigmoid')


def test_a_softmax_of_two_is_the_log_odds_of_one_class():
    x, file = np.random.default_rng(1).normal(size=(3, 5)), a_file(2, ['normal', 'Mass'])
    fitted = adopt_files.fit(Adopted('a', 0, 'a.pth', where='a'), file, one_dataset(['Mass']), link='softmax')
    want = np.asarray(against_others(logits_of(file.variables, x)))[:, 1:]
    np.testing.assert_allclose(logits_of(fitted.variables, x), want, atol=1e-5)
    assert fitted.link == 'sigmoid'


def test_rows_say_no_more_than_is_known_and_have_arrays():
    row = adopt_members.row(0, Adopted('a', 4, 'a.pth'), {'file': 'a.pth'}, link='softmax', paired=False)
    assert not {'learning_rate', 'weight_decay', 'head', 'labels'} & set(row)
    arrays = members.member_arrays([row], own_order=True)
    assert (arrays.softmax.tolist(), arrays.seed.tolist()) == ([1], [4])


def test_probabilities_of_an_unknown_loss_are_those_of_the_network():
    row = adopt_members.row(0, Adopted('a', 4, 'a.pth'), {}, link='sigmoid', paired=False)
    logits = {split: np.random.default_rng(0).normal(size=(1, 6, 2)) for split in ('validation', 'test')}
    made = calibration.recalibrated([row], [None], {}, logits=logits, validation=None, done=np.ones(1))
    np.testing.assert_array_equal(made.log_odds['test'], logits['test'])
    assert made.method == {'a': calibration.AS_SAID}


def test_nothing_is_left_half_made(tmp_path):
    with pytest.raises(NotADirectoryError), adopt.unfinished(tmp_path / 'wd') as folder:
        (folder / 'members.json' / 'x').write_text('[]' if (folder / 'members.json').write_text('[]') else '')
    assert not list(tmp_path.iterdir())
    with adopt.unfinished(tmp_path / 'wd') as folder:
        (folder / 'members.json').write_text('[]')
    assert [path.name for path in (tmp_path / 'wd').iterdir()] == ['members.json']
    with pytest.raises(ValueError, match='holds files'):
        adopt.check_free(tmp_path / 'wd')

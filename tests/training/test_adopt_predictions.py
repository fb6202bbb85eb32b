"""Predictions that were made elsewhere: tables are matched by names, and what does not fit is one line."""

import numpy as np
import pandas as pd
import pytest

from imbalance_jax.data.dataset import SPLITS
from imbalance_jax.system.workdir import read_arrays
from imbalance_jax.training import adopt_recorded, adopt_tables
from imbalance_jax.training.trained import check_trained


class FewImages:
    """What a table is matched to."""

    def __init__(self, task='multi_label'):
        self.image_id = np.array([f'a/{number:02d}.png' for number in range(6)])
        self.split = np.array([0, 1, 1, 2, 2, 2])
        self.classes = ('Mass', 'Effusion')
        self.info = {'name': 'mine', 'task': task}

    def rows(self, split):
        return np.flatnonzero(self.split == SPLITS.index(split))


def a_table(arms=(('focal', 1), ('bce', 0))):
    random, data = np.random.default_rng(0), FewImages()
    lines = [(image, arm, seed) for arm, seed in arms for image in data.image_id[1:]]
    table = pd.DataFrame(lines, columns=list(adopt_tables.KEYS))
    values = random.uniform(0.05, 0.95, (len(table), 2))
    return table.assign(Pleural_Effusion=values[:, 0], Mass=values[:, 1])


def read(table, folder, *, name='p.csv', values='probabilities', task='multi_label'):
    path = folder / name
    if name.endswith('.parquet'):
        table.to_parquet(path)
    elif name.endswith('.npz'):
        np.savez(path, **{c: table[c].to_numpy() if c[0] in 'PM' else table[c].to_numpy(str) for c in table})
    else:
        table.to_csv(path, index=False)
    return adopt_tables.read(path, FewImages(task), values)


@pytest.mark.parametrize('name', ['p.csv', 'p.parquet', 'p.npz'])
def test_predictions_go_to_their_images_and_classes(tmp_path, name):
    table = a_table()
    shuffled = table.sample(frac=1, random_state=1)
    found = read(shuffled.assign(image=shuffled['image'].str.slice(2, 4)), tmp_path, name=name)  # names without folders
    assert found.networks == [('bce', 0), ('focal', 1)]
    want = table[table['arm'] == 'focal'][['Mass', 'Pleural_Effusion']].to_numpy()
    np.testing.assert_allclose(1 / (1 + np.exp(-found.log_odds['validation'][1])), want[:2], rtol=1e-12)
    np.testing.assert_allclose(1 / (1 + np.exp(-found.log_odds['test'][1])), want[2:], rtol=1e-12)


def test_a_table_in_utf_16_is_read(tmp_path):
    a_table().to_csv(tmp_path / 'p.csv', index=False, encoding='utf-16')
    assert adopt_tables.read(tmp_path / 'p.csv', FewImages(), 'probabilities').networks == [('bce', 0), ('focal', 1)]


def test_seeds_may_be_whole_numbers_with_a_point(tmp_path):
    table = a_table()
    assert read(table.assign(seed=table['seed'].astype(float)), tmp_path).networks == [('bce', 0), ('focal', 1)]


def test_lines_may_end_as_on_an_old_mac(tmp_path):
    text = a_table().to_csv(index=False)
    (tmp_path / 'p.csv').write_text(text.replace('\n', '\r'), newline='')
    assert adopt_tables.read(tmp_path / 'p.csv', FewImages(), 'probabilities').networks == [('bce', 0), ('focal', 1)]


def test_a_first_line_may_say_what_separates_columns(tmp_path):
    for separator in ',;':
        text = a_table().to_csv(index=False, sep=separator)
        (tmp_path / 'p.csv').write_text(f'sep={separator}\n{text}')
        found = adopt_tables.read(tmp_path / 'p.csv', FewImages(), 'probabilities')
        assert found.networks == [('bce', 0), ('focal', 1)]


def test_decisions_of_one_network_and_columns_that_are_equal_are_said(tmp_path, capsys):
    table = a_table()
    read(table, tmp_path)
    assert capsys.readouterr().out == ''
    of_bce = table['arm'] == 'bce'
    read(table.assign(Mass=table['Mass'].where(~of_bce, (np.arange(len(table)) % 2).astype(float))), tmp_path)
    said = capsys.readouterr().out
    assert 'where probabilities are expected: Mass of arm bce, seed 0.' in said
    read(table.assign(Pleural_Effusion=table['Mass']), tmp_path)
    assert 'Mass and Pleural_Effusion have equal values in every line' in capsys.readouterr().out


def test_logits_are_those_of_the_task(tmp_path):
    table = a_table()
    z = table[table['arm'] == 'bce'][['Mass', 'Pleural_Effusion']].to_numpy()[2:]
    plain = read(table, tmp_path, values='logits')
    np.testing.assert_allclose(plain.log_odds['test'][0], z)
    of_softmax = read(table, tmp_path, values='logits', task='multi_class')
    np.testing.assert_allclose(of_softmax.log_odds['test'][0], z - z[:, ::-1])
    assert (plain.link, of_softmax.link) == ('sigmoid', 'softmax')


def test_ends_have_finite_log_odds_and_keep_their_place(tmp_path):
    table = a_table()
    table.loc[0, 'Mass'], table.loc[1, 'Mass'] = 0.0, 1.0
    odds = np.concatenate(list(read(table, tmp_path).log_odds.values()), axis=1)
    assert np.isfinite(odds).all()
    assert (odds.min(), odds.max()) == (odds[1, 0, 0], odds[1, 1, 0])
    with pytest.raises(ValueError, match='decisions'):
        read(table.assign(Mass=1, Pleural_Effusion=0), tmp_path)


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (lambda t: t.drop(index=4), 'focal, seed 1 has no line of 1 image, such as a/05.png, of the 3 images'),
        (lambda t: t.drop(index=0), 'thresholds'),
        (
            lambda t: pd.concat([t, t.iloc[[6]]]),
            'bce, seed 0 has more than one line of 1 image, such as a/02.png',
        ),
        (lambda t: t.assign(image=t['image'].replace('a/03.png', 'b')), '1 image, such as b .* not in mine'),
        (lambda t: t.assign(Mass=t['Mass'] * 9), 'values=logits'),
        (lambda t: t.assign(Mass='x'), "10 are not, such as 'x', Mass of image a/01.png"),
        (lambda t: t.drop(columns='Mass'), 'no column for Mass'),
        (lambda t: t.drop(columns='arm'), "no column 'arm'"),
        (lambda t: t.assign(seed=-1), "seed is '-1'"),
        (lambda t: t.assign(arm=''), 'arm is empty in 10 lines'),
        (lambda t: t.assign(arm='nan'), r"arm is empty \('nan'\) in 10 lines"),
        (lambda t: t.iloc[:0], 'no line'),
    ],
)
def test_a_table_that_does_not_fit_is_one_line(tmp_path, change, said):
    with pytest.raises(ValueError, match=said) as error:
        read(change(a_table()), tmp_path)
    assert '\n' not in str(error.value)


def test_images_may_be_called_with_further_folders(tmp_path):
    table = a_table()
    found, plain = (read(one, tmp_path) for one in (table.assign(image='scans/' + table['image']), table))
    for split, values in plain.log_odds.items():
        np.testing.assert_array_equal(found.log_odds[split], values)


def test_one_network_under_two_names_is_refused_and_one_that_says_nothing_is_not(tmp_path):
    table = a_table()
    network = table['arm'] == 'focal'
    table.loc[network, ['Mass', 'Pleural_Effusion']] = table.loc[~network, ['Mass', 'Pleural_Effusion']].to_numpy()
    found = read(table, tmp_path)
    with pytest.raises(ValueError, match='arm bce, seed 0 and arm focal, seed 1 say the same of every image'):
        adopt_recorded.check_different(adopt_recorded.Recording(found, None))
    for other in (a_table(), table.assign(Mass=0.5, Pleural_Effusion=0.25)):
        adopt_recorded.check_different(adopt_recorded.Recording(read(other, tmp_path), None))


def test_a_folder_of_predictions_is_whole_and_says_that_nothing_can_be_explained(tiny_config, tmp_path):
    from imbalance_jax.analysis.report import page
    from imbalance_jax.training.network import load_dataset

    config = tiny_config.copy_and_resolve_references()
    dataset, random = load_dataset(config), np.random.default_rng(0)
    rows = np.concatenate([dataset.rows(split) for split in adopt_tables.SPLITS])
    table = pd.DataFrame(random.random((len(rows), len(dataset.classes))), columns=list(dataset.classes))
    table = table.assign(image=dataset.image_id[rows])
    arms = [('bce', 0), ('bce', 1), ('focal', 5), ('focal', 6)]
    both = pd.concat([table.assign(arm=arm, seed=seed, Mass=table['Mass'] ** (1 + seed)) for arm, seed in arms])
    both.to_csv(tmp_path / 'p.csv', index=False)
    adopt_recorded.run(config, tmp_path / 'wd', tmp_path / 'p.csv')
    with pytest.raises(ValueError, match='nothing can be explained'):
        check_trained(tmp_path / 'wd')
    text = page.write(tmp_path / 'wd').read_text()
    assert 'the networks are not here' in text
    for wrong in ('cnn,', 'living seeds', 'over seeds', 'has not been asked yet', 'epochs of training'):
        assert wrong not in text.partition('<details><summary>Config')[0], wrong
    (tmp_path / 'wd' / 'predictions.npz').write_bytes(b'PK')
    with pytest.raises(ValueError, match='bring it back from a copy, or adopt into another folder'):
        read_arrays(tmp_path / 'wd' / 'predictions.npz')


def test_a_report_on_networks_that_are_no_pairs_speaks_of_networks():
    from types import SimpleNamespace

    from imbalance_jax.analysis.report import elsewhere

    study = SimpleNamespace(arms=['bce'], classes=['Mass'], concept_names=[], info={'name': 'mine'})
    page = '<h1>seed noise</h1><a href="#seeds">Seeds</a>, <img alt="a seed" src="seed"> over seeds <cite>seeds</cite>'
    want = page.replace('>Seeds', '>Networks').replace('a seed', 'a network').replace('over seeds', 'over networks')
    assert elsewhere.worded(study, page) == want
    study.classes = ['Seeds']
    assert elsewhere.worded(study, page) == page


def test_a_table_with_other_separators_says_so(tmp_path):
    path = tmp_path / 'p.csv'
    a_table().to_csv(path, index=False, sep=';')
    with pytest.raises(ValueError, match=r"but one, 'image;arm;seed.*: columns are separated by commas"):
        adopt_tables.read(path, FewImages())


def test_a_probability_above_one_is_shown_whole(tmp_path):
    table = a_table()
    table.loc[3, 'Mass'] = 1.0000001
    with pytest.raises(ValueError, match=r'such as 1\.0000001 of image'):
        read(table, tmp_path)


def test_values_that_are_no_numbers_of_32_bits_are_named(tmp_path):
    table = a_table()
    with pytest.raises(ValueError, match=r"1 are not, such as '1e\+300', Mass of"):
        read(table.assign(Mass=[1e300, *table['Mass'][1:]]), tmp_path, values='logits')
    with pytest.raises(ValueError, match='the values of Mass are complex numbers'):
        read(table.assign(Mass=table['Mass'] + 1j), tmp_path, name='p.npz')


def test_a_class_that_a_csv_has_twice_is_named(tmp_path):
    path = tmp_path / 'p.csv'
    a_table().to_csv(path, index=False)
    header, *lines = path.read_text().splitlines()
    path.write_text('\n'.join([f'{header},Mass', *(f'{line},0.5' for line in lines)]))
    with pytest.raises(ValueError, match=r"p\.csv has the column 'Mass' twice"):
        adopt_tables.read(path, FewImages(), 'probabilities')


def test_one_array_in_the_place_of_several_and_empty_names_are_said(tmp_path):
    np.save(tmp_path / 'p.npy', np.zeros((3, 2)))
    path = (tmp_path / 'p.npy').rename(tmp_path / 'p.npz')
    with pytest.raises(ValueError, match=r'is one array, as numpy\.save writes it'):
        adopt_tables.read(path, FewImages(), 'probabilities')
    table = a_table().astype({'image': object})
    table.loc[2, 'image'] = None
    with pytest.raises(ValueError, match='image is empty in 1 lines, the first is 3'):
        read(table, tmp_path, name='p.parquet')
    table.loc[2, 'image'] = ' '
    with pytest.raises(ValueError, match='image is empty in 1 lines, the first is 3'):
        read(table, tmp_path)


@pytest.mark.parametrize(
    ('other', 'said'),
    [
        ({'Mass': np.zeros((2, 5, 2))}, r'its array Mass is \[2, 5, 2\]; expected one per key and class'),
        ({'Mass': np.zeros(9)}, r'its array Mass is \[9\]; its others are \[10\]; expected'),
    ],
)
def test_arrays_of_an_npz_have_one_number_per_line(tmp_path, other, said):
    table = a_table()
    arrays = {name: table[name].to_numpy(str if name in adopt_tables.KEYS else float) for name in table}
    np.savez(tmp_path / 'p.npz', **{**arrays, **other})
    with pytest.raises(ValueError, match=said):
        adopt_tables.read(tmp_path / 'p.npz', FewImages(), 'probabilities')


@pytest.mark.parametrize(('digits', 'said'), [(2, True), (6, False)])
def test_probabilities_of_one_class_that_do_not_sum_to_one_are_said(tmp_path, capsys, digits, said):
    first = a_table()['Mass'].round(digits)
    table = a_table().assign(Mass=first, Pleural_Effusion=1 - first + (0.02 if said else 0))
    found = read(table, tmp_path, task='multi_class')
    assert ('each is taken as that of its class against all others' in capsys.readouterr().out) == said
    assert (found.link == 'softmax') != said


def test_logits_of_one_network_that_may_be_probabilities_are_said(tmp_path, capsys):
    table, names = a_table(), ['Mass', 'Pleural_Effusion']
    table.loc[table['arm'] == 'bce', names] = 20 * (table.loc[table['arm'] == 'bce', names] - 0.5)
    read(table, tmp_path, values='logits')
    assert 'all values of arm focal, seed 1 are in 0..1; if they are probabilities' in capsys.readouterr().out


def test_logits_that_may_be_logarithms_of_probabilities_are_said(tmp_path, capsys):
    table = a_table()
    for task, said in (('multi_label', True), ('multi_class', False)):  # those are logits of a softmax, as they are
        logs = table.assign(Mass=np.log(table['Mass']), Pleural_Effusion=np.log(table['Pleural_Effusion']))
        read(logs, tmp_path, values='logits', task=task)
        assert ('logarithms of probabilities' in capsys.readouterr().out) == said


def test_per_cent_are_no_logits(tmp_path, capsys):
    table, names = a_table(), ['Mass', 'Pleural_Effusion']
    table[names] *= 100
    with pytest.raises(ValueError, match=r'such as .* if per cent, divide them by 100'):
        read(table, tmp_path)
    read(table, tmp_path, values='logits')
    assert 'no value is below 0, so that no probability is below 1/2; if they are per cent' in capsys.readouterr().out


def test_values_of_training_images_are_not_looked_at(tmp_path):
    table = a_table()
    training = table.iloc[:2].assign(image='a/00.png', arm=['focal', 'bce'], seed=[1, 0], Mass=np.nan)
    both = [read(one, tmp_path) for one in (table, pd.concat([training, table]))]
    for split in ('validation', 'test'):
        np.testing.assert_array_equal(both[0].log_odds[split], both[1].log_odds[split])

"""Features that were made elsewhere: matched by names, one line for what does not fit, and asked what needs no more."""

import numpy as np
import pandas as pd
import pytest

from imbalance_jax.training import adopt_features, adopt_recorded
from tests.training.test_adopt_predictions import FewImages

U = 3


def some_features(images=('a/03.png', 'a/04.png', 'a/05.png', 'a/00.png'), arms=(('focal', 1), ('bce', 0)), places=()):
    lines = [(image, arm, seed) for arm, seed in arms for image in images]
    image, arm, seed = (np.array(one) for one in zip(*lines, strict=True))
    values = np.random.default_rng(0).normal(size=(len(lines), *places, U)).astype(np.float32)
    return {'image': image, 'arm': arm, 'seed': seed, 'features': values}


def read(arrays, folder, name='f.npz'):
    path, values = folder / name, arrays.get('features')
    keys = {key: value for key, value in arrays.items() if key != 'features'}
    if name.endswith('.npz'):
        np.savez(path, **arrays)
    elif name.startswith('lists'):
        pd.DataFrame({**keys, 'features': list(values)}).to_parquet(path)
    else:
        pd.DataFrame({**keys, **{f'u{i}': values[:, i] for i in range(U)}}).to_parquet(path)
    return adopt_features.read(path, FewImages())


@pytest.mark.parametrize('name', ['f.npz', 'f.parquet', 'lists.parquet'])
def test_features_go_to_their_images(tmp_path, name):
    arrays = some_features()
    order = np.random.default_rng(1).permutation(len(arrays['image']))
    found = read({key: value[order] for key, value in arrays.items()}, tmp_path, name)
    assert found.networks == [('bce', 0), ('focal', 1)]
    np.testing.assert_array_equal(found.maps[:, :, 0, 0], arrays['features'].reshape(2, 4, U)[::-1, :3])
    assert found.facts['shape'] == [1, 1, U]


def test_keys_may_be_an_index_and_what_else_is_one_is_no_unit(tmp_path):
    arrays = some_features()
    table = pd.DataFrame({name: arrays[name] for name in ('image', 'arm', 'seed')})
    table = table.assign(**{f'u{i}': arrays['features'][:, i] for i in range(U)}, number=range(len(table)))
    for index in (['number'], ['image', 'number'], ['seed', 'image', 'arm', 'number']):
        table.set_index(index).to_parquet(tmp_path / 'f.parquet')
        found = adopt_features.read(tmp_path / 'f.parquet', FewImages())
        np.testing.assert_array_equal(found.maps[1, :, 0, 0], arrays['features'][:3])


@pytest.mark.parametrize('name', ['index', 'Unnamed: 0', 'epoch', 'Mass', 'width', 'weight_kg'])
def test_columns_that_are_called_as_no_unit_is_are_left_out(tmp_path, capsys, name):
    arrays = some_features()
    keys = {key: arrays[key] for key in ('image', 'arm', 'seed')}
    units = {f'u{i}': arrays['features'][:, i] for i in range(U)}
    pd.DataFrame({**keys, name: np.arange(len(arrays['image'])), **units}).to_parquet(tmp_path / 'f.parquet')
    assert adopt_features.read(tmp_path / 'f.parquet', FewImages()).maps.shape[-1] == U
    assert f'f.parquet: {name} left out, as called as no unit is.' in capsys.readouterr().out


def test_units_that_are_not_counted_keep_their_names():
    assert adopt_features.unit_columns(['red', 'green', 'Mass', 'loss', 'blue1'], ['mass']) == ['red', 'green', 'blue1']
    assert adopt_features.unit_columns(['conv1_0', 'conv1_1', 'size', 'conv2_0'], []) == [
        'conv1_0',
        'conv1_1',
        'conv2_0',
    ]


def test_a_network_whose_features_are_one_for_all_images_is_said(tmp_path, capsys):
    arrays = some_features()
    arrays['features'][:4] = 1
    read(arrays, tmp_path)
    said = capsys.readouterr().out
    assert 'arm focal, seed 1 has the same features of every image' in said
    assert 'bce' not in said


def test_lists_in_lists_of_a_table_are_said(tmp_path):
    arrays = some_features()
    keys = {name: arrays[name] for name in ('image', 'arm', 'seed')}
    nested = [[[1.0, 2.0], [3.0]]] * len(arrays['image'])
    pd.DataFrame({**keys, 'features': nested}).to_parquet(tmp_path / 'f.parquet')
    with pytest.raises(ValueError, match='column features has more than a list of numbers in a cell'):
        adopt_features.read(tmp_path / 'f.parquet', FewImages())


def test_features_may_have_places(tmp_path):
    arrays = some_features(places=(2, 4))
    np.testing.assert_array_equal(read(arrays, tmp_path).maps[1], arrays['features'][:3])


def test_equal_features_of_two_networks_are_said(tmp_path, capsys):
    arrays = some_features()
    adopt_recorded.check_different(adopt_recorded.Recording(None, read(arrays, tmp_path)))
    assert capsys.readouterr().out.strip().endswith('features of 3 units.')
    arrays['features'][4:] = arrays['features'][:4]
    adopt_recorded.check_different(adopt_recorded.Recording(None, read(arrays, tmp_path)))
    assert 'arm bce, seed 0 and arm focal, seed 1 have the same features of every image' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'image': np.array(['a/03.png', 'a/04.png', 'a/03.png', 'a/00.png'] * 2)}, 'more than one line of 1 image'),
        ({'image': np.array(['a/03.png', 'a/04.png', 'a/00.png', 'a/00.png'] * 2)}, 'more than one line of 1 image'),
        ({'image': np.array(['a/03.png', 'a/04.png', 'a/01.png', 'a/00.png'] * 2)}, 'no line of 1 image, such as a/05'),
        ({'image': np.array(['a/03.png', 'a/04.png', 'x', 'y'] * 2)}, '2 images, such as x, y .* are not in mine'),
        ({'image': np.array(['a/03.png'])}, r'image \[1\]: give one per line'),
        ({'features': np.full((8, U), np.inf)}, '8 of 8 lines are not finite .* such as image a/03.png, arm focal'),
        ({'features': np.full((8, U), 1e38)}, '8 of 8 lines are not finite .*, or not when squared'),
        ({'features': np.zeros((8, U, 2))}, r'must be numbers \[n,U\] or \[n,h,w,U\]'),
        ({'features': np.zeros((8, 0))}, r'must be numbers'),
        ({'features': np.full((8, U), 'x')}, r'must be numbers'),
        ({'features': np.zeros((8, 16, 2, 2))}, r'transpose\(0, 2, 3, 1\)'),
        ({'features': np.zeros((8, 32, 3, 2))}, r'transpose\(0, 2, 3, 1\)'),
        ({'arm': None}, "no column 'arm'"),
        ({'features': None}, "no array 'features'"),
        ({'image': np.array([b'a', 1] * 4, object)}, 'astype'),
    ],
)
def test_features_that_do_not_fit_are_one_line(tmp_path, change, said):
    arrays = {key: value for key, value in {**some_features(), **change}.items() if value is not None}
    with pytest.raises(ValueError, match=said) as error:
        read(arrays, tmp_path)
    assert '\n' not in str(error.value)


def test_predictions_beside_features_are_of_the_same_networks():
    networks = [('bce', 0), ('focal', 1)]
    adopt_features.check_same(networks, networks, file='f.npz')
    with pytest.raises(ValueError, match='no predictions of arm focal, seed 1'):
        adopt_features.check_same(networks, networks[:1], file='f.npz')
    with pytest.raises(ValueError, match='no features of arm focal, seed 1'):
        adopt_features.check_same(networks[:1], networks, file='f.npz')


def test_features_alone_are_explained_and_reported(tiny_config, tmp_path, capsys):
    from imbalance_jax.analysis.report import page
    from imbalance_jax.explain import run
    from imbalance_jax.system.workdir import read_arrays, read_table
    from imbalance_jax.training.network import load_dataset

    config = tiny_config.copy_and_resolve_references()
    dataset = load_dataset(config)
    images = dataset.image_id[dataset.rows('test')]
    config.concepts.max_images = len(images)
    arrays = some_features(images, arms=[('bce', 0), ('bce', 1), ('focal', 5), ('focal', 6)])
    np.savez(tmp_path / 'f.npz', **arrays)
    folder = tmp_path / 'wd'
    adopt_recorded.run(config, folder, features=tmp_path / 'f.npz', stages=run.STAGES)
    capsys.readouterr()
    run.run(folder, stages=run.chosen('alignment,similarity,features,design'))
    said = capsys.readouterr().out
    assert 'alignment is left out: it shows images to the networks' in said
    assert 'design is left out: it also needs predictions' in said
    x = arrays['features'].reshape(4, len(images), U)
    similarity = read_arrays(folder / 'explain' / 'similarity.npz')
    want = np.corrcoef(x[0].T, x[2].T)[:U, U:].max(1).mean()  # of a unit with the nearest of another network
    np.testing.assert_allclose(similarity['nearest'][0, 0, 2], want, atol=1e-5)
    metrics = set(read_table(folder, 'features')['metric'])
    assert {'within_class', 'probe_auroc', 'rankme'} <= metrics
    assert not {'head_auroc', 'self_dual', 'head_length', 'probe_minus_head'} & metrics
    text = page.write(folder).read_text().partition('<details><summary>Config')[0]
    assert 'Performance is not known' in text
    for wrong in ('seed noise', 'living seeds', 'has not been asked yet', 'shown to be equal, nor'):
        assert wrong not in text, wrong

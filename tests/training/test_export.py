"""Exported members compute what they computed here, and their card says what they are."""

import json
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from ml_collections import ConfigDict

from imbalance_jax import models, weights
from imbalance_jax.data.arrays import normalise
from imbalance_jax.models.entrance import MATRIX, OFFSET, Entrance, affine
from imbalance_jax.training import card, export, serialised
from imbalance_jax.training.network import abstract_variables

CLASSES = ('a', 'b', 'c')


def make_trained(name, shape, entrance=None, **options):
    model = models.make(name, len(CLASSES), **options)
    inner = (*shape[:2], entrance.channels if entrance else shape[2])
    random = np.random.default_rng(0)
    shapes = abstract_variables(model, inner)
    variables = jax.tree.map(lambda a: random.uniform(0.1, 0.3, a.shape).astype(np.float32), shapes)
    if entrance:
        model = Entrance(model, entrance.channels, entrance.geometry)
    variables = {**variables, 'link': {}}
    return SimpleNamespace(
        model=model,
        normalise=lambda images: normalise(images, mean=0.4, std=0.2),
        image_shape=shape,
        config=ConfigDict({'model': {'name': name, name: options}}),
        dataset=SimpleNamespace(classes=CLASSES),
        variables=jax.tree.map(lambda a: a[None], variables),
    )


@pytest.fixture(scope='module')
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 16, 16, 1)).astype(np.uint8)


def test_programs_give_the_same_for_any_number_of_images(images):
    pytest.importorskip('flatbuffers')
    trained = make_trained('cnn', (16, 16, 1), widths=(4, 8))
    one = jax.tree.map(lambda a: a[0], trained.variables)
    logits = serialised.logits_of(trained.model, trained.normalise, one)
    read = jax.export.deserialize(bytearray(serialised.serialise(logits, (16, 16, 1)))).call
    for count in (1, 3):
        np.testing.assert_allclose(read(images[:count]), logits(images[:count]), rtol=1e-5, atol=1e-6)
    explained = serialised.map_of(
        trained.model, trained.normalise, one, method='grad_cam', layer='stage2', options={'relu': False}
    )
    program = serialised.serialise(explained, (16, 16, 1), serialised.chosen_class())
    values, maps = jax.export.deserialize(bytearray(program)).call(images, np.int32(2))
    np.testing.assert_allclose(values, logits(images), rtol=1e-5, atol=1e-6)
    assert maps.shape == (3, 16, 16)
    np.testing.assert_allclose(maps, explained(images, np.int32(2))[1], rtol=1e-4, atol=1e-6)
    assert np.abs(maps).max() > 0
    mean = serialised.probabilities_of(trained.model, trained.normalise, [one, one])
    np.testing.assert_allclose(mean(images), jax.nn.sigmoid(logits(images)), rtol=1e-6)


@pytest.mark.parametrize('method', ['extremal_perturbation', 'guided_grad_cam', 'integrated_gradients', 'occlusion'])
def test_maps_by_other_methods_are_traced_for_any_number_of_images(method):
    trained = make_trained('cnn', (16, 16, 1), widths=(4, 8))
    one = jax.tree.map(lambda a: a[0], trained.variables)
    explained = serialised.map_of(trained.model, trained.normalise, one, method=method, layer='stage2', options={})
    (count,) = jax.export.symbolic_shape('b')
    images = jax.ShapeDtypeStruct((count, 16, 16, 1), np.uint8)
    _, maps = jax.eval_shape(explained, images, serialised.chosen_class())
    assert maps.shape == (count, 16, 16)


def test_a_card_has_the_figures_of_what_lies_beside_it(tmp_path, monkeypatch):
    row = {'arm': 'bce', 'member': 0, 'seed': 0}
    shared = {'arm': 'bce', 'class': 'macro', 'split': 'test', 'metric': 'brier', 'n': 2, 'subset': '', 'against': ''}
    lines = [('member', 0, 'value', '', 0.1), ('ensemble', None, 'value', '', 0.2), ('arm', None, 'mean', '', 0.3)]
    lines += [('ensemble', None, 'value', 'recalibrated', 0.9), ('arm', None, 'mean', 'recalibrated', 0.9)]
    columns = ('kind', 'member', 'statistic', 'method', 'value')
    table = pd.DataFrame([{**shared, **dict(zip(columns, line, strict=True))} for line in lines])
    monkeypatch.setattr(card, 'read_table', lambda workdir, name: table)
    assert '| macro | Brier score | 0.100 | 0.300 |  | 2 |' in card._figures(tmp_path, [row], True)
    assert '| macro | Brier score | 0.200 | 0.300 |  | 2 |' in card._figures(tmp_path, [row], False)
    assert 'ensemble.jaxexport' in card._use({'programs': True}, 'seed', single=False)[2]


def test_a_card_of_networks_that_are_no_pairs_speaks_of_no_seed():
    file = {'file': 'folder/a.pth', 'sha256': 'ab12', 'seen': {'nih': 'nih_chest_xray14'}}
    row = {'arm': 'ce', 'loss': 'unknown', 'sampler': 'unknown', 'seed': 0, 'paired': False, 'adopted': file}
    facts = {'architecture': 'cnn', 'options': '', 'image': (8, 8, 1), 'classes': ['a'], 'keys': '', 'programs': True}
    numbers = card._numbers([row, {**row, 'seed': 2}])
    text = '\n'.join(card._model(row, facts, numbers) + card._use(facts, card.member_word(row), single=False))
    assert 'seed' not in text
    assert 'labels: unknown; networks: 0, 2.' in text
    assert 'Trained elsewhere: a.pth, sha256 ab12' in text
    assert 'Began with' not in text
    assert card._seen(Path('nowhere'), row) == ['nih (images of nih_chest_xray14)']
    assert card._numbers([{'arm': 'ce', 'seed': 3}]) == 'seed 3'


def test_what_draws_random_numbers_is_not_exported():
    with pytest.raises(ValueError, match='draws random numbers'):
        serialised.map_of(None, None, {}, method='smooth_grad', layer='', options={})


@pytest.mark.parametrize('entered', [False, True])
def test_grey_values_reach_the_network_by_one_matrix(images, entered):
    entrance = Entrance(None, 3) if entered else None
    trained = make_trained('cnn', (16, 16, 1), entrance, widths=(4, 8))
    link = {}
    if entered:
        matrix, offset = affine(1, (0.4, 0.2), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
        link = {MATRIX: matrix, OFFSET: offset}
    matrix, offset = export.to_unit_grey(trained, link)
    grey = images / np.float32(255)
    ours = trained.normalise(jnp.asarray(images))
    ours = trained.model.entered(ours, link) if entered else ours
    np.testing.assert_allclose(grey @ matrix + offset, ours, rtol=1e-5, atol=1e-5)
    if entered:
        by_hand = (np.repeat(grey, 3, -1) - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
        np.testing.assert_allclose(grey @ matrix + offset, by_hand, atol=1e-5)


def test_tensors_have_the_names_of_pytorch_or_of_flax():
    trained = make_trained('resnet18', (32, 32, 3), width=4)
    row = {'arm': 'bce', 'member': 0}
    variables = export._variables(trained, row)
    tensors, said, strict = export.state_dict(trained, row, variables)
    assert 'layer4.1.bn2.running_var' in tensors
    assert not strict
    assert 'width' in said
    plain = make_trained('cnn', (16, 16, 1), widths=(4, 8))
    tensors, said, strict = export.state_dict(plain, row, export._variables(plain, row))
    assert 'params/head/kernel' in tensors
    assert 'no counterpart' in said
    cosine = {**variables, 'link': {'cosine': np.float32(1)}}
    tensors, said, strict = export.state_dict(trained, row, cosine)
    assert not tensors
    assert 'cosines' in said


def test_arms_of_one_folder_are_refused():
    export.check_folders(['a/b', 'a.b', 'a-b'])
    with pytest.raises(ValueError, match="'a/b' and 'a_b' would have one folder, a_b"):
        export.check_folders(['a/b', 'a_b'])


def test_members_by_name():
    rows = [{'arm': arm, 'seed': seed} for arm in ('bce', 'focal/2') for seed in (0, 1)]
    assert [len(one) for one in export.chosen(rows, '').values()] == [2, 2]
    assert export.chosen(rows, 'focal/2') == {'focal/2': rows[2:]}
    assert export.chosen(rows, 'focal/2/1') == {'focal/2': rows[3:]}
    with pytest.raises(ValueError, match=r"Unknown arm of --only: 'bc'. Did you mean 'bce'"):
        export.chosen(rows, 'bc')
    with pytest.raises(ValueError, match="Unknown seed of --only, of arm 'bce': '7'"):
        export.chosen(rows, 'bce/7')
    assert export.folder_name('../a b') == '_a_b'


@pytest.mark.slow
def test_a_study_is_exported(study, tmp_path):
    base = json.loads((study / 'config.json').read_text())
    row = json.loads((study / 'members.json').read_text())[0]
    which = f'{row["arm"]}/{row["seed"]}'
    export.run(study, tmp_path, member=which, base=base)
    folder = tmp_path / export.folder_name(row['arm']) / str(row['seed'])
    stored = weights.read(folder / export.STATE)
    assert json.loads(stored.metadata['classes'])
    card = (folder / export.CARD).read_text()
    assert f'Arm: {row["arm"]}' in card
    assert '| macro | AUROC |' in card
    assert 'Not for diagnosis' in card
    with pytest.raises(ValueError, match='is there already'):
        export.run(study, tmp_path, member=which, method='saliency', base=base)
    assert not (tmp_path / export.BEGUN).exists()
    begun = {'of': export._identity(study), 'method': 'grad_cam', 'only': which}  # as one that was stopped leaves it
    (tmp_path / export.BEGUN).write_text(json.dumps(begun))
    when = (folder / export.STATE).stat().st_mtime_ns
    with pytest.raises(ValueError, match='is there already'):
        export.run(study, tmp_path, member=which, method='saliency', base=base)
    export.run(study, tmp_path, member=which, base=base)
    assert (folder / export.STATE).stat().st_mtime_ns == when  # what is whole is not written again
    assert not (tmp_path / export.BEGUN).exists()

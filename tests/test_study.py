"""The whole study in miniature: what it leaves, and that a dead member stays alone."""

import copy
import re
import shutil

import jax
import numpy as np
import pytest
from outcomes import contents

from imbalance_jax import losses
from imbalance_jax.analysis.report import page as report
from imbalance_jax.analysis.report import study as studies
from imbalance_jax.explain import maps as explain_maps
from imbalance_jax.explain import run as explain_run
from imbalance_jax.metrics import scores
from imbalance_jax.system import workdir as writer
from imbalance_jax.system.files import read_json
from imbalance_jax.training import loop, network
from imbalance_jax.training import run as training_run
from imbalance_jax.training import trained as training_trained
from imbalance_jax.training.member import make_predict
from imbalance_jax.training.prediction import predict

TABLES = ('data', 'performance', 'alignment', 'concepts', 'units')


def times(workdir) -> dict:
    """When each file of the checkpoints was written, and what was computed to explain them; images come anew."""
    computed = [path for path in (workdir / 'explain').glob('*.npz') if path.stem not in ('gallery', 'probe')]
    return {path: path.stat().st_mtime_ns for path in [*(workdir / 'checkpoints').rglob('*'), *computed]}


def select(table, **fields):
    for name, value in fields.items():
        table = table[table[name] == value]
    return table


def test_predictions_are_the_tables(study, tiny_config):
    dataset = network.load_dataset(tiny_config)
    members = read_json(study / 'members.json')
    result = writer.read_arrays(study / 'predictions.npz')
    rows = dataset.rows('test')
    auroc = scores.auroc(result['logits_test'], dataset.labels[rows], dataset.label_mask[rows])
    table = writer.read_table(study, 'performance')
    for row in members:
        cell = {'kind': 'member', 'member': row['member'], 'split': 'test', 'subset': '', 'metric': 'auroc'}
        of_member = select(table, **cell).set_index('class')['value']
        np.testing.assert_allclose(of_member[list(dataset.classes)], auroc[row['member']])
        np.testing.assert_allclose(of_member['macro'], np.nanmean(auroc[row['member']]))
    assert len(members) == 6


def test_every_number_has_its_null_and_its_interval(study):
    table = writer.read_table(study, 'alignment')
    measures = {'pointing_game', 'hit_share', 'iobb', 'ior', 'iou', 'empty'}
    for null in ('chance', 'image centre', 'constant map'):
        known = measures - {'iobb'} if null == 'chance' else measures  # a map of ones has all of the box
        assert set(select(table, kind='null level', against=null)['metric']) >= known
    for method in ('saliency', 'integrated_gradients', 'grad_cam'):
        assert set(select(table, method=method, kind='arm')['metric']) >= measures
    cell = {'metric': 'hit_share', 'class': 'all pairs', 'subset': ''}
    of_arm = {'kind': 'arm', 'arm': 'bce', 'method': 'grad_cam', **cell}
    skill = select(table, statistic='mean', against='constant map', **of_arm)
    mean = select(table, statistic='mean', against='', **of_arm)
    null = select(table, kind='null level', against='constant map', **cell)
    np.testing.assert_allclose(skill['value'].item(), mean['value'].item() - null['value'].item(), rtol=1e-9)
    ends = {end: select(table, statistic=end, against='constant map', **of_arm) for end in ('low', 'high')}
    assert ends['low']['value'].item() <= skill['value'].item() <= ends['high']['value'].item()


def test_gallery_maps_are_those_of_its_images(study):
    gallery = writer.read_arrays(study / 'explain' / 'gallery.npz')
    result = writer.read_arrays(study / 'explain' / 'alignment_saliency.npz')['gallery']
    trained = training_trained.load(study)
    images = trained.dataset.images[gallery['row']]
    np.testing.assert_array_equal(images[..., 0], gallery['images'])
    maps = explain_maps.make_maps(trained, 'saliency')
    for member in (0, 5):
        variables = jax.tree.map(lambda a, i=member: np.asarray(a[i]), trained.variables)
        expected = np.asarray(maps(variables, images, gallery['finding'], 0))
        np.testing.assert_allclose(result[member], expected, rtol=1e-3, atol=1e-5 * expected.max())
    assert len(set(gallery['finding'].tolist())) > 3


def test_explaining_a_damaged_training_is_refused_and_training_mends_it(study, tiny_config, tmp_path):
    """Mended and explained from nothing, it is the same bit for bit; done work is then not done again."""
    copied = tmp_path / 'run'
    shutil.copytree(study, copied)
    newest = max((copied / 'checkpoints' / 'wave_1').iterdir(), key=lambda path: path.name.zfill(9))
    shutil.rmtree(newest / 'state')
    with pytest.raises(ValueError, match='run train again'):
        explain_run.run(copied)
    training_run.run(tiny_config, copied)
    for path in (copied / 'explain').iterdir():
        path.unlink()
    explain_run.run(copied)
    assert contents(copied) == contents(study)
    before = times(copied)
    training_run.run(tiny_config, copied)
    explain_run.run(copied)
    assert contents(copied) == contents(study)
    assert times(copied) == before


def test_a_population_is_read_without_its_losses(study, monkeypatch):
    monkeypatch.setattr(losses, 'make', lambda *_, **__: pytest.fail('a loss was built'))
    trained = training_trained.load(study)
    predictions = writer.read_arrays(study / 'predictions.npz')
    images = trained.dataset.images[trained.dataset.rows('test')]
    function = make_predict(trained.model, trained.normalise)
    logits = predict(trained.place, function, trained.variables, images=images, batch_size=7)
    np.testing.assert_allclose(logits, predictions['logits_test'], rtol=1e-4, atol=1e-5)


def test_changed_data_are_refused(study, tmp_path):
    copied = tmp_path / 'run'
    shutil.copytree(study, copied)
    info = read_json(copied / 'data.json')
    writer.write_json(copied / 'data.json', {**info, 'fingerprint': 'another'})
    with pytest.raises(ValueError, match='other data'):
        explain_run.run(copied)


def test_units_add_up(study):
    units, concepts = (writer.read_table(study, name) for name in ('units', 'concepts'))
    one = {'kind': 'member', 'arm': 'bce', 'seed': 0}
    dead = select(units, metric='dead', **one)['value'].sum()
    assert dead == select(concepts, metric='dead_units', **one)['value'].item()
    detectors = select(units, metric='detector', **one).groupby('unit')['value'].max().sum()
    assert (
        detectors
        == select(concepts, metric='detector_units', method='beyond_null', concept='all concepts', **one)[
            'value'
        ].item()
    )


def test_the_reference_comes_first_and_arms_differ(study):
    members = read_json(study / 'members.json')
    assert [row['arm'] for row in members[:2]] == ['bce', 'bce']
    logits = writer.read_arrays(study / 'predictions.npz')['logits_test']
    assert len(np.unique(logits[:, 0, 0])) == len(members)


def test_a_member_that_diverges_is_frozen_flagged_and_alone(study, tiny_config, tmp_path):
    config = copy.deepcopy(tiny_config)
    with config.unlocked():
        config.arms.weighted_sampling.learning_rate = 1e38
    training_run.run(config, tmp_path)
    result, sound = (writer.read_arrays(path / 'predictions.npz') for path in (tmp_path, study))
    np.testing.assert_array_equal(result['alive'], [True] * 4 + [False] * 2)
    np.testing.assert_array_equal(result['logits_test'][:4], sound['logits_test'][:4])
    table = writer.read_table(tmp_path, 'performance')
    dead = select(table, arm='weighted_sampling', split='test')
    assert (select(dead, metric='alive')['value'] == 0).all()
    assert select(dead, kind='arm', metric='auroc', statistic='mean', **{'class': 'macro'})['value'].isna().all()
    assert select(table, arm='bce', split='test', metric='alive')['value'].all()


def test_another_config_in_the_same_place_is_refused(study, tiny_config):
    config = copy.deepcopy(tiny_config)
    config.train.epochs = 3
    with pytest.raises(ValueError, match=r'train\.epochs: 2 -> 3'):
        training_run.run(config, study)


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (lambda c: c.train.update(batch_size=10_000), 'batch_size 10000 is more than'),
        (lambda c: c.data.update(name='phantm'), "Did you mean 'phantom'"),
        (lambda c: c.model.update(name='cnnn'), "Did you mean 'cnn'"),
        (lambda c: c.model.cnn.update(width=3), "Did you mean 'widths'"),
        (lambda c: c.arms.bce.update(sampler='wieghted_sampling'), "Did you mean 'weighted_sampling'"),
        (lambda c: c.arms.bce.update(loss='focl'), "Did you mean 'focal'"),
        (lambda c: c.arms.bce.update(gamma=2.0), 'gamma'),
        (lambda c: c.attribution.update(methods=('saliencie',)), "Did you mean 'saliency'"),
        (lambda c: c.attribution.update(layer='stage9'), 'stage9'),
        (lambda c: c.data.phantom.update(num_patients=-1), 'num_patients'),
        (lambda c: c.data.phantom.update(patients=5), 'num_patients'),
        (lambda c: c.population.update(strategy='vmop'), 'vmop'),
        (lambda c: c.concepts.update(layers=('stag1',)), "Did you mean 'stage1'"),
        (lambda c: c.concepts.update(null='shift'), 'circular_shift'),
        (lambda c: c.concepts.update(probe_folds=1), 'config.concepts.probe_folds is 1; it must be 2 or more'),
        (lambda c: c.concepts.update(carrying_share=1.5), 'carrying_share is 1.5'),
    ],
)
def test_wrong_configs_fail_before_anything_is_compiled(tiny_config, tmp_path, change, said, monkeypatch):
    config = copy.deepcopy(tiny_config)
    with config.unlocked():
        change(config)
    monkeypatch.setattr(loop, 'fit', lambda *_, **__: pytest.fail('training started'))
    with pytest.raises(ValueError, match=said):
        training_run.run(config, tmp_path / 'run', stages=explain_run.STAGES)
    assert not (tmp_path / 'run').exists()


def test_nothing_to_explain_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match='run train first'):
        explain_run.run(tmp_path)


def test_units_of_all_members_in_tables(study):
    members = read_json(study / 'members.json')
    units, layers, similarity = (writer.read_table(study, name) for name in ('units', 'layers', 'similarity'))
    assert set(layers['layer']) == {'stage1', 'stage2'}
    lost = writer.read_arrays(study / 'explain' / 'ablation.npz')
    dataset = training_trained.load(study).dataset
    one = select(units, arm='multi_task', seed=1, metric='auroc_drop', unit=3).set_index('class')['value']
    number = next(row['member'] for row in members if (row['arm'], row['seed']) == ('multi_task', 1))
    expected = lost['intact'][number] - lost['without'][number, 3]
    np.testing.assert_allclose(one[list(dataset.classes)], expected, atol=1e-7)
    pairs = select(similarity, kind='pair', metric='cka', layer='stage2', other_layer='stage2')
    assert len(pairs) == len(members) * (len(members) - 1)
    outcomes = select(similarity, kind='pair', concept='all concepts', above='')
    total = outcomes.groupby(['arm', 'seed', 'other_arm', 'other_seed'])[['value', 'n']].agg(
        {'value': 'sum', 'n': 'first'}
    )
    assert (total['value'] == total['n']).all()
    effect = writer.read_table(study, 'arm_effect')
    means = set(effect[effect['statistic'] == 'mean']['pairs'])
    assert means == {'between arms', 'within arms', "to the arm's centre"}


def test_logits_are_their_units_contributions(study):
    result = writer.read_arrays(study / 'explain' / 'logits.npz')
    gap = result['added'].sum(-1) - (result['logit'] - result['start'])
    np.testing.assert_allclose(gap, 0, atol=1e-4)


def test_the_report_answers_whether_arms_encode_other_things_than_seeds(study):
    page = report.render(studies.load(study))
    effect = writer.read_table(study, 'arm_effect')
    assert all(f'{metric}, {layer}' in page for metric, layer in zip(effect['metric'], effect['layer'], strict=True))
    assert 'Do approaches differ in what units encode, beyond what seeds do?' in page
    whole = select(effect, kind='population', statistic='p_adjusted')['value'].dropna()
    assert ('are not shown to be further apart' in page) == bool((whole > 0.05).all())
    mean = select(
        writer.read_table(study, 'concepts'),
        arm='bce',
        kind='arm',
        metric='detector_units',
        statistic='mean',
        against='',
        method='beyond_null',
        concept='all concepts',
    )
    assert re.search(rf'<td>{mean["value"].item():.1f}(<small>\[|</td>)', page)  # none where all seeds count alike

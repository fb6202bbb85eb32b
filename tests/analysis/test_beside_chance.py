"""The picture of arms beside chance: what it draws are the tables' numbers less those of chance."""

import numpy as np
import pytest
from noise_study import make_workdir

from imbalance_jax.analysis.report import beside_chance
from imbalance_jax.analysis.report.study import load
from imbalance_jax.system.workdir import read_table


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return make_workdir(tmp_path_factory.mktemp('beside_chance'))


def of_arm(folder, table, **where):
    """One mean of the arm `bce`, by pandas alone."""
    rows = read_table(folder, table)
    for name, value in {'kind': 'arm', 'arm': 'bce', 'statistic': 'mean', 'split': 'test', **where}.items():
        rows = rows[rows[name] == value]
    return rows['value'].item()


def test_every_arm_stands_beside_chance(folder, monkeypatch):
    study = load(folder)
    assert beside_chance.of_maps(study) is None  # this one has not been held against other patients' regions
    monkeypatch.setattr(beside_chance, 'SHUFFLED', 'chance')
    performance, maps, units = (
        make(study) for make in (beside_chance.of_performance, beside_chance.of_maps, beside_chance.of_units)
    )
    assert list(performance.marks) == list(maps.marks) == list(units.marks) == study.arms
    auroc = of_arm(folder, 'performance', metric='auroc', against='', **{'class': 'macro', 'method': '', 'subset': ''})
    assert performance.marks['bce'][0].estimate == pytest.approx(auroc - 0.5)
    assert np.mean(performance.classes['bce']) == pytest.approx(auroc - 0.5)
    best, chance = units.marks['bce']
    assert best.estimate == pytest.approx(of_arm(folder, 'concepts', metric='top_excess', against=''))
    assert np.isfinite(chance.estimate)
    assert not chance.filled
    assert all(mark.low <= mark.estimate <= mark.high for mark in maps.marks['bce'])


def test_the_picture_is_a_file(folder, tmp_path):
    assert beside_chance.write(folder, tmp_path / 'picture.png').read_bytes()[:4] == b'\x89PNG'
    with pytest.raises(FileNotFoundError, match='training is not finished'):
        beside_chance.write(tmp_path, tmp_path / 'picture.png')

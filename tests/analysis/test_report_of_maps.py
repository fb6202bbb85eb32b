"""What the report says of maps: its numbers are those of the tables; failures and the shortcut have pages."""

import json
import re
import shutil

import numpy as np
import pytest

from imbalance_jax.analysis.report import page as report
from imbalance_jax.analysis.report import study as studies
from imbalance_jax.analysis.report.style import number, signed
from imbalance_jax.analysis.sweeps import alike, shortcut
from imbalance_jax.results import shortcut as results_shortcut
from imbalance_jax.results.rows import Bootstrap, Population
from imbalance_jax.results.schema import write_table
from imbalance_jax.system import workdir as writer
from imbalance_jax.system.files import read_json


@pytest.fixture(scope='module')
def workdir(study, tmp_path_factory):
    """The tiny study as if it had a shortcut, with a table of it and one of ROAR."""
    folder = shutil.copytree(study, tmp_path_factory.mktemp('maps') / 'run')
    config, members = json.loads((folder / 'config.json').read_text()), read_json(folder / 'members.json')
    config['data']['phantom'] |= {'shortcut_class': 'Mass', 'shortcut_probability': 0.6}
    writer.write_json(folder / 'config.json', config)
    random, count = np.random.default_rng(0), len(members)
    measured = results_shortcut.Shortcut(
        versions={
            version: results_shortcut.Version(random.random((count, 60)), random.random(60) < 0.5)
            for version in ('confounded', 'clean')
        },
        labels=random.integers(0, 2, 60),
        label_mask=np.ones(60, int),
        patients=np.arange(60),
        area={'tube': np.full(5, 0.01), 'finding': np.full(5, 0.05)},
        mass={'grad_cam': {region: random.random((count, 5)) for region in ('tube', 'finding')}},
    )
    population = Population(members, np.ones(count, bool), 'bce')
    rows = results_shortcut.rows(population, measured, 'Mass', bootstrap=Bootstrap(20, 0), smallest_count=5)
    write_table(folder, 'shortcut', [{**row, 'split': 'test'} for row in rows])
    report.write(folder)
    return folder


def rows_of(page: str, key: str) -> list[list[str]]:
    """The cells of a table of the page, markup left out."""
    body = re.search(rf'<table id="{key}".*?</table>', page, re.S).group(0)
    cells = (re.findall(r'<t[hd][^>]*>(.*?)</t[hd]>', row, re.S) for row in body.split('<tr>'))
    return [[re.sub('<[^>]*>', ' ', cell).split() for cell in row] for row in cells if row]


def test_skill_above_each_null_is_that_of_the_table(workdir):
    loaded, page = studies.load(workdir), (workdir / 'report.html').read_text()
    measure = loaded.primary('grad_cam')
    head, bce, *_ = rows_of(page, f'skill-grad_cam-{measure}')
    names = [' '.join(cell) for cell in head]
    for null in ('chance', 'constant map', 'shuffled regions', 'untrained network'):
        value = loaded.aligned('grad_cam', measure)(arm='bce', against=null)
        assert bce[names.index(f'above {null}')][0] == signed(value)
    null_row, ceiling = rows_of(page, f'skill-grad_cam-{measure}')[-2:]
    assert null_row[names.index('above chance')][0] == number(
        loaded.alignment(measure, kind='null level', against='chance')
    )
    assert ceiling[1][0] == number(loaded.alignment(measure, kind='null level', against='resolution ceiling'))


def test_faithfulness_sanity_and_noise_are_shown(workdir):
    page = (workdir / 'report.html').read_text()
    names = [' '.join(row[0]) for row in rows_of(page, 'faithfulness')]
    assert 'Random map (noise)' in names
    head = [' '.join(cell) for cell in rows_of(page, 'sanity')[0]]
    assert head[1:] == ['to head', 'to stage2', 'to stage1']


def test_failures_have_a_page_that_needs_nothing_else(workdir):
    page = (workdir / 'failures.html').read_text()
    assert 'href="failures.html"' in (workdir / 'report.html').read_text()
    assert not re.search(r'(src|href)="(?!data:|report\.html)', page)
    failures = writer.read_arrays(workdir / 'explain' / 'failures.npz')
    shown = failures['pair'] >= 0
    assert page.count('<img') == shown.sum() > 0
    score = np.where(shown, failures['score'], -1)
    assert (np.diff(score, axis=1) <= 0).all()


def test_the_shortcut_has_a_table_and_a_page(workdir, tmp_path):
    loaded = studies.load(workdir)
    page = shortcut.write(tmp_path, [workdir]).read_text()
    for text in (page, (workdir / 'report.html').read_text()):
        head, bce, *_, chance = rows_of(text, 'shortcut-0.6')
        drop = shortcut.auroc(loaded, 'confounded', 'clean')(arm='bce')
        means = [shortcut.auroc(loaded, version)(arm='bce') for version in ('clean', 'confounded')]
        np.testing.assert_allclose(drop, *np.diff(means))
        names = [' '.join(cell) for cell in head]
        assert bce[names.index('difference')][0] == number(drop)
        worst = shortcut.auroc(loaded, 'clean', group='worst')(arm='bce')
        assert bce[names.index('worst group, clean')][0] == number(worst)
        assert chance[names.index('Grad-CAM: share on the drain')] == ['0.010']


def test_studies_of_the_shortcut_differ_in_its_strength_alone(workdir, tmp_path):
    again = shutil.copytree(workdir, tmp_path / 'again')
    with pytest.raises(ValueError, match=r'again are of one strength, rho = 0\.6; expected one study of each'):
        shortcut.write(tmp_path, [workdir, again])
    loaded = studies.load(workdir)
    phantom = {**loaded.config['data']['phantom'], 'shortcut_probability': 0.9}
    other = {**loaded.config, 'data': {**loaded.config['data'], 'phantom': phantom}}
    alike.check([loaded, loaded._replace(config=other)], shortcut.DOSE)
    with pytest.raises(ValueError, match=r'differ in config\.seeds, not only in config\.data\.phantom\.shortcut_prob'):
        alike.check([loaded, loaded._replace(config={**other, 'seeds': (7,)})], shortcut.DOSE)
    data = {**other['data'], 'image_size': 9}
    with pytest.raises(ValueError, match=r'differ in config\.data, not'):
        alike.check([loaded, loaded._replace(config={**other, 'data': data})], shortcut.DOSE)


def test_a_study_without_a_shortcut_is_refused(study, tmp_path):
    with pytest.raises(ValueError, match='has no shortcut study'):
        shortcut.write(tmp_path, [study])

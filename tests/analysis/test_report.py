"""The report: its numbers are those of the tables, what is missing is said, and a browser needs no other file."""

import html
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from noise_study import ARMS, EVIL, LAYER, make_workdir

from imbalance_jax.analysis.report import galleries, trust
from imbalance_jax.analysis.report import page as report
from imbalance_jax.system import workdir as writer

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome')
QUIET = (
    '--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update '
    '--disable-sync --enable-logging=stderr --v=0 --virtual-time-budget=20000 --dump-dom'
)


class Tables(HTMLParser):
    """Every table of a page with an id, as rows of cells; a cell is [text, small text]."""

    def __init__(self, page: str):
        super().__init__()
        self.tables, self.rows, self.cell = {}, None, None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag == 'table':
            self.rows = self.tables.setdefault(dict(attributes).get('id'), [])
        elif tag == 'tr' and self.rows is not None:
            self.rows.append([])
        elif tag in ('td', 'th') and self.rows:
            self.cell = ['']
            self.rows[-1].append(self.cell)
        elif tag == 'small':
            self.cell.append('')

    def handle_endtag(self, tag):
        self.cell = None if tag in ('td', 'th') else self.cell

    def handle_data(self, data):
        if self.cell is not None:
            self.cell[-1] += data.strip()

    def __getitem__(self, name: str) -> dict[tuple[str, str], list[str]]:
        """{(row, column): cell}."""
        head, *rows = [row for row in self.tables[name] if row[0][0]]
        columns = [cell[0] for cell in head[1:]]
        return {(row[0][0], column): cell for row in rows for column, cell in zip(columns, row[1:], strict=True)}


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
    folder = make_workdir(tmp_path_factory.mktemp('report'))
    report.write(folder)
    return folder


@pytest.fixture(scope='module')
def page(workdir):
    return (workdir / 'report.html').read_text()


@pytest.fixture(scope='module')
def shown(page):
    return Tables(page)


def value(workdir, table, metric, name='macro', **where) -> float:
    """One number of a results table, by pandas alone: of an arm its mean unless `where` says otherwise."""
    rows = writer.read_table(workdir, table)
    arm = 'arm' in where
    keys = {'kind': 'arm' if arm else 'data', 'statistic': 'mean' if arm else 'value', 'against': '', 'method': ''}
    keys |= {'metric': metric, 'class': name, 'split': 'test', **where}
    for column, key in keys.items():
        rows = rows[rows[column] == key]
    return rows['value'].item()


def text(number: float, digits=3, plus=False) -> str:
    if np.isnan(number):
        return '–'
    written = f'{number:+.{digits}f}' if plus and abs(number) >= 0.5 * 10**-digits else f'{abs(number):.{digits}f}'
    return written.replace('-', '−')


def mean_and_deviation(workdir, table, metric, digits=3, **where) -> str:
    mean, deviation = (value(workdir, table, metric, statistic=kind, **where) for kind in ('mean', 'sd'))
    return '–' if np.isnan(mean) else f'{text(mean, digits)} ± {text(deviation, digits)}'


def test_performance_is_that_of_the_tables(workdir, shown):
    for arm in ARMS:
        for metric, column in (('auroc', 'AUROC'), ('average_precision', 'AP'), ('accuracy', 'accuracy')):
            expected = mean_and_deviation(workdir, 'performance', metric, arm=arm)
            assert shown['performance'][arm, column][:1] == [expected]
        ensemble = value(workdir, 'performance', 'auroc', arm=arm, kind='ensemble', statistic='value')
        assert shown['performance'][arm, 'AUROC, ensemble'] == [text(ensemble)]
        for metric in ('auroc', 'average_precision'):
            for name in ('Mass', EVIL, 'Rare', 'macro'):
                expected = mean_and_deviation(workdir, 'performance', metric, arm=arm, name=name)
                assert shown[f'{metric}-by-class'][name, arm] == [expected]
    assert shown['auroc-by-class']['Rare', 'bce'] == ['–']
    accuracy = value(workdir, 'performance', 'accuracy', kind='null level', against='always negative')
    assert shown['performance']['always negative', 'accuracy'] == [text(accuracy)]
    prevalence = value(workdir, 'performance', 'prevalence', name='Mass')
    assert shown['auroc-by-class']['Mass', 'prevalence'] == [text(prevalence)]


def difference_cell(workdir, table, metric, **where) -> list[str]:
    """A difference as its cell says it: the estimate, then its interval and corrected p."""
    mean, low, high, p = (
        value(workdir, table, metric, statistic=s, **where) for s in ('mean', 'low', 'high', 'p_adjusted')
    )
    below = [] if np.isnan(low) else [f'[{text(low, plus=True)}, {text(high, plus=True)}]']
    below += [] if np.isnan(p) else ['p < 0.001' if p < 0.001 else f'p {text(p)}']
    return [text(mean, plus=True), *([' '.join(below)] if below else [])]


def test_differences_are_those_of_the_tables(workdir, shown):
    for arm in ('focal', 'inter_class_weighted_bce'):
        expected = difference_cell(workdir, 'performance', 'auroc', arm=arm, against='bce')
        assert shown['auroc-difference']['macro', arm] == shown['every-arm'][arm, 'macro AUROC'] == expected
        expected = difference_cell(workdir, 'performance', 'average_precision', arm=arm, name='Mass', against='bce')
        assert shown['average_precision-difference']['Mass', arm] == expected


def test_alignment_and_concepts_are_those_of_the_tables(workdir, shown):
    columns = {'hit_share': 'hit share', 'pointing_game': 'pointing game', 'iou': 'IoU', 'empty': 'empty maps'}
    for metric, column in columns.items():
        for arm in ARMS:
            expected = mean_and_deviation(workdir, 'alignment', metric, arm=arm, method='grad_cam')
            assert shown['alignment-grad_cam'][arm, column] == [expected]
        null = value(workdir, 'alignment', metric, kind='null level', against='constant map')
        assert shown['alignment-grad_cam']['constant map', column] == [text(null)]
    for arm in ARMS:
        place = {'arm': arm, 'layer': LAYER}
        for metric, column, method in (
            ('detector_units', 'detector units', 'beyond_null'),
            ('dead_units', 'dead units', ''),
        ):
            of_units = {'name': '', 'concept': 'all concepts', 'method': method, **place}
            expected = mean_and_deviation(workdir, 'concepts', metric, 1, **of_units)
            assert shown['units'][arm, column] == [expected]
        best = value(workdir, 'concepts', 'best_iou', name='', concept='Lungs', **place)
        ceiling = value(workdir, 'concepts', 'iou_ceiling', name='', concept='Lungs', **place)
        assert shown['overlaps']['Lungs', arm] == [text(best), f'of {text(ceiling)}']
        published, corrected = (
            value(workdir, 'concepts', 'concepts_per_image', name='Mass', method=m, over_images='mean', **place)
            for m in ('published', 'corrected')
        )
        assert shown['counts']['Mass', arm] == [text(published, 1), text(corrected, 1)]


def test_data_are_those_of_the_tables(workdir, shown):
    rows = writer.read_table(workdir, 'data')
    rows = rows[((rows['class'] == 'Mass') | (rows['concept'] == 'Mass')) & (rows['split'] == 'train')].set_index(
        'metric'
    )['value']
    first = next(row for row in shown.tables['data'] if row[0][0] == 'Mass')[1:4]
    assert first == [[f'{rows["positives"]:.0f}'], [f'{100 * rows["prevalence"]:.2f} %'], [f'{rows["regions"]:.0f}']]


def test_what_data_and_config_say_is_escaped(page):
    assert '<script' not in page
    assert '<li>Nobody is known.</li>\n<li>Regions that labels deny: 2 (a, b).</li>' in page
    assert page.count(html.escape(EVIL, quote=False).replace('"', '&#34;')) > 10


def test_the_page_asks_for_no_other_file(page):
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in html.unescape(page)
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page)
    assert not re.findall(r'url\((?!data:)|@import', page)
    assert all(re.findall(r'<img src="data:image/(?:jpeg|png|svg\+xml);base64,[^"]+" alt="([^"]*)"', page))


def test_equal_files_make_equal_bytes(workdir, page):
    assert report.write(workdir) == workdir / 'report.html'
    assert (workdir / 'report.html').read_text() == page


def test_one_arm_one_seed_no_region(tmp_path):
    folder = make_workdir(tmp_path, arms={'bce': {}}, seeds=(3,), with_regions=False)
    page = report.write(folder).read_text()
    assert page.count('no annotated region') == 3
    assert page.count('There is one arm: nothing to compare') == 2
    assert 'they hold the patients' in page
    expected = value(folder, 'performance', 'auroc', arm='bce')
    assert Tables(page)['performance']['bce', 'AUROC'][0] == text(expected)


def test_dead_members_are_said(tmp_path):
    folder = make_workdir(tmp_path, arms={'bce': {}, 'focal': {}}, dead=(0, 1, 2))
    (folder / 'explain' / 'gallery.npz').unlink()
    page = report.write(folder).read_text()
    assert '3 of 4 members were frozen' in page
    assert 'No difference in performance to bce has a p' in page
    assert 'No gallery: its files' in page
    table = Tables(page)['performance']
    assert table['bce', 'living seeds'] == ['0 of 2']
    assert table['bce', 'AUROC'] == ['–']
    assert table['focal', 'living seeds'] == ['1 of 2']
    assert page.count('<td>frozen</td>') == 3


def test_a_study_that_is_not_explained_says_how(workdir, tmp_path, capsys):
    folder = shutil.copytree(workdir, tmp_path / 'half')
    (folder / 'results' / 'alignment.parquet').unlink()
    (folder / 'results' / 'concepts.parquet').unlink()
    page = report.write(folder).read_text()
    assert page.count(f'imbalance-jax explain --workdir={folder}') == 3
    said = capsys.readouterr().err
    assert 'results/alignment.parquet, results/concepts.parquet' in said
    assert f'imbalance-jax explain --workdir={folder} makes them again' in said
    train, explain = (f'imbalance-jax {verb} --workdir={folder}' for verb in ('train --config=CONFIG', 'explain'))
    assert trust.remedy(folder, ['predictions.npz']) == f'{train} makes them again'
    assert trust.remedy(folder, ['members.json', 'a.csv']) == f'{train} and then {explain} make them again'
    (said,) = trust.said_of([folder])
    assert said.startswith(f'{folder}: Files that were written there are missing')
    assert 'bring it back from a copy' in trust.remedy(folder / 'weights' / 'matched', ['predictions.npz'])


@pytest.mark.parametrize('name', ['config.json', 'metrics.jsonl', 'results/performance.parquet', 'contact_sheet.npz'])
def test_unfinished_training_is_named(workdir, tmp_path, name):
    folder = shutil.copytree(workdir, tmp_path / 'half')
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f'{name} is missing.*imbalance-jax train .*--workdir={folder}'):
        report.write(folder)


@pytest.mark.parametrize('name', ['config.json', 'metrics.jsonl', 'results/data.parquet', 'contact_sheet.npz'])
def test_damaged_files_are_named(workdir, tmp_path, name):
    folder = shutil.copytree(workdir, tmp_path / 'half')
    (folder / name).write_bytes(b'{"half')
    with pytest.raises(ValueError, match=f'{name} is not what was written there.*(train|from a copy)'):
        report.write(folder)


def test_a_folder_in_the_place_of_the_page_is_named(workdir, tmp_path):
    folder = shutil.copytree(workdir, tmp_path / 'run', ignore=shutil.ignore_patterns('report.html'))
    (folder / 'report.html').mkdir()
    with pytest.raises(IsADirectoryError, match=r'report\.html is a folder, in the place of a file'):
        report.write(folder)


def test_command_line(tmp_path):
    command = [sys.executable, '-m', 'imbalance_jax.analysis.report', str(tmp_path / 'nowhere')]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith('error: ')
    assert 'config.json is missing' in done.stderr
    assert 'Traceback' not in done.stderr


def test_mean_heat_forgets_scale_sign_and_empty_maps():
    rng = np.random.default_rng(1)
    maps = rng.normal(size=(3, 5, 5))
    heat = galleries.mean_heat(maps)
    np.testing.assert_allclose(heat, galleries.mean_heat(maps * np.array([1, 7, 1e-6])[:, None, None]))
    np.testing.assert_allclose(heat, galleries.mean_heat(np.maximum(maps, 0)))
    np.testing.assert_allclose(galleries.mean_heat(maps[:1]).max(), 1)
    assert not galleries.mean_heat(-np.abs(maps)).any()


def test_outline_surrounds_the_mask():
    mask = np.zeros((8, 8), bool)
    mask[2:4, 3:6] = True
    blank = np.zeros((galleries.TILE, galleries.TILE, 3), np.uint8)
    outline = galleries.outlined(blank, mask, '#ffffff').any(-1)
    step = galleries.TILE // 8
    rows, columns = np.nonzero(outline)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2 * step, 4 * step, 3 * step, 6 * step)
    assert not outline[2 * step + 1 : 4 * step, 3 * step + 1 : 6 * step].any()
    assert (galleries.outlined(blank, np.zeros((8, 8), bool), '#ffffff') == blank).all()


def test_units_shown_are_detectors_with_the_best_of_every_concept_first():
    iou = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.1, 0.4]])
    detector = np.array([[1, 0], [1, 1], [0, 0], [0, 1]], bool)
    assert galleries.units_to_show({'iou': iou, 'detector': detector}, 6) == [(0, 0), (3, 1), (1, 0)]
    assert galleries.units_to_show({'iou': iou, 'detector': detector}, 1) == [(0, 0)]


def test_a_browser_loads_everything_from_the_file_alone(page, tmp_path):
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f'no browser found: none of {", ".join(BROWSERS)}')
    # The copy alone may run a script, which only reports what the page did; the rest of its policy is the report's.
    script = """<script>
      const broken = [];
      document.addEventListener('securitypolicyviolation', e => broken.push(e.violatedDirective + ' ' + e.blockedURI));
      addEventListener('load', () => setTimeout(() => {
        const images = [...document.images].map(i => i.naturalWidth);
        const requests = performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith('data:'));
        const wide = document.documentElement.scrollWidth - innerWidth;
        document.body.textContent = JSON.stringify({images, requests, broken, wide});
      }, 200));
    </script>"""
    copy = tmp_path / 'copy.html'
    policy = "style-src 'unsafe-inline'"
    copy.write_text(page.replace('<head>', f'<head>{script}').replace(policy, f"{policy}; script-src 'unsafe-inline'"))
    for width in (1280, 500):
        flags = [*QUIET.split(), f'--user-data-dir={tmp_path / "profile"}', f'--window-size={width},900']
        done = subprocess.run([browser, *flags, copy.as_uri()], capture_output=True, text=True, timeout=120, check=True)
        said = json.loads(html.unescape(re.search(r'<body>(.*?)</body>', done.stdout, re.DOTALL)[1]))
        assert len(said['images']) == page.count('<img ')
        assert min(said['images']) > 0
        assert said['requests'] == said['broken'] == []
        assert said['wide'] <= 0
        assert 'CONSOLE' not in done.stderr

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

from imbalance_jax.analysis.report import findings, galleries
from imbalance_jax.analysis.report import page as report
from imbalance_jax.analysis.report import study as studies
from imbalance_jax.configs import base
from imbalance_jax.data import regions as data_regions
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.results import alignment as localisation
from imbalance_jax.results import data as inspection
from imbalance_jax.results import performance
from imbalance_jax.results import units as encoding
from imbalance_jax.system import provenance
from imbalance_jax.system import workdir as writer
from imbalance_jax.training import build as training_build

EVIL = '<script>alert("x")</script>'
ARMS = {'bce': {}, 'focal': {'gamma': 2.0}, 'inter_class_weighted_bce': {}}
BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome')
QUIET = (
    '--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update '
    '--disable-sync --enable-logging=stderr --v=0 --virtual-time-budget=20000 --dump-dom'
)
LAYER, UNITS, SIZE = 'stage2', 6, 16


def make_dataset(rng, classes, with_regions: bool) -> Dataset:
    """60 noise images, 20 a split; every second image has each finding with a box, and the last class nobody."""
    count, names = 60, (*classes, 'Lungs')
    labels = (np.arange(count)[:, None] + np.arange(len(classes))) % 2
    labels[:, -1] = 0
    image, concept = np.nonzero(labels)
    image, concept = (image, concept) if with_regions else (image[:0], concept[:0])
    boxes = np.tile([8, 8, 40, 40], (len(image), 1)) + 8 * (image % 3)[:, None]
    problems = {'unreadable': [f'{EVIL}.png', *(f'{i}.png' for i in range(9))], 'missing': []}
    info = {'name': 'noise', 'classes': list(classes), 'concepts': list(names), 'frame': [64, 64], 'options': {}}
    return Dataset(
        images=rng.integers(0, 255, (count, SIZE, SIZE, 1), np.uint8),
        labels=labels.astype(np.uint8),
        label_mask=np.ones_like(labels, np.uint8),
        split=(np.arange(count) // 20).astype(np.uint8),
        patient=np.arange(count) // 2,
        image_id=np.arange(count).astype(str),
        region_image=image,
        region_concept=concept,
        region_box=boxes.astype(np.float32),
        region_mask=np.zeros((0, SIZE, 2), np.uint8),
        info={**info, 'problems': problems, 'source': f'made up {EVIL}', 'licence': 'none'},
    )


def make_workdir(folder, arms=None, seeds=(0, 1), classes=('Mass', EVIL, 'Rare'), with_regions=True, dead=()):
    """A finished working directory of noise, with the package's own tables."""
    rng = np.random.default_rng(0)
    config = base.get_config()
    config.seeds = seeds
    with config.unlocked():
        config.arms = arms or ARMS
    config.attribution.methods = ('grad_cam',)
    config.evaluate.bootstrap_rounds = 20
    members, dataset = training_build.make_members(config), make_dataset(rng, classes, with_regions)
    alive = np.array([row['member'] not in dead for row in members])
    writer.write_json(folder / 'config.json', config.to_dict())
    writer.write_json(folder / 'members.json', members)
    writer.write_json(folder / 'data.json', dataset.info)
    writer.write_arrays(folder / 'contact_sheet.npz', **inspection.contact_sheet(dataset))
    writer.write_table(folder, 'data', inspection.rows(dataset))
    with provenance.stage(folder, 'train', strategy='vmap'):
        lines = {'validation_auroc': 0.6, 'validation_average_precision': None}
        for epoch in (1, 2):
            writer.append_metrics(folder, [{**row, 'epoch': epoch, **lines} for row in members])
    options = (config.reference, config.evaluate.bootstrap_rounds, 0)
    rows = []
    for split in ('validation', 'test'):
        where = dataset.rows(split)
        truth = (dataset.labels[where], dataset.label_mask[where], dataset.patient[where])
        scores = rng.uniform(size=(len(members), len(where), len(classes)))
        made = performance.rows(members, scores, scores, *truth, alive, classes, *options)
        rows += [{**row, 'split': split} for row in made]
    writer.write_table(folder, 'performance', rows)
    explain(folder, rng, members, dataset, alive, options)
    return folder


def explain(folder, rng, members, dataset, alive, options):
    """What explaining leaves, of random figures, maps and units."""
    pairs = data_regions.finding_pairs(dataset, 'test', 'box')
    count = len(pairs.image)
    if not count:
        writer.write_table(folder, 'alignment', [])
        return

    def figures(*lead):
        figure = {name: rng.uniform(size=(*lead, count)) for name in ('iobb', 'ior', 'iou', 'empty', 'hits')}
        return {**figure, 'points': np.ones((*lead, count))}

    nulls = {name: figures() for name in ('chance', 'image centre', 'constant map')}
    own = {'grad_cam': figures(len(members))}
    made = localisation.rows(members, own, nulls, pairs, dataset.classes, alive, *options)
    writer.write_table(folder, 'alignment', [{**row, 'split': 'test'} for row in made])
    shown = {'images': dataset.images[pairs.image, :, :, 0], 'finding': pairs.finding, 'mask': pairs.mask}
    writer.write_arrays(folder / 'explain' / 'gallery.npz', **shown, constant=pairs.mask.astype(np.float16))
    maps = rng.normal(size=(len(members), count, SIZE, SIZE)).astype(np.float32)
    writer.write_arrays(folder / 'explain' / 'alignment_grad_cam.npz', gallery=maps)

    probe = dataset.rows('test')
    writer.write_arrays(folder / 'explain' / 'probe.npz', images=dataset.images[probe, :, :, 0], rows=probe)
    summary = []
    for row in members:
        found = units(rng, len(dataset.concepts), len(probe))
        writer.write_arrays(folder / 'explain' / f'units_{row["member"]}.npz', **found)
        counts = {name: rng.integers(1, 9, len(probe)) for name in ('concepts', 'concepts_corrected')}
        summary += encoding.dissection_rows(row, found, dataset.concepts, LAYER, len(probe))
        summary += encoding.count_rows(row, counts, dataset.labels[probe].astype(bool), dataset.classes, LAYER)
    summary += encoding.arm_rows(members, summary, alive)
    writer.write_table(folder, 'concepts', [{**row, 'split': 'test'} for row in summary])


def units(rng, concepts: int, images: int) -> dict[str, np.ndarray]:
    """One member's dissection, of random numbers."""
    pairs = {name: rng.uniform(size=(UNITS, concepts)) for name in ('iou', 'ceiling', 'p_pooled')}
    flags = {'dead': np.arange(UNITS) == 0, 'sparse': np.arange(UNITS) < 2}
    top = np.stack([rng.permutation(images)[:4] for _ in range(UNITS)])
    maps = rng.uniform(size=(UNITS, 4, 4, 4)).astype(np.float16)
    found = {**pairs, **flags, 'detector': pairs['iou'] > 0.5, 'threshold': np.full(UNITS, 0.7)}
    return {**found, 'top': top, 'top_maps': maps}


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


def value(workdir, table, metric, name='macro', arm='', method='member', seed='all') -> float:
    """One number of a results table, by pandas alone."""
    rows = writer.read_table(workdir, table)
    keys = {'metric': metric, 'class': name, 'arm': arm, 'seed': seed if arm else '', 'method': method, 'split': 'test'}
    for column, key in keys.items():
        rows = rows[rows[column] == key]
    return rows['value'].item()


def text(number: float, digits=3, plus=False) -> str:
    if np.isnan(number):
        return '–'
    written = f'{number:+.{digits}f}' if plus and abs(number) >= 0.5 * 10**-digits else f'{abs(number):.{digits}f}'
    return written.replace('-', '−')


def mean_and_deviation(workdir, table, metric, digits=3, **where) -> str:
    mean, deviation = (value(workdir, table, f'{metric}_{kind}', **where) for kind in ('mean', 'sd'))
    return '–' if np.isnan(mean) else f'{text(mean, digits)} ± {text(deviation, digits)}'


def estimate(workdir, table, metric, **where) -> list[str]:
    mean, low, high = (value(workdir, table, f'{metric}{end}', **where) for end in ('', '_low', '_high'))
    return [text(mean, plus=True), f'[{text(low, plus=True)}, {text(high, plus=True)}]']


def test_performance_is_that_of_the_tables(workdir, shown):
    for arm in ARMS:
        for metric, column in (('auroc', 'AUROC'), ('average_precision', 'AP'), ('accuracy', 'accuracy')):
            expected = mean_and_deviation(workdir, 'performance', metric, arm=arm)
            assert shown['performance'][arm, column] == [expected]
        ensemble = value(workdir, 'performance', 'auroc', arm=arm, method='ensemble')
        assert shown['performance'][arm, 'AUROC, ensemble'] == [text(ensemble)]
        for metric in ('auroc', 'average_precision'):
            for name in ('Mass', EVIL, 'Rare', 'macro'):
                expected = mean_and_deviation(workdir, 'performance', metric, arm=arm, name=name)
                assert shown[f'{metric}-by-class'][name, arm] == [expected]
    assert shown['auroc-by-class']['Rare', 'bce'] == ['–']
    accuracy = value(workdir, 'performance', 'accuracy', method='always negative')
    assert shown['performance']['always negative', 'accuracy'] == [text(accuracy)]
    prevalence = value(workdir, 'performance', 'prevalence', name='Mass', method='data')
    assert shown['auroc-by-class']['Mass', 'prevalence'] == [text(prevalence)]


def test_differences_are_those_of_the_tables(workdir, shown):
    for arm in ('focal', 'inter_class_weighted_bce'):
        expected = estimate(workdir, 'performance', 'auroc_difference', arm=arm)
        assert shown['auroc-difference']['macro', arm] == shown['beyond'][arm, 'AUROC difference'] == expected
        expected = estimate(workdir, 'performance', 'average_precision_difference', arm=arm, name='Mass')
        assert shown['average_precision-difference']['Mass', arm] == expected
        expected = estimate(workdir, 'alignment', 'iou_difference', arm=arm, method='grad_cam')
        assert shown['beyond'][arm, 'Grad-CAM IoU difference'] == expected


def test_alignment_and_concepts_are_those_of_the_tables(workdir, shown):
    columns = {'hit_share': 'hit share', 'pointing_game': 'pointing game', 'iou': 'IoU', 'empty': 'empty maps'}
    for metric, column in columns.items():
        for arm in ARMS:
            expected = mean_and_deviation(workdir, 'alignment', metric, arm=arm, method='grad_cam')
            assert shown['alignment-grad_cam'][arm, column] == [expected]
        null = value(workdir, 'alignment', metric, method='constant map')
        assert shown['alignment-grad_cam']['constant map', column] == [text(null)]
    for arm in ARMS:
        place = {'arm': arm, 'method': LAYER}
        for metric, column in (('detector_units', 'detector units'), ('dead_units', 'dead units')):
            expected = mean_and_deviation(workdir, 'concepts', metric, 1, name='all concepts', **place)
            assert shown['units'][arm, column] == [expected]
        best = value(workdir, 'concepts', 'best_iou_mean', name='Lungs', **place)
        ceiling = value(workdir, 'concepts', 'iou_ceiling_mean', name='Lungs', **place)
        assert shown['overlaps']['Lungs', arm] == [text(best), f'of {text(ceiling)}']
        published, corrected = (
            value(workdir, 'concepts', f'{m}_image_mean_mean', name='Mass', **place)
            for m in ('concepts', 'concepts_corrected')
        )
        assert shown['counts']['Mass', arm] == [text(published, 1), text(corrected, 1)]


def test_data_are_those_of_the_tables(workdir, shown):
    rows = writer.read_table(workdir, 'data')
    rows = rows[(rows['class'] == 'Mass') & (rows['split'] == 'train')].set_index('metric')['value']
    first = next(row for row in shown.tables['data'] if row[0][0] == 'Mass')[1:4]
    assert first == [[f'{rows["positives"]:.0f}'], [f'{100 * rows["prevalence"]:.2f} %'], [f'{rows["regions"]:.0f}']]


def test_what_data_and_config_say_is_escaped(page):
    assert '<script' not in page
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
    assert 'holds the patients' in page
    expected = value(folder, 'performance', 'auroc_mean', arm='bce')
    assert Tables(page)['performance']['bce', 'AUROC'] == [text(expected)]


def test_dead_members_are_said(tmp_path):
    folder = make_workdir(tmp_path, arms={'bce': {}, 'focal': {}}, dead=(0, 1, 2))
    (folder / 'explain' / 'gallery.npz').unlink()
    page = report.write(folder).read_text()
    assert '3 of 4 members were frozen' in page
    assert 'No difference in macro AUROC to bce is defined' in page
    assert 'No gallery: its files' in page
    table = Tables(page)['performance']
    assert table['bce', 'living seeds'] == ['0 of 2']
    assert table['bce', 'AUROC'] == ['–']
    assert table['focal', 'living seeds'] == ['1 of 2']
    assert page.count('<td>frozen</td>') == 3


def test_a_study_that_is_not_explained_says_how(workdir, tmp_path):
    folder = shutil.copytree(workdir, tmp_path / 'half')
    (folder / 'results' / 'alignment.parquet').unlink()
    (folder / 'results' / 'concepts.parquet').unlink()
    page = report.write(folder).read_text()
    assert page.count(f'imbalance-jax explain --workdir={folder}') == 3


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
    with pytest.raises(ValueError, match=f'{name} cannot be read'):
        report.write(folder)


def test_command_line(tmp_path):
    command = [sys.executable, '-m', 'imbalance_jax.analysis.report', str(tmp_path / 'nowhere')]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith('error: ')
    assert 'config.json is missing' in done.stderr
    assert 'Traceback' not in done.stderr


def comparison(arm, measure, estimate, low, high, method=''):
    return findings.Comparison(arm, method, measure, estimate, low, high)


def test_findings_follow_their_rules(workdir):
    found = studies.load(workdir)
    made = [
        comparison('focal', 'auroc', 0.01, -0.01, 0.03),
        comparison('inter_class_weighted_bce', 'auroc', -0.05, -0.06, -0.04),
    ]
    auroc = findings.ranking(found, made)[0]
    assert 'in 1 of 2 arms: 0 higher, 1 lower' in auroc.statement
    assert auroc.details == ['inter_class_weighted_bce: AUROC −0.050 [−0.060, −0.040]']
    alignment = [
        comparison('focal', 'iou', 0.0004, 0.0002, 0.0006, 'grad_cam'),
        comparison('focal', 'ior', 0.1, -0.1, 0.3, 'grad_cam'),
        comparison('inter_class_weighted_bce', 'iou', 0.5, 0.4, 0.6, 'grad_cam'),
    ]
    hidden = findings.hidden(found, made, alignment)[0]
    assert 'in the 1 arm whose AUROC interval includes 0, 1 of 2 intervals of alignment exclude 0' in hidden.statement
    expected = 'focal: Grad-CAM IoU +0.0004 [+0.0002, +0.0006] (1 of 2 intervals; AUROC +0.010 [−0.010, +0.030])'
    assert hidden.details == [expected]
    none = findings.hidden(found, made, alignment[1:])[0]
    assert none.statement.startswith('No difference that AUROC does not show')
    assert not none.details
    skill = findings.skill([comparison('bce', 'iou', -0.2, -0.3, -0.1, 'grad_cam')])[0]
    assert "no arm's maps are shown to be better" in skill.statement


def test_number_of_comparisons(workdir, page):
    total = sum(map(len, findings.comparisons(studies.load(workdir)).values()))
    assert total == 2 * 2 + 2 * 3 + 3 * 3
    assert f'follow from {total} macro intervals' in page


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
    drawn = galleries.outlined(blank, mask, '#ffffff').any(-1)
    step = galleries.TILE // 8
    rows, columns = np.nonzero(drawn)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2 * step, 4 * step, 3 * step, 6 * step)
    assert not drawn[2 * step + 1 : 4 * step, 3 * step + 1 : 6 * step].any()
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

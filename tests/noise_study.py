"""A finished working directory of noise, with the package's own tables, in a moment."""

import numpy as np

from imbalance_jax.configs import base
from imbalance_jax.data import regions
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.results import alignment, data, performance, unit_arms, units
from imbalance_jax.results.rows import Bootstrap, Population
from imbalance_jax.results.schema import write_table
from imbalance_jax.system import provenance, workdir
from imbalance_jax.training import build

EVIL = '<script>alert("x")</script>'
ARMS = {'bce': {}, 'focal': {'gamma': 2.0}, 'inter_class_weighted_bce': {}}
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
        info={**info, 'problems': problems, **SENTENCES, 'source': f'made up {EVIL}', 'licence': 'none'},
    )


SENTENCES = {'notes': ['Nobody is known.'], 'doubts': ['Regions that labels deny: 2 (a, b).']}


def make_workdir(folder, arms=None, seeds=(0, 1), classes=('Mass', EVIL, 'Rare'), with_regions=True, dead=()):
    """A finished working directory of noise, with the package's own tables."""
    rng = np.random.default_rng(0)
    config = base.get_config()
    config.seeds = seeds
    with config.unlocked():
        config.arms = arms or ARMS
    config.attribution.methods = ('grad_cam',)
    config.evaluate.bootstrap_rounds = 20
    members, dataset = build.make_members(config), make_dataset(rng, classes, with_regions)
    alive = np.array([row['member'] not in dead for row in members])
    workdir.write_json(folder / 'config.json', config.to_dict())
    workdir.write_json(folder / 'members.json', members)
    workdir.write_json(folder / 'data.json', dataset.info)
    workdir.write_arrays(folder / 'contact_sheet.npz', **data.contact_sheet(dataset))
    write_table(folder, 'data', data.rows(dataset))
    with provenance.stage(folder, 'train', strategy='vmap'):
        lines = {'alive': True, 'validation_auroc': 0.6, 'validation_average_precision': None}
        for epoch in (1, 2):
            workdir.append_metrics(folder, [{**row, 'epoch': epoch, **lines} for row in members])
    population, bootstrap = Population(members, alive, config.reference), Bootstrap(20, 0)
    rows = []
    for split in ('validation', 'test'):
        where = dataset.rows(split)
        truth = performance.Truth(dataset.labels[where], dataset.label_mask[where], dataset.patient[where])
        scores = rng.uniform(size=(len(members), len(where), len(classes)))
        what = {'corrected': scores, 'classes': classes, 'bootstrap': bootstrap}
        table_rows = performance.rows(population, scores, truth, **what)
        rows += [{**row, 'split': split} for row in table_rows]
    write_table(folder, 'performance', rows)
    explain(folder, rng, dataset, population, bootstrap)
    return folder


def explain(folder, rng, dataset, population, bootstrap):
    """What explaining leaves, of random figures, maps and units."""
    pairs = regions.finding_pairs(dataset, 'test', 'box')
    count = len(pairs.image)
    if not count:
        write_table(folder, 'alignment', [])
        return

    def figures(*lead):
        figure = {name: rng.uniform(size=(*lead, count)) for name in ('iobb', 'ior', 'iou', 'empty', 'hits')}
        return {**figure, 'points': np.ones((*lead, count))}

    nulls = {name: figures() for name in ('chance', 'image centre', 'constant map')}
    members, of_members = population.members, {'grad_cam': figures(len(population.members))}
    what = {'nulls': alignment.Nulls(nulls), 'classes': dataset.classes, 'bootstrap': bootstrap}
    table_rows = alignment.rows(population, of_members, pairs, **what)
    write_table(folder, 'alignment', [{**row, 'split': 'test'} for row in table_rows])
    shown = {'images': dataset.images[pairs.image, :, :, 0], 'finding': pairs.finding, 'mask': pairs.mask}
    workdir.write_arrays(folder / 'explain' / 'gallery.npz', **shown, constant=pairs.mask.astype(np.float16))
    maps = rng.normal(size=(len(members), count, SIZE, SIZE)).astype(np.float32)
    workdir.write_arrays(folder / 'explain' / 'alignment_grad_cam.npz', gallery=maps)

    probe = dataset.rows('test')
    workdir.write_arrays(folder / 'explain' / 'probe.npz', images=dataset.images[probe, :, :, 0], rows=probe)
    summary = []
    for row in members:
        dissection = dissected(rng, len(dataset.concepts), len(probe))
        workdir.write_arrays(folder / 'explain' / f'units_{row["member"]}.npz', **dissection)
        counts = {name: rng.integers(1, 9, len(probe)) for name in (units.PUBLISHED, units.CORRECTED)}
        findings_shown = dataset.labels[probe].astype(bool)
        summary += units.dissection_rows(row, dissection, dataset.concepts, layer=LAYER, images=len(probe))
        summary += units.count_rows(row, counts, findings_shown, dataset.classes, layer=LAYER)
    summary += unit_arms.arm_rows(population, summary)
    write_table(folder, 'concepts', [{**row, 'split': 'test'} for row in summary])


def dissected(rng, concepts: int, images: int) -> dict[str, np.ndarray]:
    """One member's dissection, of random numbers."""
    pairs = {name: rng.uniform(size=(UNITS, concepts)) for name in ('iou', 'ceiling', 'excess', 'p_pooled')}
    flags = {'dead': np.arange(UNITS) == 0, 'sparse': np.arange(UNITS) < 2}
    top = np.stack([rng.permutation(images)[:4] for _ in range(UNITS)])
    maps = rng.uniform(size=(UNITS, 4, 4, 4)).astype(np.float16)
    by_chance = {'chance_best': rng.uniform(size=concepts), 'chance_top': rng.uniform()}
    by_chance['concept_share'] = np.ones(concepts)
    result = {**pairs, **by_chance, **flags, 'detector': pairs['iou'] > 0.5, 'threshold': np.full(UNITS, 0.7)}
    return {**result, 'top': top, 'top_maps': maps}

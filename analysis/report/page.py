"""The report: one HTML file that says what a working directory holds, and needs nothing else to be read.

imbalance-jax report WORKDIR
"""

import argparse
import hashlib
import json
import math
import sys
from pathlib import Path

from imbalance_jax.analysis.report import (
    attributions,
    effects,
    encoded,
    failures,
    findings,
    galleries,
    pages,
    panels,
    seeds,
    study,
    tables,
    unit_tables,
)
from imbalance_jax.analysis.report.study import EXPLAIN, Study
from imbalance_jax.analysis.report.style import HEAT_STOPS, Look, looks
from imbalance_jax.system import layout
from imbalance_jax.system.workdir import write_text

GALLERIES = ('grad_cam', 'saliency')  # methods whose maps are shown, the first two that there are if these are not
CARDS = 6  # units an arm
NAMES = 5  # of files left out

# What happens in a round of each null model of `concepts.dissect`.
NULLS = {
    'image_permutation': 'images exchange their annotations, which stay in place',
    'circular_shift': "each image's annotations are shifted at random",
}


def main() -> None:
    """Entry point; exit status 2 for a directory that holds no finished training, or a damaged one."""
    parser = argparse.ArgumentParser(prog='imbalance-jax report', description='Writes WORKDIR/report.html.')
    parser.add_argument('workdir', type=Path, metavar='WORKDIR', help='what imbalance-jax train and explain wrote')
    try:
        print(write(parser.parse_args().workdir))
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)


def write(workdir: Path) -> Path:
    """Makes WORKDIR/report.html and returns its path. Equal files give an equal report, byte for byte."""
    found = study.load(workdir)
    path = found.folder / layout.REPORT
    write_text(path, render(found))
    failures.write(found)
    return path


def render(found: Study) -> str:
    """The page. Everything that comes from data or config is escaped by the template."""
    look = looks(found.arms)
    units = encoded.section(found, look)
    return pages.render(
        layout.REPORT,
        study=found,
        look=look,
        findings=[*findings.findings(found), *encoded.findings(units)],
        looked_at=findings.looked_at(found),
        data=data_section(found),
        performance=performance_section(found, look),
        noise=seeds.section(found, look),
        alignment=alignment_section(found, look),
        attributions=attributions.section(found) if found.methods else {},
        failures=failures.known(found),
        concepts=concepts_section(found, look),
        encoded=units,
        beyond=beyond_section(found, look),
        mistakes=tables.mistakes(found) if found.audit else [],
        provenance=provenance_section(found),
        heat=HEAT_STOPS,
    )


def data_section(found: Study) -> dict:
    problems = {kind.replace('_', ' '): names for kind, names in found.info['problems'].items() if names}
    return {
        'splits': tables.splits(found),
        'table': tables.data(found),
        'prevalence': panels.prevalence(found),
        'sheet': galleries.contact_sheet(found.sheet, found.classes),
        'problems': [(kind, len(names), names[:NAMES]) for kind, names in problems.items()],
    }


def performance_section(found: Study, look: dict[str, Look]) -> dict:
    metrics = panels.RANKING
    return {
        'panels': panels.performance(found, look),
        'table': tables.performance(found),
        'by_class': {metric: tables.by_class(found, metric) for metric in metrics},
        'differences': {metric: tables.differences(found, metric) for metric in metrics if found.others},
        'images': found.performance.count('prevalence', found.classes[0], method='data'),
    }


def alignment_section(found: Study, look: dict[str, Look]) -> dict:
    """Panels, tables and pictures by method; without any, `missing` says why."""
    if not found.methods:
        return {'missing': missing(found), 'methods': []}
    shown = panels.alignment(found, look)
    pictures = {method: gallery(found, method) for method in gallery_methods(found.methods)}
    return {
        'missing': '',
        'methods': [
            {
                'name': method,
                'panels': shown[method],
                'table': tables.alignment(found, method),
                'by_class': {m: tables.alignment_by_class(found, method, m) for m in panels.MEASURES},
            }
            for method in found.methods
        ],
        'galleries': {method: rows for method, rows in pictures.items() if rows},
        'pairs': found.alignment.count('iou', 'all pairs', method='constant map'),
    }


def missing(found: Study) -> str:
    """Why there is nothing about alignment or concepts."""
    if found.alignment is None:
        return f'What the models learned has not been asked yet. Run: {EXPLAIN.format(found.folder)}'
    if not found.alignment.value:
        return 'The test split has no annotated region, so that maps and units can be held against nothing.'
    return f'Explaining is not finished. Run: {EXPLAIN.format(found.folder)}'


def gallery_methods(methods: list[str]) -> list[str]:
    return ([method for method in GALLERIES if method in methods] or methods)[:2]


def gallery(found: Study, method: str) -> list:
    """Rows of pictures of one method, none if its files are not there."""
    shown, maps = found.arrays('gallery'), found.arrays(f'alignment_{method}')
    if shown is None or maps is None:
        return []
    living = {arm: [row['member'] for row in found.rows(arm) if found.alive(row)] for arm in found.arms}
    return galleries.maps(shown, maps['gallery'], living, found.classes)


def concepts_section(found: Study, look: dict[str, Look]) -> dict:
    if not found.layer:
        return {'missing': missing(found)}
    return {
        'missing': '',
        'null': NULLS.get(null := found.config['concepts']['null'], f'annotations are found elsewhere ({null})'),
        'panels': panels.concepts(found, look),
        'units': tables.units(found),
        'overlaps': tables.overlaps(found),
        'counts': tables.counts(found),
        'cards': [cards for cards in (unit_cards(found, arm) for arm in card_arms(found)) if cards],
        'images': found.shared_count('best_iou', found.concept_names[0]),
    }


def card_arms(found: Study) -> list[str]:
    """The reference, and the arms with the most and the fewest detector units."""

    def detectors(arm):
        return found.concepts('detector_units_mean', 'all concepts', arm=arm, method=found.layer)

    ordered = sorted((arm for arm in found.others if math.isfinite(detectors(arm))), key=detectors)
    return list(dict.fromkeys([found.reference, *ordered[-1:], *ordered[:1]]))


def unit_cards(found: Study, arm: str) -> dict:
    """Pictures of detector units of an arm's first living seed, with concept, IoU, ceiling and p."""
    row = next((row for row in found.rows(arm) if found.alive(row)), None)
    probe, units = found.arrays('probe'), row and found.arrays(f'units_{row["member"]}')
    if probe is None or units is None:
        return {}
    cards, tables_of_units = [], unit_tables.load(found.folder)
    for unit, s in galleries.units_to_show(units, CARDS):
        concept = found.concept_names[s]
        alt = f'The {units["top"].shape[1]} images that excite unit {unit} most, a detector of {concept}.'
        facts = {name: float(units[name][unit, s]) for name in ('iou', 'ceiling', 'p_pooled')}
        panel = galleries.unit(probe['images'], units, unit, alt)
        more = effects.card_facts(tables_of_units, row, unit)
        cards.append({'unit': unit, 'concept': concept, 'panel': panel, 'more': more, **facts})
    detectors = int(units['detector'].any(1).sum())
    return {'arm': arm, 'seed': row['seed'], 'cards': cards, 'detectors': detectors, 'units': len(units['dead'])}


def beyond_section(found: Study, look: dict[str, Look]) -> dict:
    has_more = found.others and found.methods
    return {
        'panels': panels.beyond(found, look),
        'table': tables.beyond(found) if found.others else None,
        'others': tables.other_measures(found) if has_more else None,
    }


def provenance_section(found: Study) -> dict:
    text = (found.folder / layout.CONFIG).read_bytes()
    return {
        'sha256': hashlib.sha256(text).hexdigest(),
        'config': json.dumps(found.config, indent=1, sort_keys=True, ensure_ascii=False),
        'stages': sorted(found.provenance.items(), key=lambda stage: stage[0] != 'train'),
        'members': [{**row, 'alive': found.alive(row), 'hyper': json.dumps(row['hyper'])} for row in found.members],
    }


if __name__ == '__main__':
    main()

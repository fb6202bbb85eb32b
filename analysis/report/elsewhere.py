"""Sentences about networks that were trained elsewhere, and the words that fit them."""

import re
from pathlib import Path

from imbalance_jax.analysis.report.cells import Cell, Table
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.losses import UNKNOWN

# Networks that are no pairs have no seeds: a report speaks of networks in their place. Phrases come before words.
PHRASES = {
    'that of arms exchanged within seeds, and between seeds (PERMANOVA)': 'that of arms exchanged (PERMANOVA)',
    'paired by seed': 'not paired',
    'Arms share their seeds and patients': 'Arms share their patients',
    'seed noise': 'what networks of one arm differ by',
    'times as far apart as seeds': 'times as far apart as networks of one arm',
    'between seeds': 'between networks of one arm',
    'beyond what seeds do': 'beyond what networks of one arm do',
    'beyond seeds': 'beyond networks of one arm',
    'further apart the arms are than seeds': 'further apart the arms are than networks of one arm',
    'those of different seeds': 'those of one arm',
    'two members with different seeds': 'two members',
}
WORDS = {'seeds': 'networks', 'seed': 'network', 'Seeds': 'Networks', 'Seed': 'Network'}
# What is not a sentence of ours: code, names of files, the question of the config; and tags, but for their `alt`.
KEPT = r'<(?P<tag>code|pre|cite|h1|style|title)\b.*?</(?P=tag)>|<[^>]*>'
NOT_HERE = 'the networks are not here'


def worded(study: Study, page: str) -> str:
    """A page about networks that are no pairs, which speaks of networks, not of seeds.

    Where an arm, a class or a data set is called so itself, the page stays as it is.
    """
    own = ' '.join([*study.arms, *study.classes, *study.concept_names, str(study.info['name'])])
    if re.search(r'\bseeds?\b', own, re.IGNORECASE):
        return page
    known = '|'.join([*map(re.escape, PHRASES), *(rf'\b{word}\b' for word in WORDS)])

    def put(match: re.Match[str]) -> str:
        text = match.group()
        if text.startswith('<img'):
            return re.sub(r'alt="[^"]*"', lambda alt: re.sub(known, put, alt.group()), text)
        return text if text.startswith('<') else (PHRASES | WORDS)[text]

    return re.sub(f'{KEPT}|{known}', put, page, flags=re.DOTALL)


def lines(study: Study) -> list[str]:
    """What must be said of networks that were trained elsewhere; [] for others."""
    if not study.adopted:
        return []
    unknown = [arm for arm in study.arms if study.rows(arm)[0]['loss'] == UNKNOWN]
    where = f'there, too: {NOT_HERE}' if study.only_predicted else 'here'
    said = [f'Adopted: the networks were trained elsewhere, and their predictions were computed {where}']
    if unknown:
        others = ', also where others are recalibrated' if len(unknown) < len(study.arms) else ''
        said.append(f'The loss of {", ".join(unknown)} is not known: probabilities are as the network says{others}')
    groups = [len(study.rows(arm)) for arm in study.arms]
    if not study.paired and min(groups) == 1 and len(groups) > 1:
        said.append(
            'An arm of one network says nothing of how much networks of its kind differ: where the other arm has '
            'several, it is taken to vary as much as that one; between two single networks intervals are over patients '
            'only, and speak of these two networks'
        )
    return said


def predicted(study: Study) -> Table:
    """Every network of which there are predictions only: whence they are."""
    rows = []
    for row in study.members:
        one = row['adopted']
        said = [one['sha256'], one['values'], row['link'], ', '.join(one['classes'])]
        rows.append((f'{row["arm"]}, {row["seed"]}: {Path(one["file"]).name}', [Cell(text) for text in said]))
    return Table('networks', 'arm, number: file', ['sha256', 'what its numbers are', 'link', 'columns'], rows)

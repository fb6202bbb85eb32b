"""Sentences about networks that were trained elsewhere, and the words that fit them."""

import re
from pathlib import Path

from imbalance_jax.analysis.report.cells import Cell, Table
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import plural
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
UNKNOWN_PERFORMANCE = 'Performance is not known: there are features of the images, and no predictions'


KNOWN = '|'.join([*map(re.escape, PHRASES), *(rf'\b{word}\b' for word in WORDS)])


def worded(study: Study, page: str) -> str:
    """A page about networks that are no pairs, which speaks of networks, not of seeds.

    Where an arm, a class or a data set is called so itself, the page stays as it is.
    """
    if has_own_seeds(study):
        return page

    def put(match: re.Match[str]) -> str:
        text = match.group()
        if text.startswith('<img'):
            return re.sub(r'alt="[^"]*"', lambda alt: worded_text(alt.group()), text)
        return text if text.startswith('<') else worded_text(text)

    return re.sub(f'{KEPT}|{KNOWN}', put, page, flags=re.DOTALL)


def worded_text(text: str) -> str:
    """The same of a text that is no page, such as one in a picture."""
    return re.sub(KNOWN, lambda match: (PHRASES | WORDS)[match.group()], text)


def has_own_seeds(study: Study) -> bool:
    """Whether a name of the study has the word in it."""
    own = ' '.join([*study.arms, *study.classes, *study.concept_names, str(study.info['name'])])
    return bool(re.search(r'\bseeds?\b', own, re.IGNORECASE))


def recorded(study: Study) -> str:
    """What there is of networks that were trained elsewhere."""
    there = {'predictions': study.predicted, 'features': study.has_features}
    return ' and '.join(name for name, known in there.items() if known)


def lines(study: Study) -> list[str]:
    """What must be said of networks that were trained elsewhere; [] for others."""
    if not study.adopted:
        return []
    unknown = [arm for arm in study.arms if study.rows(arm)[0]['loss'] == UNKNOWN]
    where = f'there, too: {NOT_HERE}' if study.not_here else 'here'
    said = [f'Adopted: the networks were trained elsewhere, and their {recorded(study)} were computed {where}']
    if unknown and study.predicted:
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
    """Every network of which there are predictions or features only: whence they are."""
    rows = []
    for row in study.members:
        one, features = row['adopted'], row['adopted'].get('features')
        who = f'{row["arm"]}, {row["seed"]}'
        if study.predicted:
            said = [one['sha256'], one['values'], row['link'], ', '.join(one['classes'])]
            rows.append((f'{who}: {Path(one["file"]).name}', [Cell(text) for text in said]))
        if features:
            height, width, units = features['shape']
            places = f', at {height} x {width} places' if (height, width) != (1, 1) else ''
            said = [features['sha256'], 'features', '', f'{plural(units, "unit")}{places}']
            rows.append((f'{who}: {Path(features["file"]).name}', [Cell(text) for text in said]))
    return Table('networks', 'arm, number: file', ['sha256', 'what its numbers are', 'link', 'columns'], rows)

"""What the members of a study began as, and what that makes of sentences about it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from imbalance_jax.analysis.report import elsewhere
from imbalance_jax.analysis.report.cells import Cell, Table
from imbalance_jax.analysis.report.contrasts import LEVEL
from imbalance_jax.analysis.report.study import Study
from imbalance_jax.analysis.report.style import number, plural, speaking
from imbalance_jax.configs import base
from imbalance_jax.metrics import exchange
from imbalance_jax.training.members import RANDOM, backbones
from imbalance_jax.training.start import weights_of

# By what members began as: all drawn at random, all with the same weights, or not alike; of networks that were trained
# elsewhere nothing of it is known, or only that those with one seed are pairs.
RANDOMLY, ALIKE, APART, ELSEWHERE, PAIRS = 'randomly', 'alike', 'apart', 'elsewhere', 'pairs'
LEAD = {
    ELSEWHERE: 'the networks were trained elsewhere and have nothing in common but the images here',
    PAIRS: 'the networks were trained elsewhere; those of different arms with one seed are said to have begun with the'
    ' same weights and to have met the same images',
    RANDOMLY: 'members of different arms with one seed start from the same weights and draw from the same random'
    ' numbers',
    ALIKE: 'all members start from the same weights, learned elsewhere; members of different arms with one seed start'
    ' with the same head, too, and draw from the same random numbers',
    APART: 'arms start from different weights (see Performance), which is part of what they differ by; members of'
    ' different arms with one seed draw from the same random numbers',
}
SEEDS = {
    ELSEWHERE: 'any two may be compared, as none is known to be a pair of another',
    PAIRS: "one seed's members are said to have begun alike, and are alike for that reason, whatever their arm",
    RANDOMLY: "one seed's members start from the same weights, and are alike for that reason, whatever their arm",
    ALIKE: "one seed's members start with the same head and meet the same batches, and are alike for that reason,"
    ' whatever their arm. What all members start from alike, both kinds of pairs have in common',
    APART: "one seed's members meet the same batches, and are alike for that reason. Members that start from one file"
    ' are alike whatever their seed, and arms that start from different ones differ for that reason, too',
}
UNITS = {
    ELSEWHERE: 'No two of these networks are known to have begun alike; where two did, units match for that reason too',
    PAIRS: 'Members with one seed and other arms are said to have begun alike: there, units match for that reason too',
    RANDOMLY: 'Members with one seed and other arms share their initial weights: there, units match for that reason'
    ' too',
    ALIKE: 'All members start from the same weights: units match for that reason everywhere',
    APART: 'Members that start from the same weights have units that match for that reason: those of one file whatever'
    ' their seed, and those of random weights with one seed',
}
BEFORE = {
    ELSEWHERE: 'Untrained network: the same architecture with random weights, which is none of those that training'
    ' elsewhere began with',
    PAIRS: 'Untrained network: the same architecture with random weights, which is none of those that training'
    ' elsewhere began with',
    RANDOMLY: "Untrained network: the same architecture with the seed's initial weights",
    ALIKE: 'Network before training: the weights that training began with, and a new head',
    APART: 'Network before training: what the member began as, which is a random network, or weights learned elsewhere'
    ' with a new head',
}


def worded(study: Study, make: Callable[[], str]) -> str:
    """The page that `make` gives, with its pictures, in words that are true of what its members began as."""
    if kind(study) != ELSEWHERE:
        return make()
    with speaking(None if elsewhere.has_own_seeds(study) else elsewhere.worded_text):
        return elsewhere.worded(study, make())


def question(study: Study) -> str:
    """The question of the config, and where it is the usual one in words that are true of the members."""
    asked = str(study.config['question'])
    usual = kind(study) == ELSEWHERE and asked == base.get_config().question
    return elsewhere.worded_text(asked) if usual else asked


def kind(study: Study) -> str:
    """RANDOMLY, ALIKE or APART; ELSEWHERE or PAIRS of networks that were trained elsewhere."""
    if study.adopted:
        return PAIRS if study.paired else ELSEWHERE
    names = {weights_of(row) for row in study.members}
    if names == {RANDOM}:
        return RANDOMLY
    return ALIKE if len(names) == 1 else APART


def section(study: Study) -> dict[str, Any]:
    """What the templates lay out: sentences about all members, and a table of the weights."""
    of_kind = kind(study)
    return {
        'lead': LEAD[of_kind],
        **comparisons(study),
        'elsewhere': elsewhere.lines(study),
        'networks': networks(study),
        'question': question(study),
        'recorded': elsewhere.recorded(study),
        'unknown_performance': elsewhere.UNKNOWN_PERFORMANCE,
        'pairs': exchanged(study, SEEDS[of_kind]),
        'seeds': SEEDS[of_kind],
        'units': UNITS[of_kind],
        'before': with_head(BEFORE[of_kind], study),
        'began': began(study),
        'seen': seen_of(study),
        'sizes': [one for one in (size(study, one) for one in study.starts.values()) if one],
        'table': table(study),
        'cached': cached(study),
    }


def cached(study: Study) -> str:
    """What is said of heads on cached features; '' where networks were trained."""
    if study.config['train'].get('features', 'recompute') != 'cached':
        return ''
    count = len(backbones(study.members)[0])
    networks = 'one network, which all members share' if count == 1 else f'{count} networks, shared by members of one'
    of = '' if count == 1 else ' start (a seed, or a file of weights)'
    return (
        f'Only heads were trained, on features computed once per image by {networks}{of}, in evaluation mode and'
        ' without augmentation. Members on one network have the same units and features: what differs between them'
        ' there is 0 by construction, and findings on units are of the networks, not of the arms'
    )


def comparisons(study: Study) -> dict[str, Any]:
    """How arms are compared, and of how many networks, in words."""
    counts = sorted({len(study.rows(arm)) for arm in study.arms})
    seeds = len(study.config['seeds']) if study.paired else counts[-1]
    least_and_most = ' to '.join(map(str, counts[:1] + counts[1:][-1:]))
    of_networks = f'of {least_and_most} network{"s" if counts[-1] > 1 else ""}{" each" if study.others else ""}'
    sizes = [name for arm in (study.reference, *study.others[:1]) for name in [arm] * len(study.rows(arm))]
    least = exchange.smallest_p(seeds) if study.paired else exchange.smallest_p_of(sizes, None)
    one = f'{plural(seeds, "seed")}' if study.paired else 'so many networks'
    end = ', so that no single arm can be named here, whatever it does.' if least > LEVEL else '.'
    return {
        'by': 'seed by seed' if study.paired else 'as two groups of networks',
        'over': 'over paired seeds' if study.paired else 'of two groups of networks that are no pairs',
        'times': f'x {plural(seeds, "seed")}' if study.paired else of_networks,
        'models': plural(len(study.members), 'model'),
        'epochs': 'trained elsewhere' if study.adopted else plural(study.config['train']['epochs'], 'epoch'),
        'seeds_per_arm': seeds,
        'number': plural(seeds, 'seed') if study.paired else plural(len(study.members), 'network'),
        'least': f'With two arms and {one} p cannot fall below about {number(least, 3)}{end}',
    }


def exchanged(study: Study, why: str) -> str:
    """Which members are compared in tests by exchange, and what would be exchanged."""
    if study.paired:
        return (
            f'Members are compared in pairs of different seeds only: {why}. If arms made no difference, members of one '
            'seed could exchange their arms'
        )
    return f'Of the members {why}. If arms made no difference, all members could exchange their arms'


def networks(study: Study) -> Table:
    """Every network that was adopted: its file and what is done with it."""
    if study.not_here:
        return elsewhere.predicted(study)
    rows = []
    for row in study.members if study.adopted else ():
        one = row['adopted']
        said = [one['name'] or 'not known', one['sha256'], one['container'], wants(one), row['link']]
        said += [
            ', '.join(one['trained_on']) or 'not known',
            ', '.join(filter(None, one['classes'])) or 'as the data set',
        ]
        rows.append((f'{row["arm"]}, {row["seed"]}: {Path(one["file"]).name}', [Cell(text) for text in said]))
    head = ['what it is', 'sha256', 'container', 'images as it wants them', 'link', 'trained on images of', 'outputs']
    return Table('networks', 'arm, number: file', head, rows)


def seen_of(study: Study) -> list[str]:
    """What is said of weights that may know patients of a test split."""
    if not study.adopted:
        return [seen(one) for one in study.starts.values() if one['seen']]
    files = {row['adopted']['file']: row['adopted'] for row in study.members if row['adopted']['seen']}
    return [seen(one).replace('arms that begin with it', 'this network') for one in files.values()]


def with_head(sentence: str, study: Study) -> str:
    """Where heads are kept, none is new."""
    heads = {one['head'] for one in study.starts.values()}
    return sentence.replace('a new head', 'their own head') if heads == {'kept'} else sentence


def began(study: Study) -> str:
    """Which arms began as what; '' where all were drawn at random."""
    parts = []
    for name in dict.fromkeys(weights_of(row) for row in study.members):
        arms = [arm for arm in study.arms if weights_of(study.rows(arm)[0]) == name]
        what = 'random weights' if name == RANDOM else called(study.starts.get(name, {'file': name, 'name': ''}))
        parts.append(f'{", ".join(arms)}: {what}')
    return '; '.join(parts) if kind(study) in (ALIKE, APART) else ''


def called(one: Mapping[str, Any]) -> str:
    """Weights by their name and file."""
    file = Path(one['file']).name
    return f'{one["name"]} ({file})' if one['name'] else file


def seen(one: Mapping[str, Any]) -> str:
    """What makes figures of the test split untrue."""
    sets = ', '.join(f'{name} (images of {family})' for name, family in one['seen'].items())
    families = ', '.join(one['trained_on'])
    return (
        f'{called(one)} was trained on images of {families}: patients of the test split of {sets} may be among them. '
        'Performance of arms that begin with it is no estimate for new patients, and looks better than it is; so may '
        'all else that is measured on these images'
    )


def size(study: Study, one: Mapping[str, Any]) -> str:
    """What is said of weights that were trained on images of another size; '' for the same."""
    here, there = study.config['data']['image_size'], one['trained_size']
    resized = one['preprocessing']['resize'] or one['preprocessing']['crop']
    if not there or there == here or resized:
        return ''
    return f'{called(one)} was trained on images of {there} pixels, and meets {here} here'


def wants(one: Mapping[str, Any]) -> str:
    """The preprocessing of weights in words."""
    p = one['preprocessing']
    channels = 'one channel' if p['channels'] == 1 else f'{p["channels"]} channels'
    if p['mean'] is None:
        values = "the data set's mean 0 and standard deviation 1"
    elif (p['low'], p['high']) == (0, 1):
        values = f'mean {", ".join(map(str, p["mean"]))}, standard deviation {", ".join(map(str, p["std"]))} of 0..1'
    else:
        moments = '' if set(p['mean']) == {0} and set(p['std']) == {1} else f', minus {p["mean"]}, over {p["std"]}'
        values = f'{p["low"]:g} + {p["high"] - p["low"]:g} v, v in 0..1{moments}'
    steps = [f'shorter side resized to {p["resize"]} ({p["interpolation"]})'] if p['resize'] else []
    steps += [f'middle {p["crop"]} pixels'] if p['crop'] else []
    return '; '.join([channels, values, *steps])


def table(study: Study) -> Table:
    """Every file of weights: what it is, whence, and what is done with it."""
    rows = []
    for one in study.starts.values():
        families = ', '.join(one['trained_on']) or 'not known'
        cells = [one['name'] or 'not known', one['sha256'], one['container'], wants(one), one['head'], families]
        rows.append((Path(one['file']).name, [Cell(str(cell)) for cell in cells]))
    head = ['what it is', 'sha256', 'container', 'images as it wants them', 'head', 'trained on images of']
    return Table('starts', 'file', head, rows)

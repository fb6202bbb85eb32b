"""The smallest difference of AUROC that a number of seeds and patients can show, said before anything is trained.

The mean over S paired seeds of an arm's AUROC minus the reference's, on G patients, has the variance

    V = seeds / S + patients / G + interaction / (S G)

G counts test patients for the macro mean, and patients with the finding for one class. A two-sided t test at 5 %, at
Holm's first step over A arms, finds a difference d with 80 % probability where (Cohen 1988, by the central t)

    d = (t(1 - 0.05 / (2 A), df) + t(0.8, df)) sqrt(V)

df as in `metrics.intervals`; with few seeds, more patients can leave fewer of them and show less. Components are those
of a finished working directory, or of the phantom, measured once. Nothing is imported that has to be installed.
"""

import csv
import math
from functools import partial
from pathlib import Path
from typing import NamedTuple

from imbalance_jax.system import manifest, records
from imbalance_jax.system.files import regular

LEVEL, POWER = 0.05, 0.8
LARGEST = 1.0  # difference of two AUROC
FEW, LOWEST = 1.5, 0.5  # exponents of the shares of variance in the degrees of freedom, as in metrics.intervals
CLASS_SIZES = (10, 100)  # patients with a finding, for which the smallest difference is said
NIH_TEST_PATIENTS = {'official': 2797}
PARTS = ('variance_seeds', 'variance_patients', 'variance_interaction')


class Components(NamedTuple):
    """Variance of a paired difference of AUROC of one seed on one patient that each adds (AUROC squared)."""

    seeds: float
    patients: float
    interaction: float


class Measured(NamedTuple):
    """Components of the macro mean and of the rarer half of the classes, and where they were measured."""

    macro: Components
    rare: Components
    source: str


# Means over four arms of 3 seeds against bce, 20 epochs at 64 px; 375 test patients, 9 to 21 with a rare finding.
PHANTOM = Measured(Components(1.3e-4, 9.0e-3, 1.9e-2), Components(2.7e-4, 3.8e-3, 6.9e-3), 'measured on the phantom')


def smallest_difference(components: Components, *, seeds: int, patients: float, arms: int) -> float:
    """The difference that is found with 80 % probability; NaN below 2 seeds or patients; arms: compared with one."""
    if seeds < 2 or patients < 2:
        return math.nan
    over_seeds = components.seeds / seeds + components.interaction / (seeds * patients)
    variance = over_seeds + components.patients / patients
    if variance <= 0:
        return math.nan
    share = over_seeds / variance
    df = max(1.0, 1 / (_inverse_df(share, seeds - 1) + _inverse_df(1 - share, patients - 1)))
    quantiles = student_quantile(1 - LEVEL / (2 * max(arms, 1)), df) + student_quantile(POWER, df)
    return quantiles * math.sqrt(variance)


def _inverse_df(share: float, df: float) -> float:
    return share ** max(2 - FEW / df, LOWEST) / df


def student_quantile(probability: float, df: float) -> float:
    """Quantile of Student's t, for a probability above 0.5, to about 6 digits: bisection of Simpson's integral."""
    log_scale = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)

    def area(angle: float, steps: int = 200) -> float:  # from 0 to tan(angle) sqrt(df), where the integrand is bounded
        width = angle / steps
        values = [math.cos(i * width) ** (df - 1) for i in range(steps + 1)]
        simpson = values[0] + values[-1] + 4 * sum(values[1:-1:2]) + 2 * sum(values[2:-1:2])
        return math.exp(log_scale) * math.sqrt(df) * simpson * width / 3

    low, high = 0.0, math.pi / 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if area(middle) < probability - 0.5 else (low, middle)
    return math.tan(low) * math.sqrt(df)


def measured(workdir: Path) -> Measured:
    """Components from the test split of a finished population's results/performance.csv: means over its arms.

    Raises ValueError where it holds no variances: one arm, one seed, or an earlier version.
    """
    path = Path(workdir) / 'results' / 'performance.csv'
    if not path.exists():
        raise ValueError(f'--pilot={workdir} is no finished working directory: {path} is missing.')
    manifest.check(path, partial(records.again, workdir))
    with regular(path).open(newline='') as file:
        rows = [row for row in csv.DictReader(file) if row['split'] == 'test' and row['value']]
    counts = {
        row['class']: (float(row['value']), float(row['n'])) for row in rows if row['metric'] == 'positive_patients'
    }
    cells: dict[str, list[list[float]]] = {}
    for row in rows:
        if row['metric'] == 'auroc' and row['statistic'] in PARTS:
            patients = max(n for _, n in counts.values()) if row['class'] == 'macro' else counts[row['class']][0]
            seeds, name = float(row['n']), row['class']
            scale = dict(zip(PARTS, (seeds, patients, seeds * patients), strict=True))[row['statistic']]
            parts = cells.setdefault(name, [[], [], []])
            parts[PARTS.index(row['statistic'])].append(scale * float(row['value']))
    classes = [name for name in cells if name != 'macro']
    if 'macro' not in cells or not classes:
        raise ValueError(f'{path} has no variances of differences: it takes two arms and two seeds, trained as of now.')
    rarer = sorted(classes, key=lambda name: counts[name][0])[: -(-len(classes) // 2)]
    macro, rare = (_mean([cells[name] for name in names]) for names in (['macro'], rarer))
    if min(sum(macro), sum(rare)) <= 0:
        raise ValueError(f'--pilot={workdir}: {path} has no variance of differences, as where the arms rank all images '
                         'alike; expected a pilot of more patients, or of arms that differ.')  # fmt: skip
    return Measured(macro, rare, f'measured in {workdir}')


def _mean(cells: list[list[list[float]]]) -> Components:
    """Mean over cells and arms of the three parts."""
    parts = [[value for cell in cells for value in cell[part]] for part in range(len(PARTS))]
    return Components(*(sum(part) / len(part) for part in parts))


def test_patients(plain: dict) -> int | None:
    """Patients in the test split of a config's data; None where only the data know."""
    data = plain['data']
    options = data.get(data['name'], {})
    if data['name'] == 'phantom':
        return round(options['num_patients'] * options['test_fraction'])
    return NIH_TEST_PATIENTS.get(options.get('split', '')) if data['name'] == 'nih_chest_xray14' else None


def lines(configs: list[dict], pilot: Path | None = None) -> str:
    """What populations can show, for each combination of seeds, arms and test patients among them."""
    known = measured(pilot) if pilot else PHANTOM
    kinds = dict.fromkeys((len(one['seeds']), len(one['arms']) - 1, test_patients(one)) for one in configs)
    return '\n'.join(_line(known, seeds, arms, patients) for seeds, arms, patients in kinds if arms > 0)


def _line(known: Measured, seeds: int, arms: int, patients: int | None) -> str:
    who = f'{seeds} seed{"s" if seeds > 1 else ""}, {arms + 1} arms'
    if seeds < 2:
        return f'{who}: no difference between arms can be shown to be more than seed noise.'
    parts = []
    if patients:
        least = smallest_difference(known.macro, seeds=seeds, patients=patients, arms=arms)
        parts.append(f'{_size(least)} in macro AUROC ({patients} test patients)')
    for size in CLASS_SIZES:
        least = smallest_difference(known.rare, seeds=seeds, patients=size, arms=arms)
        parts.append(f'{_size(least)} in the AUROC of one class, chosen before, with {size} patients')
    what = f'{POWER:.0%} power, two-sided {LEVEL:.0%}, Holm over {arms} arm{"s" if arms > 1 else ""}'
    return f'Smallest difference that {who} can show ({what}; variances {known.source}): {", ".join(parts)}.'


def _size(least: float) -> str:
    """A difference in words: there is none that is larger than the largest."""
    return f'{least:.3f}' if least < LARGEST else f'none up to {LARGEST:g}'

"""Rows about units of single members, brought together arm by arm."""

from collections.abc import Sequence

import numpy as np

from imbalance_jax.metrics.intervals import Interval, over_seeds, p_value, seed_interval, unpaired_over_seeds
from imbalance_jax.metrics.statistics import finite_mean
from imbalance_jax.results.rows import Population, Row, class_cells, interval_rows, of_arm, seed_statistics
from imbalance_jax.results.units import BY_IOU

NOT_AVERAGED = ('carrying_units', 'carrying_censored')  # censored: `ablation.arm_rows` has their median
COUNTED = ('detector_units', 'unique_concepts', 'dead_units', 'sparse_units')  # get intervals over seeds
LEVEL = 0.05
# Statistics of members, and what their means and standard deviations over seeds are called.
OVER_SEEDS = {'value': ('mean', 'sd'), 'p': ('p_mean', 'p_sd')}
OF_ONE_MEMBER = ('arm', 'loss', 'sampler', 'seed', 'member', 'value', 'n')  # columns that do not say what was measured

Cell = tuple[tuple[str, str], ...]  # the columns that say what was measured


def arm_rows(population: Population, of_members: Sequence[Row]) -> list[Row]:
    """Means and standard deviations over the living seeds of every arm, of the rows of single members.

    Counts of units also get Student's 95 % interval over seeds, and their difference to the reference over paired
    seeds, or between two groups that are no pairs, with its interval and p. They are counts on this probe set: its
    patients are not in these intervals.
    """
    cells, result = _by_cell(population, of_members), []
    for (arm, cell), by_seed in cells.items():
        member, what = population.first[arm], dict(cell)
        metric, name, statistic = what.pop('metric'), what.pop('class'), what.pop('statistic')
        if metric in NOT_AVERAGED:
            continue
        what['kind'] = 'null level' if what['kind'] == 'null level' else 'arm'
        mean, deviation = _statistics_rows(member, by_seed, metric, name=name, names=OVER_SEEDS[statistic], **what)
        result += [mean, deviation]
        if metric in COUNTED and what.get('method') != BY_IOU:
            own = over_seeds(np.array(list(by_seed.values())))
            result += _interval_rows(member, own, metric, name=name, **what)[1:]
            other = cells.get((population.reference, cell), {})
            difference = _difference(population, by_seed, other)
            if arm != population.reference and arm in population.compared and difference is not None:
                what['against'] = population.reference
                result += _interval_rows(member, difference, metric, name=name, **what)
                p, number = float(p_value(difference)), int(difference.rounds)
                result.append(of_arm(member, metric, p, number, name=name, statistic='p', **what))
    return result


def _difference(population: Population, by_seed: dict[int, float], other: dict[int, float]) -> Interval | None:
    """An arm's values minus the reference's: over the seeds of both, or of two groups; None without any."""
    if not population.paired:
        groups = np.array(list(by_seed.values())), np.array(list(other.values()))
        return unpaired_over_seeds(*groups) if len(groups[0]) and len(groups[1]) else None
    paired = [by_seed[seed] - other[seed] for seed in by_seed if seed in other]
    return over_seeds(np.array(paired)) if paired else None


def _by_cell(population: Population, of_members: Sequence[Row]) -> dict[tuple[str, Cell], dict[int, float]]:
    """(arm, what was measured) -> seed -> value, of living members."""
    cells: dict[tuple[str, Cell], dict[int, float]] = {}
    for row in of_members:
        if population.alive[row['member']]:
            cell = tuple(sorted((column, value) for column, value in row.items() if column not in OF_ONE_MEMBER))
            cells.setdefault((row['arm'], cell), {})[row['seed']] = row['value']
    return cells


def _statistics_rows(
    member: Row, by_seed: dict[int, float], metric: str, *, name: str, names: tuple[str, str], **columns
) -> list[Row]:
    """Mean and standard deviation of one value per seed, under the given names."""
    values = np.array(list(by_seed.values()), float)[:, None]
    rows = seed_statistics(member, values, class_cells([name]), metric, **columns)
    return [{**row, 'statistic': statistic} for row, statistic in zip(rows, names, strict=True)]


def _interval_rows(member: Row, interval: Interval, metric: str, *, name: str, **columns) -> list[Row]:
    """Mean over seeds, and both ends of Student's interval."""
    cells = class_cells([name])
    return interval_rows(member, interval, cells, metric, int(interval.rounds), **columns)


def arm_directions(population: Population, of_members: Sequence[Row]) -> list[Row]:
    """By arm: TCAV over living seeds, and in how many of them the concept moved the class (p adjusted <= 0.05).

    The interval of the mean magnitude is Student's over seeds: controls and images are the same for all.
    """
    result = []
    for (arm, cell), by_seed in _by_cell(population, of_members).items():
        what, values = dict(cell), np.array(list(by_seed.values()), float)
        metric, statistic, name = what.pop('metric'), what.pop('statistic'), what.pop('class')
        member, number = population.first[arm], len(values)
        what['kind'] = 'arm'
        if (metric, statistic) == ('tcav_magnitude', 'value'):
            result += _interval_rows(member, over_seeds(values), metric, name=name, **what)
        elif statistic == 'value':
            result.append(of_arm(member, metric, finite_mean(values), number, name=name, statistic='mean', **what))
        elif statistic == 'p_adjusted':
            found = (values <= LEVEL).sum()
            result.append(of_arm(member, metric, found, number, name=name, statistic='seeds_found', **what))
    return result


def probe_rows(
    population: Population,
    aurocs: np.ndarray,
    resampled: np.ndarray,
    names: Sequence[str],
    *,
    layer: str,
    methods: Sequence[str],
) -> list[Row]:
    """By arm: the ends of linear probes' mean AUROC [P,S] over patients (resampled [R,P,S]) and seeds; methods: [S],
    see `units.probe_methods`."""
    rows, living = [], population.living(aurocs)
    cells = [{'concept': name, 'method': method} for name, method in zip(names, methods, strict=True)]
    for arm, of in population.arms.items():
        interval, number = seed_interval(living[of], resampled[:, of]), int(np.isfinite(living[of]).any(1).sum())
        interval = interval._replace(low=np.clip(interval.low, 0, 1), high=np.clip(interval.high, 0, 1))
        made = interval_rows(population.first[arm], interval, cells, 'probe_auroc', number, layer=layer)
        rows += [row for row in made if row['statistic'] != 'mean' and np.isfinite(row['value'])]
    return rows

"""How well readers agree with each other, as rows beside the maps: their level, and what maps have less than that."""

from collections.abc import Mapping, Sequence

import numpy as np

from imbalance_jax.data.regions import Pairs
from imbalance_jax.results.contrasts import level, paired_contrast
from imbalance_jax.results.pair_means import Figures, Grouping, Means, names_of
from imbalance_jax.results.rows import Bootstrap, Population, Row, interval_rows, of_kind

READERS = 'other readers'  # what a reader's own region scores against what the others drew


def rows(
    population: Population,
    figures: Mapping[str, Figures],
    ceiling: Figures,
    pairs: Pairs,
    *,
    classes: Sequence[str],
    bootstrap: Bootstrap,
    subsets: Mapping[str, np.ndarray],
    smallest_count: int,
) -> list[Row]:
    """The ceiling of every measure with its interval over patients, and every arm's maps minus it.

    ceiling: figures [M] of `explain.reader_ceiling`; figures: method -> measures [P,M]. All of it is over the pairs for
    which there is a ceiling, so that maps and readers are asked the same; nothing where there are none.
    """
    asked = np.isfinite(ceiling['iou']) if ceiling else np.zeros(0, bool)
    if not asked.any():
        return []
    parts = {name: part[..., asked] for name, part in subsets.items()}
    grouping = Grouping(pairs.finding[asked], pairs.patient[asked], len(classes), parts)
    cells, evidence = grouping.cells(classes), {'clusters': grouping.clusters}
    few, weights = grouping.too_few(smallest_count), bootstrap.weights(pairs.patient[asked])
    means = Means.of({name: value[asked] for name, value in ceiling.items()}, grouping, weights)
    result = []
    for measure, value in means.values.items():
        counts = grouping.counts(means.in_macro[measure])
        interval = level(means.repeated(measure, 1), too_few=few, within_unit=True, **evidence)
        for statistic, numbers in (('value', value), ('low', interval.low), ('high', interval.high)):
            what = {'against': READERS, 'statistic': statistic}
            result += [
                {**of_kind('null level', measure, numbers[k], counts[k], **what), **cell}
                for k, cell in enumerate(cells)
                if counts[k] and np.isfinite(value[k])
            ]
    compared = [i for of in population.compared.values() for i in of if population.alive[i]]
    for method, measures in figures.items():
        living = {name: population.living(value)[:, asked] for name, value in measures.items()}
        of_maps = Means.of(living, grouping, weights, compared)
        for arm, indices in population.arms.items():
            for measure in names_of(measures):
                readers = means.repeated(measure, len(indices))
                if readers.defined:
                    sample = of_maps.sample(measure, indices)
                    one = paired_contrast(population.first[arm], sample, readers, too_few=few, **evidence)
                    result += interval_rows(
                        one.member, one.interval, cells, measure, one.pairs, method=method, against=READERS
                    )
    return result

"""Stage `design`: what arms do that are doses of one number, a 2 x 2 of features and head, or alike in AUROC.

It computes no map: it reads what the stages before it have left, and asks all outcomes the same questions in the same
rounds of a bootstrap over patients. A question that the arms of a population do not ask has an empty table.
"""

from pathlib import Path

from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.regions import Pairs
from imbalance_jax.explain import outputs
from imbalance_jax.explain.map_figures import MethodFigures
from imbalance_jax.explain.map_pairs import test_pairs
from imbalance_jax.results import conditional, mediation, outcomes, rank_agreement, trend
from imbalance_jax.results.comparison import RANKED, Claims, Truth
from imbalance_jax.results.outcomes import Outcome, PatientRounds
from imbalance_jax.results.rows import Bootstrap, Population
from imbalance_jax.results.schema import read_table
from imbalance_jax.results.units import ALL_CONCEPTS, BEYOND_NULL
from imbalance_jax.system import layout
from imbalance_jax.system.workdir import read_arrays
from imbalance_jax.training.trained import FROM_BOTH, SPLIT, Stage, Trained

MEASURES = ('signed_hit_share', 'signed_pixel_auroc', 'relevance_rank', 'iou')  # of maps, above shuffled regions
COUNTS = ('detector_units', 'unique_concepts')
TABLES = ('conditional', 'trend', 'mediation', 'rank_agreement')


def run(trained: Trained, workdir: Path) -> None:
    """results/conditional, trend, mediation and rank_agreement."""
    population, measured = outputs.population(trained), outcomes_of(trained, workdir)
    outputs.write_rows(workdir, 'conditional', conditional.rows(population, measured))
    outputs.write_rows(workdir, 'trend', trend.rows(population, measured))
    outputs.write_rows(workdir, 'mediation', mediation.rows(population, measured))
    outputs.write_rows(workdir, 'rank_agreement', rank_agreement.rows(population, measured, RANKED))


def outcomes_of(trained: Trained, workdir: Path) -> list[Outcome]:
    """AUROC and average precision, measures of every method's maps above shuffled regions, counts of units."""
    population, setting, dataset = outputs.population(trained), trained.config.evaluate, trained.dataset
    index = dataset.rows(SPLIT)
    truth = Truth(dataset.labels[index], dataset.label_mask[index], dataset.patient[index])
    rounds = PatientRounds.of(truth.patients, Bootstrap(setting.bootstrap_rounds, setting.bootstrap_seed))
    claims = Claims(dict(setting.margin), setting.smallest_count)
    logits = outputs.test_logits(workdir)
    measured = outcomes.performance(population, logits, truth, classes=dataset.classes, rounds=rounds, claims=claims)
    pairs, _ = test_pairs(trained)
    for method in trained.config.attribution.methods if len(pairs.image) else ():
        measured += of_maps(population, workdir, method, pairs, dataset=dataset, rounds=rounds, claims=claims)
    return measured + of_units(population, workdir)


def of_maps(
    population: Population,
    workdir: Path,
    method: str,
    pairs: Pairs,
    *,
    dataset: Dataset,
    rounds: PatientRounds,
    claims: Claims,
) -> list[Outcome]:
    """Of one method's maps, as the stage `alignment` has left their figures; none without them."""
    path = layout.explained(workdir, f'alignment_{method}')
    if not path.exists():
        return []
    arrays = read_arrays(path)
    figures = MethodFigures(**{name: arrays[name] for name in MethodFigures._fields})
    return outcomes.alignment(
        population,
        method,
        figures.by_measure(figures.members),
        figures.by_measure(figures.shuffled),
        pairs=pairs,
        classes=dataset.classes,
        rounds=rounds,
        measures=MEASURES,
        smallest_count=claims.smallest_count,
    )


def of_units(population: Population, workdir: Path) -> list[Outcome]:
    """Detector units and different concepts of every member, from the stage `units`; none without it."""
    if not layout.table(workdir, 'concepts').exists():
        return []
    table = read_table(workdir, 'concepts')
    result = []
    for metric in COUNTS:
        where = (table['kind'] == 'member') & (table['metric'] == metric) & (table['statistic'] == 'value')
        chosen = table[where & (table['method'] == BEYOND_NULL) & (table['concept'] == ALL_CONCEPTS)]
        if len(chosen):
            counts = dict(zip(chosen['member'].astype(int), chosen['value'].astype(float), strict=True))
            result.append(outcomes.count(population, metric, BEYOND_NULL, counts))
    return result


STAGE = Stage(run=run, tables=TABLES, needs=FROM_BOTH)

"""Stage `audit`: what known mistakes of the study's code do to the results, and loaders' mistakes to the data."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from imbalance_jax.data.regions import Pairs
from imbalance_jax.data.sources import mistakes
from imbalance_jax.data.sources.mistakes import Mistake
from imbalance_jax.explain import outputs
from imbalance_jax.explain.map_pairs import test_pairs
from imbalance_jax.metrics import intervals, scores
from imbalance_jax.metrics.statistics import weighted_mean
from imbalance_jax.results import audit
from imbalance_jax.results.audit import Resampled
from imbalance_jax.results.performance import ABNORMAL
from imbalance_jax.results.rows import Bootstrap
from imbalance_jax.results.schema import read_table
from imbalance_jax.system import layout
from imbalance_jax.system.processes import say
from imbalance_jax.system.workdir import read_arrays
from imbalance_jax.training.trained import SPLIT, Stage, Trained

PERFORMANCE = 'performance'  # a table that training writes
Key = tuple[str, str, str]  # metric, subset, method


def run(trained: Trained, workdir: Path) -> None:
    """results/audit, from the tables of training and of the stages before it, and from rounds of patients."""
    tables = {name: read_table(workdir, name) for name in (PERFORMANCE, 'alignment', 'concepts')}
    of_test = {name: table[table['split'] == SPLIT] for name, table in tables.items()}
    rounds = {**dict(ranking_rounds(trained, workdir)), **dict(alignment_rounds(trained, workdir))}
    rows = audit.rows(outputs.population(trained), of_test, rounds)
    outputs.write_rows(workdir, 'audit', rows + audit.loader_rows(loader_mistakes(trained)))


def loader_mistakes(trained: Trained) -> list[Mistake]:
    """What published loaders make of the files that the data set was made from; none where they are no longer there."""
    name, data = trained.config.data.name, trained.config.data
    block = data.get(name) or {}
    folder = block.get('manual_dir', '')
    try:
        return mistakes.of(block.get('reader', name), Path(folder)) if folder else []
    except (OSError, ValueError) as error:
        say(f'Mistakes of published loaders are not counted: {error}')
        return []


def ranking_rounds(trained: Trained, workdir: Path) -> Iterator[tuple[Key, Resampled]]:
    """Macro AUROC and average precision of all test images, and AUROC of those with a finding."""
    index, logits = trained.dataset.rows(SPLIT), outputs.test_logits(workdir)
    labels, mask, patients = (getattr(trained.dataset, name)[index] for name in ('labels', 'label_mask', 'patient'))
    weights, abnormal = _weights(trained, patients), (labels * mask > 0).any(1)
    for subset, chosen in (('', np.ones(len(index), bool)), (ABNORMAL, abnormal)):
        clusters = intervals.clusters_of_mean(
            intervals.effective_clusters(labels[chosen], mask[chosen], patients[chosen])
        )
        ranked = scores.ranking(logits[:, chosen], labels[chosen], mask[chosen], weights[:, chosen])
        for metric, values in ranked.items():
            yield (metric, subset, ''), Resampled(scores.macro(values)[0], clusters)


def alignment_rounds(trained: Trained, workdir: Path) -> Iterator[tuple[Key, Resampled]]:
    """Hit share, pointing game and IoU over all pairs, of every method whose figures are there."""
    pairs, _ = test_pairs(trained)
    for method in trained.config.attribution.methods if len(pairs.image) else ():
        path = layout.explained(workdir, f'alignment_{method}')
        if path.exists():
            arrays = read_arrays(path)
            figures = dict(zip(arrays['measures'].tolist(), arrays['members'], strict=True))
            yield from _pair_rounds(trained, pairs, method, figures)


def _pair_rounds(
    trained: Trained, pairs: Pairs, method: str, figures: dict[str, np.ndarray]
) -> Iterator[tuple[Key, Resampled]]:
    weights, clusters = _weights(trained, pairs.patient), intervals.effective_number(pairs.patient)
    share = np.where(np.isnan(figures['iou']), np.nan, figures['hits'] / np.maximum(figures['points'], 1))
    with np.errstate(invalid='ignore', divide='ignore'):
        by_points = weighted_mean(figures['hits'], weights) / weighted_mean(figures['points'], weights)
    rounds = {'hit_share': weighted_mean(share, weights), 'iou': weighted_mean(figures['iou'], weights)}
    for metric, values in {**rounds, 'pointing_game': by_points}.items():
        yield (metric, '', method), Resampled(values, clusters)


def _weights(trained: Trained, patients: np.ndarray) -> np.ndarray:
    """How often each image or pair counts [R,n] in every round."""
    setting = trained.config.evaluate
    return Bootstrap(setting.bootstrap_rounds, setting.bootstrap_seed).weights(patients)


STAGE = Stage(run=run, tables=('audit',), reads=(PERFORMANCE,))

"""Stage `twins`: what a finding really does, from images that are the same but for it.

Where a source can draw an image with and without a concept (`data.twins`), three questions have exact answers: by how
much does the concept move every logit; is the evidence where the image changed; and which units answer to it. The drain
of the phantom is a concept like the findings: adding it should move no logit. For other sources the stage leaves
nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.concepts import unit_auroc
from imbalance_jax.data import sources
from imbalance_jax.data.sources import Twins
from imbalance_jax.explain import outputs
from imbalance_jax.explain.maps import asked_of_maps, pair_shapes
from imbalance_jax.explain.twin_maps import Draw, make_exact, measure_evidence
from imbalance_jax.results import twins
from imbalance_jax.results.rows import Bootstrap
from imbalance_jax.results.twin_maps import Evidence
from imbalance_jax.results.twins import Effects
from imbalance_jax.system import layout, progress
from imbalance_jax.system.processes import say
from imbalance_jax.system.workdir import read_arrays
from imbalance_jax.training.prediction import predict
from imbalance_jax.training.trained import SPLIT, Asked, Stage, Trained


def run(trained: Trained, workdir: Path) -> None:
    """results/twins, of a source that has twins."""
    config = trained.config
    twins_of = sources.find(config.data.name, config.data.get(config.data.name, {})).twins
    if twins_of is None:
        say(f'The data set {config.data.name} has no twins: no results/twins.')
        return
    rows, logits = test_films(trained, config.twins.patients), outputs.test_logits(workdir)
    draw: Draw = cache(lambda concept: twins_of(trained.dataset, rows, concept))
    effects = Effects(**outputs.cached(workdir, 'twins', partial(measure_effects, trained, draw, rows, logits)))
    make = partial(measure_evidence, trained, draw, config.twins.pairs)
    evidence = Evidence(**outputs.cached(workdir, 'twins_maps', make))
    table = twins.rows(
        outputs.population(trained),
        effects,
        evidence,
        detectors=detectors(trained, workdir, effects.names),
        classes=trained.dataset.classes,
        layer=trained.layer_of(config.concepts.layer),
        bootstrap=Bootstrap(config.evaluate.bootstrap_rounds, config.evaluate.bootstrap_seed),
    )
    outputs.write_rows(workdir, 'twins', table)


def test_films(trained: Trained, most: int) -> np.ndarray:
    """The first film of each of `most` patients of the test split, drawn at random; ascending rows [M]."""
    dataset = trained.dataset
    rows = dataset.rows(SPLIT)
    first = rows[np.unique(dataset.patient[rows], return_index=True)[1]]
    return np.sort(np.random.default_rng(0).permutation(first)[:most])


def measure_effects(trained: Trained, draw: Draw, rows: np.ndarray, logits: np.ndarray) -> Effects:
    """Every concept that can be taken away, on the films `rows`; logits: the members' [P,N,K] of the test split."""
    dataset, pairs = trained.dataset, {}
    with progress.show('explain: twins', len(dataset.concepts)) as update:
        for number, name in enumerate(dataset.concepts):
            if (drawn := draw(name)) is not None:
                pairs[name] = drawn
            update(number + 1)
    answers = answers_to(trained, list(pairs.values()), dataset.images[rows])  # [2,C,P,M,K + U]
    K, patient = len(dataset.classes), dataset.patient[rows]
    by_concept = np.moveaxis(answers[..., K:], 0, 2)  # [C,P,2,M,U]
    units = [[_answering(means, patient) for means in of_concept] for of_concept in by_concept]
    auroc, p_value = (np.array([[one[name][:, 0] for one in row] for row in units]) for name in ('auroc', 'p_value'))
    return Effects(
        names=np.array(list(pairs)),
        rows=rows,
        patient=patient,
        shown=shown_concepts(trained, rows),
        logits=answers[..., :K],
        deviation=logits.std(1),
        units=auroc.swapaxes(0, 1),
        p_value=p_value.swapaxes(0, 1),
    )


def answers_to(trained: Trained, pairs: Sequence[Twins], own: np.ndarray) -> np.ndarray:
    """Logits and unit means [2,C,P,M,K + U] of the members on both twins of each pair; own: the data set's films
    [M,H,W,C], each of which is one of every pair of twins and goes through the network once."""
    is_own = np.array([(one.present == own).all((1, 2, 3)) for one in pairs])  # [C,M]: the film shows the concept
    others = [
        np.where(mine[:, None, None, None], one.absent, one.present) for mine, one in zip(is_own, pairs, strict=True)
    ]
    images, size = np.concatenate([own, *others]), trained.config.evaluate.batch_size
    answers = predict(trained.place, logits_and_means(trained), trained.variables, images=images, batch_size=size)
    answers = answers.reshape(len(answers), 1 + len(pairs), len(own), -1).swapaxes(0, 1)
    first, other, where = answers[0], answers[1:], is_own[:, None, :, None]
    return np.stack([np.where(where, other, first), np.where(where, first, other)])


def shown_concepts(trained: Trained, rows: np.ndarray) -> np.ndarray:
    """Which concepts the images `rows` [M] show: [M,S] bool."""
    dataset = trained.dataset
    shown = np.zeros((len(dataset.images), len(dataset.concepts)), bool)
    shown[dataset.region_image, dataset.region_concept] = True
    shown[:, : len(dataset.classes)] |= dataset.labels > 0
    return shown[rows]


def _answering(means: np.ndarray, patient: np.ndarray) -> dict[str, np.ndarray]:
    """AUROC and p of units that tell the twins with a concept from those without; means: [2,M,U]. A patient's twins
    are one cluster, so that p is of pairs."""
    labels = np.repeat([0, 1], len(patient))[:, None]
    return unit_auroc(means.reshape(-1, means.shape[-1]), labels, patients=np.tile(patient, 2))


def logits_and_means(trained: Trained) -> Callable:
    """`predict(variables, images [n,B,H,W,C]) -> [n,B,K + U]`: logits, then means of the main layer's maps."""
    layer = trained.layer_of(trained.config.concepts.layer)

    def of_batch(variables: Any, images: jax.Array) -> jax.Array:
        logits, out = trained.model.apply(variables, trained.normalise(images))
        return jnp.concatenate([logits, out[layer].mean((1, 2))], -1)

    return lambda variables, images: jax.lax.map(partial(of_batch, variables), images)


def detectors(trained: Trained, workdir: Path, names: np.ndarray) -> np.ndarray | None:
    """Which concepts of `names` [C] the units of the main layer detect by dissection: [P,C,U] bool; None where nothing
    was dissected."""
    files = [layout.explained(workdir, f'units_{member["member"]}') for member in trained.members]
    if not all(path.exists() for path in files):
        return None
    concepts, arrays = [trained.dataset.concepts.index(name) for name in names.tolist()], map(read_arrays, files)
    found = [units['detector'][:, concepts].T for units in arrays if 'detector' in units]
    return np.stack(found) if found else None


def programs(trained: Trained) -> Iterator[Asked]:
    """Maps of twins, where the source has any."""
    config = trained.config
    if sources.find(config.data.name, config.data.get(config.data.name, {})).twins is None:
        return
    images, classes, _ = pair_shapes(trained)
    yield Asked('exact maps of twins', make_exact(trained), (images, images, classes))
    yield from asked_of_maps(trained, config.attribution.methods)


STAGE = Stage(run=run, tables=('twins',), programs=programs)

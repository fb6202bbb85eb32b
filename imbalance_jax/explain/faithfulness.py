"""Stage `faithfulness`: do scores change as maps say, and do maps change with the network? Noise stands beside them."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.attribution import faithfulness, layers
from imbalance_jax.attribution.sanity import cascade, randomise, rank_correlation
from imbalance_jax.data.regions import Pairs
from imbalance_jax.explain import outputs
from imbalance_jax.explain.budget import chunked, compile_within
from imbalance_jax.explain.map_pairs import map_pairs
from imbalance_jax.explain.maps import Scorer, make_maps, make_network, pair_shapes
from imbalance_jax.results import faithfulness as results_faithfulness
from imbalance_jax.results.rows import Bootstrap
from imbalance_jax.system import progress
from imbalance_jax.training.start import began_as
from imbalance_jax.training.trained import Asked, Stage, Trained

NULL = 'random'  # the attribution method that is noise


class Faithfulness(NamedTuple):
    """What was measured of one method's maps of M pairs.

    metrics: [F] names of those in `attribution.faithfulness`; figures: [F,P,M], in units of the logit; sanity: rank
    correlations [D,P,M] of the maps with those of the same network with more and more of its parts randomised, from the
    head down; none for noise.
    """

    metrics: np.ndarray
    figures: np.ndarray
    sanity: np.ndarray


def run(trained: Trained, workdir: Path) -> None:
    """results/faithfulness, of some of the pairs that `alignment` makes maps of, with a region or without."""
    setting = trained.config.attribution
    pairs = map_pairs(trained).together
    if not len(pairs.image) or not setting.faithfulness_pairs:
        outputs.write_rows(workdir, 'faithfulness', [])
        return
    pairs = spread(pairs, setting.faithfulness_pairs)
    of_method = outputs.cached_by_method(
        workdir,
        'faithfulness',
        [*setting.methods, NULL],
        given=partial(arguments, trained, pairs),
        compiled=partial(compile_method, trained),
        measured=partial(measure, trained),
    )
    measured = {method: Faithfulness(**arrays) for method, arrays in of_method.items()}
    spread_of = logit_spread(outputs.test_logits(workdir))[:, pairs.finding]
    setting = trained.config.evaluate
    rows = results_faithfulness.rows(
        outputs.population(trained),
        {method: in_units(one, spread_of) for method, one in measured.items()},
        sanity={method: one.sanity for method, one in measured.items() if method != NULL},
        parts=list(parts_of(trained)),
        patients=pairs.patient,
        noise=NULL,
        bootstrap=Bootstrap(setting.bootstrap_rounds, setting.bootstrap_seed),
        smallest_count=setting.smallest_count,
    )
    outputs.write_rows(workdir, 'faithfulness', rows)


def logit_spread(logits: np.ndarray) -> np.ndarray:
    """Standard deviation [P,K] over the test split of every member's logits [P,N,K] of each class."""
    return np.std(logits.astype(np.float64), axis=1)


def in_units(measured: Faithfulness, unit: np.ndarray) -> dict[str, np.ndarray]:
    """Metric -> figures [P,M] in units of the logit's standard deviation, `unit` [P,M], which a loss's scale does not
    change; a correlation has no unit."""
    with np.errstate(invalid='ignore', divide='ignore'):
        return {
            name: values if name in faithfulness.WITHOUT_UNIT else np.where(unit > 0, values / unit, np.nan)
            for name, values in zip(measured.metrics.tolist(), measured.figures, strict=True)
        }


def spread(pairs: Pairs, most: int) -> Pairs:
    """At most so many of the pairs, spread evenly."""
    rows = np.unique(np.linspace(0, len(pairs.image) - 1, min(most, len(pairs.image))).astype(int))
    return Pairs(*(array[rows] for array in pairs))


def parts_of(trained: Trained) -> dict[str, list[str]]:
    """The parts of the network in the order in which they are randomised (`sanity.cascade`)."""
    return cascade(list(trained.one['params']))


def make_scorer(trained: Trained) -> Scorer:
    """`scorer(maps [P,M,H,W], images, classes)`: the metrics of `attribution.faithfulness` [P,M], compiled once for all
    methods, for as many pairs at a time as fit `config.attribution.memory_mib`."""
    what: dict[str, Any] = {'memory_mib': trained.config.attribution.memory_mib, 'variables': trained.variables}
    return Scorer(make_figures(trained), trained.place, **what)


def make_figures(trained: Trained) -> Callable:
    """Returns `figures((variables, maps [n,H,W]), images, classes)`: the metrics [n] of one member's maps."""
    network = make_network(trained.model, trained.layer_of(trained.config.attribution.layer))

    def figures(member, images, classes):
        variables, maps = member
        normalised = trained.normalise(images)

        def score(x):
            return layers.class_logits(network(variables, x, None)[0], classes)

        return faithfulness.all_metrics(score, normalised, maps)

    return figures


class Arguments(NamedTuple):
    """What the programs of all methods are given: the members' variables [P,...] and random ones, and of M pairs the
    images, classes and rows; and the scorer of their maps."""

    members: tuple[Any, Any]
    arrays: tuple[jax.Array, jax.Array, jax.Array]
    scorer: Scorer


def arguments(trained: Trained, pairs: Pairs) -> Arguments:
    """On the devices."""
    arrays = trained.place.shared((trained.dataset.images[pairs.image], pairs.finding, pairs.image))
    return Arguments((trained.variables, trained.place.members(untrained(trained))), arrays, make_scorer(trained))


def compile_method(trained: Trained, asked: Arguments, method: str) -> jax.stages.Compiled:
    """The program of `map_and_sanity`, and with it that of the scorer."""
    of_member, memory_mib = map_and_sanity(trained, method), trained.config.attribution.memory_mib
    what = (chunked(of_member), trained.place, asked.members, asked.arrays)
    program = compile_within(*what, memory_mib=memory_mib)
    asked.scorer.compiled(program.out_info[0], asked.arrays[:2])
    return program


def measure(trained: Trained, asked: Arguments, method: str, program: Callable[[], Callable]) -> Faithfulness:
    """The figures of a method's maps; program: that of `compile_method`, once it is there."""
    place = trained.place
    with progress.show(f'explain: faithfulness of {method}', 1) as update:
        maps, sanity = program()(asked.members, *asked.arrays)
        figures = place.fetch(asked.scorer(maps, *asked.arrays[:2]))
        sanity = np.moveaxis(place.fetch(sanity), -1, 0)
        update(1)
    return Faithfulness(np.array(list(figures)), np.stack(list(figures.values())), sanity)


def map_and_sanity(trained: Trained, method: str) -> Callable:
    """`of_member((variables, untrained variables), images, classes, rows)`: one member's maps [M,H,W], and their rank
    correlations [M,D] with those of the randomised network, or [M,0] of noise."""
    maps, parts = make_maps(trained, method), parts_of(trained)

    def of_member(member, images, classes, rows):
        variables, fresh = member

        def of_depth(depth):
            return maps(randomise(variables, fresh, parts, depth), images, classes, rows)

        if method == NULL:
            return maps(variables, images, classes, rows), jnp.zeros((len(images), 0))
        intact, *_ = every = jax.lax.map(of_depth, jnp.arange(1 + len(parts)))  # at depth 0 all is as it was
        return intact, jax.lax.map(lambda one: rank_correlation(intact, one), every[1:]).T

    return of_member


def untrained(trained: Trained) -> Any:
    """A random network for each member, [P, ...] on the host: that of its seed, without any weights of elsewhere."""
    _, rows = began_as(trained.members)
    return jax.tree.map(lambda a: a[rows], trained.random_networks)


def programs(trained: Trained) -> Iterator[Asked]:
    """Maps of networks that are randomised part by part, and the metrics of a map."""
    if not trained.config.attribution.faithfulness_pairs:
        return
    images, classes, rows = pair_shapes(trained)
    for method in trained.config.attribution.methods:
        of_member = map_and_sanity(trained, method)
        function = partial(lambda of_member, one, *arrays: of_member((one, one), *arrays), of_member)
        yield Asked(f'maps of a randomised network by {method}', function, (images, classes, rows))
    figures, maps = make_figures(trained), jax.ShapeDtypeStruct(images.shape[:3], np.float32)
    yield Asked('faithfulness', lambda one, maps, *arrays: figures((one, maps), *arrays), (maps, images, classes))


STAGE = Stage(run=run, tables=('faithfulness',), programs=programs)

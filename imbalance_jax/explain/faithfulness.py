"""Faithfulness and sanity of the maps of a trained population, as figures and as rows."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax.attribution import faithfulness
from imbalance_jax.attribution import layers as activations
from imbalance_jax.data.regions import Pairs, finding_pairs, refuse_training
from imbalance_jax.explain import maps as explain_maps
from imbalance_jax.results import faithfulness as results_faithfulness
from imbalance_jax.system import layout
from imbalance_jax.system import progress as display
from imbalance_jax.system.workdir import cached_arrays, write_table
from imbalance_jax.training.trained import PREDICTIONS, SPLIT, Trained

NULL = 'random'  # the attribution method that is noise


def chosen(pairs: Pairs, most: int) -> Pairs:
    """At most so many of the pairs, spread evenly."""
    rows = np.unique(np.linspace(0, len(pairs.image) - 1, min(most, len(pairs.image))).astype(int))
    return Pairs(*(array[rows] for array in pairs))


def make_judge(trained) -> Callable:
    """`judge(variables, images, classes, maps [P,M,H,W])`: the metrics of `faithfulness` [P,M], compiled once for all
    methods."""
    network = explain_maps.make_network(trained.model, trained.layer_of(trained.config.attribution.layer))

    def figures(one, images, classes):
        variables, maps = one
        score = lambda x: activations.class_logits(network(variables, x, None)[0], classes)  # noqa: E731
        shown = trained.normalise(images)
        return {name: fn(score, shown, maps) for name, fn in faithfulness.METRICS.items()}

    mapped = trained.place.map(figures)
    return lambda maps, images, classes: mapped((trained.variables, maps), images, classes)


def measure(trained, method: str, pairs: Pairs, judge: Callable) -> dict[str, np.ndarray]:
    """Figures [P,M] of a method's maps: those of `make_judge`, and the rank correlation of the maps with those of the
    same network with more and more of it randomised, from the head down: 'randomised N, to PART'."""
    place, maps = trained.place, explain_maps.make_maps(trained, method)
    parts = faithfulness.cascade(list(trained.one['params']))
    images, classes, rows = place.shared((trained.dataset.images[pairs.image], pairs.finding, pairs.image))

    def alike(one, images, classes, rows):
        variables, fresh = one
        found = maps(variables, images, classes, rows)

        def changed(depth):
            blind = faithfulness.randomise(variables, fresh, parts, depth)
            return faithfulness.rank_correlation(found, maps(blind, images, classes, rows))

        return found, {} if method == NULL else {'alike': jax.lax.map(changed, 1 + jnp.arange(len(parts)))}

    with display.show(f'explain: faithfulness of {method}', 1) as update:
        both = (trained.variables, place.members(fresh(trained)))
        found, same = place.map(alike)(both, images, classes, rows)
        result = place.fetch(judge(found, images, classes))
        for correlations in place.fetch(same).values():
            result |= {f'randomised {i + 1}, to {part}': correlations[:, i] for i, part in enumerate(parts)}
        update(1)
    return result


def fresh(trained):
    """Each member's network before training, [P, ...] on the host: that of its seed."""
    _, everyone = trained.with_untrained
    seeds = list(dict.fromkeys(row['seed'] for row in trained.members))
    of_seed = np.array([seeds.index(row['seed']) for row in trained.members]) + len(trained.members)
    return jax.tree.map(lambda a: np.asarray(a)[of_seed], everyone)


def scrutinise(trained: Trained, workdir: Path) -> None:
    """results/faithfulness: whether scores change as maps say, and maps with the network; noise beside them."""
    setting = trained.config.attribution
    pairs = finding_pairs(trained.dataset, SPLIT, setting.regions, setting.max_pairs)
    pairs, _ = refuse_training(trained.dataset, pairs)
    if not len(pairs.image) or not setting.faithfulness_pairs:
        write_table(workdir, 'faithfulness', [])
        return
    pairs, figures, judge = chosen(pairs, setting.faithfulness_pairs), {}, make_judge(trained)
    for method in dict.fromkeys([*setting.methods, NULL]):
        path = layout.explained(workdir, f'faithfulness_{method}')
        figures[method] = cached_arrays(path, workdir / PREDICTIONS, partial(measure, trained, method, pairs, judge))
    rows = results_faithfulness.rows(trained.members, figures, trained.alive)
    write_table(workdir, 'faithfulness', [{**row, 'split': SPLIT} for row in rows])

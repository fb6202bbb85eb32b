"""Faithfulness and sanity of the maps of a trained population, as figures and as rows."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax import faithfulness, mapping, tables
from imbalance_jax import progress as display
from imbalance_jax.attribution import activations
from imbalance_jax.regions import Pairs

NULL = 'random'  # the attribution method that is noise


def chosen(pairs: Pairs, most: int) -> Pairs:
    """At most so many of the pairs, spread evenly."""
    rows = np.unique(np.linspace(0, len(pairs.image) - 1, min(most, len(pairs.image))).astype(int))
    return Pairs(*(array[rows] for array in pairs))


def make_judge(trained) -> Callable:
    """`judge(variables, images, classes, maps [P,M,H,W])`: the metrics of `faithfulness` [P,M], compiled once for all
    methods."""
    network = mapping.make_network(trained.model, trained.layer_of(trained.config.attribution.layer))

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
    place, maps = trained.place, mapping.make_maps(trained, method)
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


def rows(members: list[dict], figures: dict[str, dict], alive: np.ndarray) -> list[dict]:
    """Rows of method -> figures [P,M]: each member's mean over the pairs, and mean and sd over an arm's living
    seeds."""
    made = []
    for method, of in figures.items():
        for name, value in of.items():
            number = np.isfinite(value).sum(1)
            with np.errstate(invalid='ignore'):
                mean = np.nansum(value, 1) / np.where(number, number, np.nan)
            fields = {'class': 'all pairs', 'method': method, 'metric': name}
            made += [
                tables.of_member(row, **fields, value=mean[row['member']], n=number[row['member']]) for row in members
            ]
            living = np.where(alive, mean, np.nan)
            for numbers in tables.by_arm(members).values():
                statistics = partial(tables.seed_statistics, members[numbers[0]])
                made += statistics(living[numbers][:, None], ['all pairs'], name, method=method)
    return made

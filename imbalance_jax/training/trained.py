"""From a trained population to what it learned: alignment of maps with findings, and concepts in units.

Every part leaves one file in `explain/` when it is done, so that interrupted work goes on with the next part, and the
tables in `results/` are made from those files alone.
"""

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from imbalance_jax.attribution import layers as activations
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.system.files import read_json
from imbalance_jax.system.workdir import read_arrays
from imbalance_jax.training import build as training_build
from imbalance_jax.training import loop, placement
from imbalance_jax.training import run as training_run

PREDICTIONS = 'predictions.npz'
SPLIT = 'test'  # the only split that is ever explained: maps on training images would flatter


class Trained(NamedTuple):
    """A trained population: `variables` [P'] are each member's best by validation AUROC, on their devices."""

    config: ConfigDict
    members: list[dict]
    dataset: Dataset
    model: Any
    normalise: Callable
    place: placement.Placement
    variables: Any
    alive: np.ndarray
    everyone: Callable[[], tuple[placement.Placement, Any]]  # where the members and the untrained networks are

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.dataset.images.shape[1:]

    @property
    def with_untrained(self) -> tuple[placement.Placement, Any]:
        """A place and variables [P' + S] of the members and, after them, of a network of each seed before training."""
        return self.everyone()

    @property
    def one(self) -> Any:
        """The variables of the first member."""
        return jax.tree.map(lambda a: a[0], self.variables)

    @property
    def layer_of(self) -> Callable[[str], str]:
        """Resolves a layer's name, '' being the last stage; ValueError for a layer that the model does not have."""
        return partial(activations.last_stage, self.model, self.one, self.image_shape)


class Stage(NamedTuple):
    """A question to a trained population: what explain runs, and what comes along with it."""

    run: Callable[[Trained, Path], None]
    check: Callable[..., None] | None = None
    defaults: Mapping[str, Any] = {}
    tables: tuple[str, ...] = ()
    section: str = ''


def check_trained(workdir: Path) -> None:
    """Raises FileNotFoundError unless `workdir` holds a finished training."""
    if not (workdir / PREDICTIONS).exists():
        raise FileNotFoundError(f'{workdir} holds no finished training ({PREDICTIONS} is missing): run train first.')


def load(workdir: Path) -> Trained:
    """The population of a working directory, with its data."""
    config = ConfigDict(read_json(workdir / 'config.json'))
    members = read_json(workdir / 'members.json')
    dataset = training_build.load_dataset(config)
    training_run.check_same_data(dataset.info, workdir)
    run, plan = training_build.build(config, dataset, members), training_run.read_plan(workdir)
    outcome = loop.finished(run, plan, workdir)
    if outcome is None:
        raise ValueError(f'The last checkpoint of {workdir} is missing or damaged: run train again, it makes it anew.')
    # A population that trained in waves is explained whole, but one member after the other.
    strategy = plan.strategy if len(plan.waves) == 1 else 'shard:map'
    place = placement.place(len(members), strategy, jax.local_devices())
    return Trained(
        config=config,
        members=members,
        dataset=dataset,
        model=run.model,
        normalise=run.normalise,
        place=place,
        variables=place.members(outcome.best),
        alive=read_arrays(workdir / PREDICTIONS)['alive'],
        everyone=cache(partial(with_untrained, run, outcome.best, strategy)),
    )


def with_untrained(run, best, strategy: str) -> tuple[placement.Placement, Any]:
    """The members' variables, and after them those of the reference arm before training, one network a seed."""
    first = np.array([row['member'] for row in run.rows if row['arm'] == run.rows[0]['arm']])
    place = placement.place(len(run.rows) + len(first), strategy, jax.local_devices())
    begun = jax.jit(jax.vmap(lambda member: run.one.init(member).variables))
    fresh = begun(jax.tree.map(lambda a: a[first], run.numbers))
    return place, place.members(jax.tree.map(lambda *a: np.concatenate(a), best, fresh))

"""A trained population as `explain` meets it, and what a question to it is."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from ml_collections import ConfigDict

from imbalance_jax.attribution import layers
from imbalance_jax.config.file import completed
from imbalance_jax.data import other_set, sources
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.models.recorded import Recorded
from imbalance_jax.names import some
from imbalance_jax.system import records
from imbalance_jax.system.layout import CONFIG, FEATURES, MEMBERS, PREDICTIONS
from imbalance_jax.system.workdir import check_same_data, read_arrays
from imbalance_jax.training import (
    autotune,
    grid,
    heads,
    kept,
    other_sets,
    placement,
    plugins,
    predicted,
    snapshot,
    start,
    strategies,
)
from imbalance_jax.training.members import (
    has_features,
    has_predictions,
    in_order,
    is_adopted,
    member_arrays,
    without_networks,
)
from imbalance_jax.training.network import Network, load_dataset, network
from imbalance_jax.training.placement import Placement
from imbalance_jax.training.start import Starts
from imbalance_jax.training.untrained import random_networks, with_untrained

SHOWN = 4  # members that an error names
KEPT_EPOCH = 'kept_epoch'  # in predictions.npz of kept weights: the epoch [P] that they are of
# What a stage needs of a population (`Stage.needs`).
FROM_NETWORKS, FROM_FEATURES = 'networks', 'features'
FROM_BOTH = 'features and predictions'
SPLIT = 'test'  # the only split that is ever explained: maps on training images would flatter


class Trained(NamedTuple):
    """A trained population.

    members: the rows of members.json; variables [P']: each member's best by validation AUROC, padded to P' and on their
    devices; place: those devices; alive [P]: whether a member's loss stayed finite; starts: the weights that training
    began with, if any; everyone, drawn: see `with_untrained` and `random_networks`.
    """

    config: ConfigDict
    members: list[dict[str, Any]]
    dataset: Dataset
    model: nn.Module
    normalise: Callable[[jax.Array], jax.Array]
    place: Placement
    variables: Any
    alive: np.ndarray
    everyone: Callable[[], tuple[Placement, Any]]
    drawn: Callable[[], Any]
    starts: Starts = MappingProxyType({})

    @property
    def only_features(self) -> bool:
        """Whether the networks are not here, but their features of the test images (`models.recorded`): the model takes
        numbers of these in the place of images, and has no logits."""
        return has_features(self.members)

    @property
    def predicted(self) -> bool:
        """Whether it is known what the members say of the test images."""
        return has_predictions(self.members)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """H, W, C."""
        height, width, channels = self.dataset.images.shape[1:]
        return height, width, channels

    @property
    def members_alone(self) -> tuple[Placement, Any]:
        """Placement and variables [P'] of the members."""
        return self.place, self.variables

    @property
    def with_untrained(self) -> tuple[Placement, Any]:
        """Placement and variables [P' + B] of the members and, after them, of the networks that they began as
        (`start.began_as`), one per seed: drawn at random, with batch statistics of training images, or with the weights
        that an arm begins with, and their statistics, and a new head."""
        return self.everyone()

    @property
    def random_networks(self) -> Any:
        """Variables [B,...] on the host: the same networks before they got any weights, with batch statistics of
        training images."""
        return self.drawn()

    @property
    def one(self) -> Any:
        """The variables of a member, as its device holds them: no program of several devices runs, so threads may ask.
        Those that start such programs at once would wait for each other."""
        return placement.first_member(self.variables)

    @property
    def layer_of(self) -> Callable[[str], str]:
        """Resolves a layer's name, '' being the last stage; ValueError for a layer that the model does not have."""
        return partial(layers.last_stage, self.model, self.one, self.image_shape)


class Asked(NamedTuple):
    """A program that a stage will run, as its memory is asked about before there is a population (`needs`).

    function: of one member, (variables, *arrays [n,...]); arrays: their shapes; fewer: whether it takes fewer examples
    at a time, down to one, where memory is short: then n is 1; of: what a user would call it.
    """

    of: str
    function: Callable
    arrays: tuple[jax.ShapeDtypeStruct, ...]
    fewer: bool = True


class Stage(NamedTuple):
    """A question to a trained population: what `explain` runs, and what comes along with it.

    run: (population, working directory); check: (config, network, image shape, number of images of the test split),
    raises ValueError for options that would fail, before anything is compiled; defaults: the block `config.NAME`, if
    the stage has one; tables: those of `results/` that it writes; section: the heading in the report under which tables
    that no page shows are listed; needs: FROM_NETWORKS where images are shown to them, or what is enough where they are
    not here, FROM_FEATURES (of test images) or FROM_BOTH (also their predictions); programs: those that need the most
    memory, of a population whose variables and images are shapes only; reads: the tables of training that it reads.
    """

    run: Callable[[Trained, Path], None]
    check: Callable[[ConfigDict, Network, tuple[int, int, int], int], None] | None = None
    defaults: Mapping[str, Any] = {}
    tables: tuple[str, ...] = ()
    section: str = ''
    needs: str = FROM_NETWORKS
    programs: Callable[[Trained], Iterable[Asked]] | None = None
    reads: tuple[str, ...] = ()


def check_trained(workdir: Path, *, features_do: bool = False) -> None:
    """Raises FileNotFoundError unless `workdir` holds a finished training, ValueError if its networks are not there.

    features_do: their features of the test images are enough.
    """
    if not (workdir / PREDICTIONS).exists():
        raise FileNotFoundError(f'{workdir} holds no finished training ({PREDICTIONS} is missing): run train first.')
    members = records.members(workdir)
    check_members(workdir, records.config(workdir), members)
    if without_networks(members) and not (features_do and has_features(members)):
        held, asked = ('features', '') if has_features(members) else ('predictions', 'explained or ')
        raise ValueError(
            f'{workdir} holds {held} of networks that are not here: report shows them, and nothing can be '
            f'{asked}exported; adopt the networks into another folder, --member ...,weights=FILE.'
        )


def check_members(workdir: Path, config: Mapping[str, Any], members: Sequence[Mapping[str, Any]]) -> None:
    """ValueError for a members.json that is another population's than config.json: an index into one would name the
    wrong network of the other, also where both were accepted as they are."""
    arms, reference = config['arms'], config['reference']
    if reference not in arms:
        known = f'its arms are {some(sorted(arms), SHOWN)}' if arms else 'it has no arm'
        raise ValueError(f'{workdir / CONFIG} has the reference {reference!r}, and {known}; {records.ELSEWHERE}.')
    found, wanted = ([f'{arm}/{seed}' for arm, seed in one] for one in (who(members), expected(config, members)))
    numbers = [row['member'] for row in members]
    if found != wanted:
        raise ValueError(
            f'{workdir / MEMBERS} has the members {some(found, SHOWN)}, and {CONFIG} {some(wanted, SHOWN)}: '
            f'one is of another population. Bring {CONFIG} back from a copy, or delete {MEMBERS} and run train again.'
        )
    if numbers != list(range(len(members))):
        shown = some([str(number) for number in numbers], SHOWN)
        raise ValueError(f'{workdir / MEMBERS} numbers its {len(members)} members {shown}; {records.again(workdir)}.')


def who(members: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """(arm, seed) of each member."""
    return [(row['arm'], row['seed']) for row in members]


def expected(config: Mapping[str, Any], members: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """(arm, seed) of the members that a config has. Adopted networks may lack a seed in an arm."""
    order = in_order(config['arms'], config['reference'])
    every = [(arm, seed) for arm in order for seed in config['seeds']]
    there = set(who(members))
    if not is_adopted(members) or {arm for arm, _ in there} != set(config['arms']):
        return every
    return [(arm, seed) for arm in order for seed in sorted(config['seeds']) if (arm, seed) in there]


def load(workdir: Path, base: Mapping[str, Any] = MappingProxyType({})) -> Trained:
    """The population of a working directory, with its data; its losses and its training steps are not built.

    base: fields that an older version did not keep, with their defaults.
    Raises ValueError if the data are others than it was trained on, or if its weights are missing or damaged.
    """
    config = ConfigDict(completed(records.config(workdir), base))
    members = records.members(workdir)
    plugins.load_kept(config)
    try:
        dataset = load_dataset(config)
    except FileNotFoundError as error:
        if is_adopted(members) or not sources.path_options(config.data.name, config.data.get(config.data.name, {})):
            raise
        where = f'--config.data.{config.data.name}.path=WHERE'
        moved = f'Where the data have moved, train --config=... --workdir={workdir} {where} makes their new place known'
        raise FileNotFoundError(f'{error} {moved}; it trains nothing again.') from error
    if has_features(members):
        return of_features(config, members, dataset, workdir)
    other = other_sets.kept(config, workdir, dataset)
    own = workdir.absolute().parents[1]  # of kept weights and of other data sets: where the weights lie
    check_same_data(dataset.info, own if other else workdir)
    steps = 0 if is_adopted(members) else config.train.epochs * (len(dataset.rows('train')) // config.train.batch_size)
    arrays = member_arrays(members, own_order=True)
    predictions = predicted.read(workdir, members, None if other else dataset)
    # Kept weights lie with those of the working directory that they are of.
    home = own if KEPT_EPOCH in predictions or other else workdir
    starts = start.kept(home)
    untrained, plan = network(config, dataset, starts), autotune.read(workdir)
    cached = heads.are_cached(config)
    began = heads.heads_of(untrained, members, len(dataset.classes)) if cached else untrained
    best = snapshot.best_variables(began.init, arrays, plan, home, total_steps=steps)
    if best is None:
        raise ValueError(f'The last checkpoint of {workdir} is missing or damaged: run train again, it makes it anew.')
    if KEPT_EPOCH in predictions:
        best = kept.variables(home, predictions[KEPT_EPOCH], best)
    predicted.check_came_from(workdir, members, predictions, best)
    if cached:
        best = heads.whole(home, best, members, untrained=untrained)
    # A population that trained in waves is explained whole, but one member after the other.
    wanted = strategies.without_sharing(plan.strategy) if len(plan.waves) == 1 else 'shard:map'
    strategy = placement.runnable(wanted)
    place = placement.place_sharing(len(members), strategy, grid.spare_sharing(len(members), len(jax.devices())))
    drawn = cache(partial(random_networks, untrained, members, dataset=dataset))
    return Trained(
        config=config,
        members=members,
        dataset=other_set.beside(dataset, other.dataset) if other else dataset,
        model=untrained.model,
        normalise=untrained.normalise,
        place=place,
        variables=place.members(best),
        alive=predictions['alive'],
        everyone=cache(partial(with_untrained, members, best, drawn, starts=starts, strategy=strategy)),
        drawn=drawn,
        starts=starts,
    )


def of_features(config: ConfigDict, members: list[dict], dataset: Dataset, workdir: Path) -> Trained:
    """The population whose features of the test images take the place of its networks."""
    check_same_data(dataset.info, workdir)
    maps = read_arrays(workdir / FEATURES)['features']
    place = placement.place(len(members), 'shard:map')

    def nothing() -> Any:
        raise ValueError(f'{workdir} holds features of networks that are not here: nobody knows what they began as.')

    return Trained(
        config=config,
        members=members,
        dataset=dataset,
        model=Recorded(maps.shape[1:]),
        normalise=lambda numbers: numbers,
        place=place,
        variables=place.members({'params': {'features': maps}}),
        alive=predicted.read(workdir, members, dataset)['alive'],
        everyone=nothing,
        drawn=nothing,
    )

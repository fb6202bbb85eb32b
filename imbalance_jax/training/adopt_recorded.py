"""Predictions and features that were made elsewhere as a population: a finished working directory without networks.

Of predictions `report` shows performance, differences, calibration and decisions. Of features `explain` asks what needs
no more: what units tell, linear probes, and how alike networks are. Nothing can show them an image, and they say so.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.soundness import check_splits
from imbalance_jax.data.tasks import MULTI_CLASS, task_of
from imbalance_jax.losses import SIGMOID, SOFTMAX
from imbalance_jax.models.recorded import Recorded
from imbalance_jax.results import data
from imbalance_jax.results.rows import Population
from imbalance_jax.results.schema import write_table
from imbalance_jax.system import layout
from imbalance_jax.system.provenance import stage
from imbalance_jax.system.workdir import write_arrays, write_json, write_text
from imbalance_jax.training import (
    adopt,
    adopt_features,
    adopt_members,
    adopt_tables,
    adopt_values,
    checks,
    other_sets,
    plugins,
)
from imbalance_jax.training.adopt_features import Features
from imbalance_jax.training.adopt_members import Adopted
from imbalance_jax.training.adopt_tables import Predictions
from imbalance_jax.training.network import Network, load_dataset
from imbalance_jax.training.run import set_up_jax
from imbalance_jax.training.tables import describe, write_alive, write_performance
from imbalance_jax.training.trained import FROM_FEATURES, Stage

NO_NETWORK = 'predictions of networks trained elsewhere'  # the strategy in provenance.json
NO_NETWORK_BUT_FEATURES = 'features of networks trained elsewhere'


class Recording(NamedTuple):
    """What was made elsewhere, of the same networks in the same order: predictions, features, or both."""

    predictions: Predictions | None
    features: Features | None

    @property
    def networks(self) -> list[tuple[str, int]]:
        """(arm, seed) of each."""
        return (self.predictions or self.features).networks  # type: ignore[union-attr]  # one is there

    @property
    def facts(self) -> dict[str, Any]:
        """For members.json."""
        facts = dict(self.predictions.facts) if self.predictions else {'file': '', 'classes': [], 'seen': {}}
        if self.features:
            facts |= {'features': self.features.facts, 'file': facts['file'] or self.features.facts['file']}
        return facts

    def in_order(self, order: list[int]) -> 'Recording':
        """The networks in another order."""
        networks = [self.networks[i] for i in order]
        predictions, features = self.predictions, self.features
        if predictions:
            log_odds = {split: one[order] for split, one in predictions.log_odds.items()}
            predictions = predictions._replace(networks=networks, log_odds=log_odds)
        if features:
            features = features._replace(networks=networks, maps=features.maps[order])
        return Recording(predictions, features)


def run(
    config: ConfigDict,
    workdir: Path,
    predictions: Path | None = None,
    *,
    features: Path | None = None,
    values: str = '',
    paired: bool = False,
    stages: Mapping[str, Stage] = {},
) -> None:
    """Makes a finished working directory of a table of predictions, of features, or of both: no weights, no maps.

    The config says the data; arms and seeds are those of the files. values: of `adopt_values.VALUES`, '' for
    probabilities; paired, stages: as in `adopt.run`. Raises ValueError for anything wrong, and leaves nothing half
    made.
    """
    workdir = Path(workdir)
    adopt.check_free(workdir)
    plugins.load_kept(config)
    if config.data.test_on:
        flag, of = '--predictions' if predictions else '--features', ', '.join(config.data.test_on)
        raise ValueError(f'config.data.test_on is {of}: {flag} has none of other data sets; leave it empty.')
    set_up_jax(config, join=False)
    dataset = load_dataset(config)
    check_splits(dataset)
    found = read(dataset, predictions, features, values=values)
    rows, found = members(found, config.reference, dataset=dataset, paired=paired)
    config = adopt.with_arms(config, rows)
    checks.check_config(config)
    if found.features:
        check_features(config, dataset, found.features, stages)
    with adopt.unfinished(workdir) as folder:
        write_json(folder / layout.CONFIG, config.to_dict())
        describe(folder, rows, other_sets.warn_of_likeness(dataset))
        write_text(folder / layout.METRICS, '')
        with stage(folder, 'adopt', strategy=NO_NETWORK if found.predictions else NO_NETWORK_BUT_FEATURES):
            if found.features:
                write_arrays(folder / layout.FEATURES, features=found.features.maps)
            write_arrays(folder / layout.PREDICTIONS, **arrays(found))
        write_table(folder, 'data', data.rows(dataset, config.data.policies.to_dict()))
        if found.predictions:
            named = [f'arm {arm}, seed {seed}' for arm, seed in found.networks]
            adopt.tell_inverted(named, found.predictions.log_odds, dataset)
            write_performance(config, dataset, rows, folder)
        else:
            population = Population(rows, np.ones(len(rows), bool), config.reference)
            write_alive(folder, population, len(dataset.rows('test')))
    made = ' and '.join(name for name, one in found._asdict().items() if one)
    print(f'{workdir}: {made} of {len(rows)} network{"s" if len(rows) > 1 else ""} adopted.')


def read(dataset: Dataset, predictions: Path | None, features: Path | None, *, values: str) -> Recording:
    """What both files hold of the same networks; ValueError for what does not fit."""
    of_table = adopt_tables.read(predictions, dataset, values or adopt_values.PROBABILITIES) if predictions else None
    of_features = adopt_features.read(features, dataset) if features else None
    if of_table and of_features:
        adopt_features.check_same(of_features.networks, of_table.networks, file=str(features))
    found = Recording(of_table, of_features)
    check_different(found)
    return found


def check_different(found: Recording) -> None:
    """Raises ValueError where two networks said the same of every image: they are one, which has no spread over seeds
    and no difference to itself. Equal features are said only: heads that are not here may tell networks apart.

    A network that says the same of all images tells nothing of who it is.
    """
    predictions, features = found.predictions, found.features
    if predictions:
        values = np.concatenate(list(predictions.log_odds.values()), axis=1)  # [P,N,K]
        if twice := _equal(values, found.networks):
            raise ValueError(
                f'{predictions.facts["file"]}: {twice} say the same of every image to the last digit: they are one '
                'network; give each network once.'
            )
        adopt.tell_alike([f'Arm {arm}, seed {seed}' for arm, seed in found.networks], values)
    if features and (twice := _equal(features.maps, found.networks)):
        apart = 'but other predictions' if predictions else 'and nothing here can tell them apart'
        print(f'{features.facts["file"]}: {twice} have the same features of every image, {apart}.')


def _equal(values: np.ndarray, networks: Sequence[tuple[str, int]]) -> str:
    """The first two networks whose values [P,N,...] are the same, in words, '' without such; not those of one value for
    all N."""
    known: dict[bytes, tuple[str, int]] = {}
    for network, of_one in zip(networks, values, strict=True):
        key = hashlib.sha256(np.ascontiguousarray(of_one).data).digest()
        if key in known and (of_one != of_one[:1]).any():
            (arm, seed), (other, number) = known[key], network
            return f'arm {arm}, seed {seed} and arm {other}, seed {number}'
        known[key] = network
    return ''


def members(
    found: Recording, reference: str, *, dataset: Dataset, paired: bool
) -> tuple[list[dict[str, Any]], Recording]:
    """Rows of members.json, the reference arm first, and what was recorded in their order."""
    usual = SOFTMAX if task_of(dataset.info) == MULTI_CLASS else SIGMOID
    link = found.predictions.link if found.predictions else usual
    file = found.facts['file']
    adopted = [Adopted(arm, seed, file, link, where=file) for arm, seed in found.networks]
    adopt_members.check(adopted, reference, paired=paired)
    ordered = adopt_members.in_order(adopted, reference)
    rows = [adopt_members.row(i, one, found.facts, link=link, paired=paired) for i, one in enumerate(ordered)]
    return rows, found.in_order([adopted.index(one) for one in ordered])


def check_features(config: ConfigDict, dataset: Dataset, features: Features, stages: Mapping[str, Stage]) -> None:
    """Raises ValueError for options that stages would refuse of these features later."""
    height, width, channels = dataset.images.shape[1:]
    N, h, w, U = features.maps.shape[1:]
    network = Network(Recorded((N, h, w, U)), lambda images: images, lambda member: {})
    for one in stages.values():
        if one.check is not None and one.needs == FROM_FEATURES:
            one.check(config, network, (height, width, channels), N)


def arrays(found: Recording) -> Mapping[str, Any]:
    """What predictions.npz holds."""
    alive = np.ones(len(found.networks), bool)
    log_odds = found.predictions.log_odds if found.predictions else {}
    return {'alive': alive, **{f'logits_{split}': one for split, one in log_odds.items()}}

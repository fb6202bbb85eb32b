"""Predictions that were made elsewhere as a population: a finished working directory that `report` reads.

The networks themselves are not there: performance, differences, calibration and decisions are asked, and nothing that
needs an image to be shown to a network. `explain` says so.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from imbalance_jax.data.soundness import check_splits
from imbalance_jax.results import data
from imbalance_jax.results.schema import write_table
from imbalance_jax.system import layout
from imbalance_jax.system.provenance import stage
from imbalance_jax.system.workdir import write_arrays, write_json, write_text
from imbalance_jax.training import adopt, adopt_members, adopt_tables, checks, other_sets, plugins
from imbalance_jax.training.adopt_members import Adopted
from imbalance_jax.training.adopt_tables import Predictions
from imbalance_jax.training.network import load_dataset
from imbalance_jax.training.run import describe, set_up_jax, write_performance

NO_NETWORK = 'predictions of networks trained elsewhere'  # the strategy in provenance.json


def run(config: ConfigDict, workdir: Path, file: Path, *, values: str = '', paired: bool = False) -> None:
    """Makes a finished working directory of a table of predictions: no weights, no maps, no units.

    The config says the data; arms and seeds are those of the table. values: of `adopt_tables.VALUES`, '' for
    probabilities; paired: as in `adopt.run`. Raises ValueError for anything wrong, and leaves nothing half made.
    """
    workdir = Path(workdir)
    adopt.check_free(workdir)
    plugins.load_kept(config)
    if config.data.test_on:
        of = ', '.join(config.data.test_on)
        raise ValueError(f'config.data.test_on is {of}: --predictions has none of other data sets; leave it empty.')
    set_up_jax(join=False)
    dataset = load_dataset(config)
    check_splits(dataset)
    found = adopt_tables.read(file, dataset, values or adopt_tables.PROBABILITIES)
    rows, found = members(found, config.reference, paired=paired)
    config = adopt.with_arms(config, rows)
    checks.check_config(config)
    with adopt.unfinished(workdir) as folder:
        write_json(folder / layout.CONFIG, config.to_dict())
        describe(folder, rows, other_sets.warn_of_likeness(dataset))
        write_text(folder / layout.METRICS, '')
        with stage(folder, 'adopt', strategy=NO_NETWORK):
            write_arrays(folder / layout.PREDICTIONS, **arrays(found))
        write_table(folder, 'data', data.rows(dataset, config.data.policies.to_dict()))
        write_performance(config, dataset, rows, folder)
    print(f'{workdir}: predictions of {len(rows)} networks adopted.')


def members(found: Predictions, reference: str, *, paired: bool) -> tuple[list[dict[str, Any]], Predictions]:
    """Rows of members.json, the reference arm first, and the predictions in their order."""
    file = found.facts['file']
    adopted = [Adopted(arm, seed, file, found.link, where=file) for arm, seed in found.networks]
    adopt_members.check(adopted, reference, paired=paired)
    ordered = adopt_members.in_order(adopted, reference)
    order = [adopted.index(one) for one in ordered]
    rows = [adopt_members.row(i, one, found.facts, link=found.link, paired=paired) for i, one in enumerate(ordered)]
    log_odds = {split: one[order] for split, one in found.log_odds.items()}
    return rows, found._replace(networks=[(one.arm, one.seed) for one in ordered], log_odds=log_odds)


def arrays(found: Predictions) -> Mapping[str, Any]:
    """What predictions.npz holds."""
    alive = np.ones(len(found.networks), bool)
    return {'alive': alive, **{f'logits_{split}': one for split, one in found.log_odds.items()}}

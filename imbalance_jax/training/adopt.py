"""Networks that were trained elsewhere as a population: the verb `adopt`, it makes what `explain` and `report` read.

Their predictions are computed here, and what is kept of them is what training leaves: members.json, data.json, a
checkpoint, predictions.npz and the tables made of these. What is not known of their training is not there: no curves,
no best epoch, no rates.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from imbalance_jax.data import dataset as dataset_module
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.soundness import check_splits
from imbalance_jax.data.tasks import MULTI_CLASS, task_of
from imbalance_jax.losses import SIGMOID, SOFTMAX
from imbalance_jax.metrics.scores import auroc
from imbalance_jax.models.odds import LINK
from imbalance_jax.names import some
from imbalance_jax.results import data
from imbalance_jax.results.schema import write_table
from imbalance_jax.system import layout, progress
from imbalance_jax.system.provenance import stage
from imbalance_jax.system.workdir import write_arrays, write_json, write_text
from imbalance_jax.training import (
    adopt_files,
    adopt_members,
    checkpoint,
    checks,
    member,
    other_sets,
    placement,
    plugins,
    start,
    start_files,
    start_images,
    tested,
)
from imbalance_jax.training.adopt_files import Fitted
from imbalance_jax.training.adopt_members import Adopted
from imbalance_jax.training.autotune import Plan
from imbalance_jax.training.members import member_arrays
from imbalance_jax.training.network import Network, load_dataset, network
from imbalance_jax.training.placement import Placement
from imbalance_jax.training.predicted import CAME_FROM
from imbalance_jax.training.prediction import predict
from imbalance_jax.training.run import set_up_jax
from imbalance_jax.training.snapshot import Best
from imbalance_jax.training.start import PARTS, Start
from imbalance_jax.training.tables import describe, write_performance
from imbalance_jax.training.trained import Stage

STRATEGY = 'shard:map'
NEARLY = 0.01  # of the spread of logits over images: two networks that differ by less are one
SPLITS = ('validation', 'test')
INVERTED, ENOUGH = 0.3, 5  # AUROC below which a network ranks as if turned round; images of either label for one
NAMED = 5  # networks in a message


def run(
    config: ConfigDict,
    workdir: Path,
    adopted: Sequence[Adopted],
    *,
    paired: bool = False,
    stages: Mapping[str, Stage] = {},
) -> None:
    """Makes a finished working directory of networks that were trained elsewhere.

    The config says the data and the model; its arms and seeds are those of `adopted`, whatever else it lists. paired:
    members of different arms with one seed began with the same weights and met the same images. stages: what will be
    asked, whose options are checked now. Raises ValueError naming the file or field for anything wrong, and leaves
    nothing half made.
    """
    workdir = Path(workdir)
    check_free(workdir)
    plugins.load_kept(config)
    adopt_members.check(adopted, config.reference, paired=paired)
    ordered = adopt_members.in_order(adopted, config.reference)
    files = adopt_files.read(config, ordered)
    adopt_files.check_different(ordered, files)
    setting = config.model.preprocessing
    for said in start_images.without_effect(setting, [one.preprocessing or setting.name for one in ordered]):
        print(said, flush=True)
    set_up_jax(config, join=False)
    dataset = load_dataset(config)
    check_splits(dataset)
    adopt_files.check_exports(config, ordered, files, dataset.images.shape[1:])
    others = other_sets.load_all(config, dataset)
    fitted = fit(config, ordered, files, dataset=dataset, others=[other.dataset for other in others])
    rows = [
        adopt_members.row(i, one, of_one.facts, link=of_one.link, paired=paired)
        for i, (one, of_one) in enumerate(zip(ordered, fitted, strict=True))
    ]
    config = with_arms(config, rows)
    checks.check_config(config)
    starts = entrances(files)
    untrained = network(config, dataset, starts)
    height, width, channels = dataset.images.shape[1:]
    shape, count = (height, width, channels), len(dataset.rows('test'))
    checks.check_questions(config, untrained, shape, count, stages=stages, num_classes=len(dataset.classes))
    with unfinished(workdir) as folder:
        write_json(folder / layout.CONFIG, config.to_dict())
        describe(folder, rows, other_sets.warn_of_likeness(dataset))
        start.keep(folder, starts)
        write_text(folder / layout.METRICS, '')
        with stage(folder, 'adopt', strategy=STRATEGY):
            adopt_into(folder, config, dataset, untrained, rows=rows, networks=fitted, preprocessing=starts)
        write_table(folder, 'data', data.rows(dataset, config.data.policies.to_dict()))
        at_home = write_performance(config, dataset, rows, folder)
        tested.write(config, dataset, rows, folder, others=others, at_home=at_home)
    print(f'{workdir}: {len(rows)} network{"s" if len(rows) > 1 else ""} adopted.')


def check_free(workdir: Path) -> None:
    """Raises ValueError for a folder that holds anything."""
    if workdir.exists() and any(workdir.iterdir()):
        done = 'a finished population' if (workdir / layout.PREDICTIONS).exists() else 'files'
        raise ValueError(f'{workdir} holds {done} already: give adopt a folder that is not there yet, or an empty one.')


@contextmanager
def unfinished(workdir: Path) -> Iterator[Path]:
    """A folder beside `workdir` that becomes it at the end, or is gone if anything fails."""
    with dataset_module.unfinished(workdir) as folder:
        yield folder
        if workdir.exists():
            workdir.rmdir()
        folder.rename(workdir)


def fit(
    config: ConfigDict,
    adopted: Sequence[Adopted],
    files: Mapping[str, Start],
    *,
    dataset: Dataset,
    others: Sequence[Dataset],
) -> list[Fitted]:
    """Each network with an output per class, and which test patients it may know; ValueError if that is not allowed."""
    usual = SOFTMAX if task_of(dataset.info) == MULTI_CLASS else SIGMOID
    infos, result = [dataset.info, *(other.info for other in others)], []
    for one in adopted:
        said = files[one.weights].facts.get('exported', {}).get('link')
        fitted = adopt_files.fit(one, files[one.weights], dataset, link=one.link or said or usual)
        if fitted.link == SOFTMAX and task_of(dataset.info) != MULTI_CLASS:
            why = f'wants exactly one class per image, and {dataset.info["name"]} is multi_label'
            raise ValueError(f'{one.where}: link=softmax {why}; link=sigmoid asks each class by itself.')
        seen = start_files.seen_families(files[one.weights], infos)
        if seen and not config.model.allow_seen_patients:
            raise ValueError(start_files.said_of_patients(files[one.weights], seen))
        result.append(fitted._replace(facts={**fitted.facts, 'seen': seen}))
    return result


def with_arms(config: ConfigDict, rows: Sequence[Mapping[str, Any]]) -> ConfigDict:
    """The config of what is adopted: its arms and seeds are those of the members, and training begins with nothing."""
    plain = config.to_dict()
    plain['arms'] = {row['arm']: {'loss': row['loss'], 'link': row['link'], **row['hyper']} for row in rows}
    plain['seeds'] = tuple(dict.fromkeys(row['seed'] for row in rows))
    plain['model'] = {**plain['model'], 'weights': '', 'keep_head': False}
    return ConfigDict(plain).lock()


def entrances(files: Mapping[str, Start]) -> dict[str, Start]:
    """What files of weights want of an image, without the weights."""
    return {name: Start({**one.facts, 'seen': {}}, {'params': {}, 'batch_stats': {}}) for name, one in files.items()}


def adopt_into(
    folder: Path,
    config: ConfigDict,
    dataset: Dataset,
    untrained: Network,
    *,
    rows: list[dict[str, Any]],
    networks: Sequence[Fitted],
    preprocessing: Mapping[str, Start],
) -> None:
    """Plan, checkpoint and predictions.npz of the networks."""
    write_json(folder / layout.PLAN, Plan(STRATEGY, [[0, len(rows)]], {}, 0, 0, 0.0)._asdict())
    variables = stacked(untrained, rows, networks)
    checkpoint.save(layout.checkpoints(folder, 0), 0, Best(variables))
    place = placement.place(len(rows), STRATEGY, jax.local_devices())
    logits = predictions(place, untrained, variables, dataset, batch_size=config.evaluate.batch_size)
    alive = np.all([np.isfinite(one).all((1, 2)) for one in logits.values()], axis=0)
    for row, fine in zip(rows, alive, strict=True):
        if not fine:
            print(f'{row["adopted"]["file"]} gives logits that are not finite: it is left out of all means.')
    if not alive.any():
        raise ValueError('No network gives finite logits: are these the right weights and preprocessing?')
    tell_alike([row['adopted']['file'] for row in rows], logits['test'])
    tell_inverted([row['adopted']['file'] for row in rows], logits, dataset)
    facts = {'alive': alive, CAME_FROM: checkpoint.of_members(variables)}
    write_arrays(folder / layout.PREDICTIONS, **facts, **{f'logits_{split}': x for split, x in logits.items()})


def tell_alike(names: Sequence[str], logits: np.ndarray) -> None:
    """Says which networks, by logits [P,N,K], tell no image from another, and which two are nearly one, as the same
    network in two precisions is: seeds that are no seeds make intervals narrow."""
    for name, same in zip(names, (logits == logits[:, :1]).all((1, 2)), strict=True):
        if same:
            print(f'{name} gives every image the same logits.')
    spread = logits.astype(np.float64).std(1).max(-1)
    for i, j in itertools.combinations(range(len(names)), 2):
        if np.abs(logits[i] - logits[j]).max() < NEARLY * min(spread[i], spread[j]):
            print(f'{names[i]} and {names[j]} are nearly one network: their logits differ by rounding.')


def tell_inverted(names: Sequence[str], logits: Mapping[str, np.ndarray], dataset: Dataset) -> None:
    """Says which networks, by logits {split: [P,N,K]}, rank the images without a finding first in every class, as
    probabilities of its absence do."""
    rows = np.concatenate([dataset.rows(split) for split in logits])
    labels, mask = dataset.labels[rows], dataset.label_mask[rows].astype(bool)
    enough = [min((mask & (labels == value))[:, k].sum() for value in (0, 1)) >= ENOUGH for k in range(labels.shape[1])]
    if not any(enough):
        return
    found = auroc(np.concatenate(list(logits.values()), axis=1), labels, mask)[:, enough]
    if turned := [name for name, values in zip(names, found, strict=True) if (values < INVERTED).all()]:
        what = f'have an AUROC below {INVERTED} in every class, as probabilities of the absence of a finding have'
        print(f'{len(turned)} of {len(names)} networks {what}: {some(turned, NAMED)}.')


def predictions(
    place: Placement, untrained: Network, variables: Any, dataset: Dataset, *, batch_size: int
) -> dict[str, np.ndarray]:
    """Logits {split: [P,N,K]}."""
    function, result = member.make_predict(untrained.model, untrained.normalise), {}
    placed = place.members(variables)
    for split in SPLITS:
        with progress.show(f'predict {split}'):
            images = dataset.images_of(split)
            result[split] = predict(place, function, placed, images=images, batch_size=batch_size)
    return result


def stacked(untrained: Network, rows: Sequence[dict[str, Any]], networks: Sequence[Fitted]) -> dict[str, Any]:
    """The variables [P,...] of all networks as explaining wants them, with the way into each and its link."""
    arrays = member_arrays(rows, own_order=True)
    shapes = jax.eval_shape(jax.vmap(untrained.init), arrays)
    named = [{**row, 'weights': row['adopted']['file']} for row in rows]
    links = {name: np.asarray(value, np.float32) for name, value in untrained.links(named).items()}
    if LINK in shapes.get('link', {}):
        links[LINK] = np.asarray(arrays.softmax, np.float32)
    parts = {
        part: jax.tree.map(lambda *leaves: np.stack(leaves), *(one.variables[part] for one in networks))
        for part in PARTS
    }
    result = {**parts, **({'link': links} if links else {})}
    return jax.tree.map(lambda leaf, shape: np.asarray(jnp.asarray(leaf, shape.dtype)), result, shapes)

"""From a config to a trained population in a working directory, with its predictions and their tables."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from imbalance_jax.config.file import completed
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.soundness import check_splits
from imbalance_jax.names import some
from imbalance_jax.results import data
from imbalance_jax.results.schema import write_table
from imbalance_jax.system import cache, environment, layout, matrix_product, processes, provenance, records
from imbalance_jax.system.provenance import stage
from imbalance_jax.system.workdir import check_same_data, claim, lock, write_arrays
from imbalance_jax.training import (
    autotune,
    checkpoint,
    checks,
    heads,
    kept,
    loop,
    needs,
    on_features,
    other_sets,
    placement,
    planning,
    plugins,
    room,
    snapshot,
    start,
    start_files,
    tested,
)
from imbalance_jax.training.build import build, make_members
from imbalance_jax.training.members import same_arms
from imbalance_jax.training.network import Network, load_dataset, machine_fields, network
from imbalance_jax.training.predicted import CAME_FROM
from imbalance_jax.training.program import Experiment
from imbalance_jax.training.snapshot import Outcome
from imbalance_jax.training.tables import describe, describe_kept, write_convergence, write_performance
from imbalance_jax.training.trained import KEPT_EPOCH, Stage

MADE_AGAIN = (layout.MEMBERS, layout.DATA, layout.CONTACT_SHEET, layout.PROVENANCE)
NAMED = 5  # members that are named, of many
EDITED = 'The plugins of config.plugins have been edited since training began'


def run(
    config: ConfigDict,
    workdir: Path,
    profile: bool = False,
    *,
    stages: Mapping[str, Stage] = {},
    base: Mapping[str, Any] = {},
) -> None:
    """Trains the config's population into `workdir`: members.json, metrics.jsonl, checkpoints, predictions, tables.

    Finished work is not done again; interrupted work goes on where it was. With `profile`, a few steps leave a trace in
    `profile/`. stages: what will be asked of the population, whose options are checked now; base: every field with its
    default, for a directory that an older version began. Raises ValueError naming
    the field or file for anything wrong with the config, the data or the working directory, before anything is
    compiled.
    """
    workdir = Path(workdir)
    plugins.load_kept(config)
    checks.check_config(config)
    members = make_members(config)
    heads.check(config, members)
    set_up_jax(config)
    starts = start_files.read(config, members, workdir)
    members = start_files.noted(members, starts)
    dataset = processes.first_alone(lambda: load_dataset(config))
    check_splits(dataset)
    others = other_sets.load_all(config, dataset)
    starts = start_files.with_data(config, starts, dataset, [other.dataset for other in others])
    untrained = network(config, dataset, starts)
    checks.check_before_compiling(config, dataset, untrained, stages=stages)
    for said in [*checks.without_effect(config, base, dataset.images.shape[-1]), *checks.equal_arms(members)]:
        processes.say(said)
    refuse_what_cannot_be_explained(config, dataset, members, untrained=untrained, stages=stages)
    make = on_features.build_heads if heads.are_cached(config) else build
    experiment = make(config, dataset, members, untrained=untrained)
    with lock(workdir):
        start.check_same(workdir, members)
        free = (*other_sets.free_fields(config), *start.free_fields(config), *machine_fields(config))
        ready = partial(check_same_data, dataset.info, workdir)
        claim(workdir, config.to_dict(), free, lambda kept: in_words_of(completed(kept, base), config), ready=ready)
        edited = provenance.plugins_edited(workdir)
        if is_finished(workdir, experiment):
            more = f' {EDITED}: to train with them, take another --workdir.' if edited else ''
            print(f'{workdir} is trained already.{more}')
        else:
            if edited and any((workdir / layout.CHECKPOINTS).glob('wave_*/*')):
                raise ValueError(f'{workdir}: {EDITED}: put them back as they were, or take another --workdir.')
            noted = other_sets.warn_of_likeness(dataset)
            start.keep(workdir, starts)
            train_into(workdir, experiment, noted, config, untrained=untrained, profile=profile)
        at_home = None
        if processes.leads():
            write_table(workdir, 'data', data.rows(dataset, config.data.policies.to_dict()))
            at_home = write_performance(config, dataset, members, workdir)
            if (workdir / layout.METRICS).exists():
                write_convergence(members, workdir)
            for name in experiment.kept.names:
                describe_kept(config, dataset, members, workdir, name=name)
        tested.write(config, dataset, members, workdir, others=others, at_home=at_home)
        processes.wait_for_all()


def in_words_of(kept: dict[str, Any], config: ConfigDict) -> dict[str, Any]:
    """A config that was kept, with the words of `config` for each arm that means the same: its loss is its name where
    none is said."""
    own, arms = config.to_dict()['arms'], kept.get('arms', {})
    both = [name for name in arms if name in own]
    same = {name: own[name] for name in both if _meant(name, arms[name]) == _meant(name, own[name])}
    return {**kept, 'arms': {**arms, **same}}


def _meant(name: str, arm: Mapping[str, Any]) -> Any:
    """An arm as plain data, with its loss."""
    return json.loads(json.dumps({'loss': name, **arm}))


def refuse_what_cannot_be_explained(
    config: ConfigDict, dataset: Dataset, members: list[dict], *, untrained: Network, stages: Mapping[str, Stage]
) -> None:
    """Raises ValueError for a stage that has no room for one image of one member on the devices that there are."""
    if any(stage.programs for stage in stages.values()):
        devices = needs.Devices(len(jax.devices()), processes.least_of(autotune.available()))
        room.check(needs.shapes_of(config, dataset, members, untrained), stages, devices)


def set_up_jax(config: Mapping[str, Any], *, stage: str = 'train', join: bool = True) -> None:
    """All cores, all processes, kept programs, and numbers whatever the environment says; before JAX computes.

    stage: of `config.precision`, which a config of an older version lacks.
    """
    precision = config.get('precision', {})
    environment.pin(precision.get(stage, 'default'), deterministic=precision.get('deterministic', False))
    placement.use_all_cores()
    cache.keep_programs()
    if join:
        processes.join()


def is_finished(workdir: Path, experiment: Experiment) -> bool:
    """Whether all that training leaves is there, and the checkpoints that the predictions come from. What is lost of it
    is made again of these, but for the lines of metrics.jsonl, which may be accepted as lost where they say of no
    checkpoint that it is to be kept."""
    if not all((workdir / name).exists() for name in (layout.PREDICTIONS, layout.PLAN)):
        return False
    metrics = workdir / layout.METRICS
    if not metrics.exists() and (experiment.kept.names or layout.METRICS not in records.accepted(workdir)):
        more = '' if experiment.kept.names else f'; `imbalance-jax accept {workdir}` does without it'
        raise FileNotFoundError(f'{metrics} is missing: {records.ELSEWHERE}{more}.')
    if not all((workdir / name).exists() for name in MADE_AGAIN):
        return False
    return snapshot.finished(experiment, autotune.read(workdir), workdir) is not None


def slow_to_begin(warmup_steps: int, total_steps: int) -> str:
    """What to say of a warm-up that takes more than half of training; '' of another."""
    if 2 * warmup_steps <= total_steps:
        return ''
    return (
        f'The learning rate rises for config.train.warmup_steps = {warmup_steps:,} of the {total_steps:,} steps of '
        f'training: a tenth of them, {max(total_steps // 10, 1):,}, is usual.'
    )


def twins_of(members: list[dict]) -> str:
    """What to say of arms that are one approach under several names; '' where there are none."""
    same = same_arms(members)
    if not same:
        return ''
    named = '; '.join(' and '.join(arms) for arms in same)
    return f'Arms that are one approach, whose members are equal to the bit where their seeds are: {named}.'


def dead_of(members: list[dict], alive: np.ndarray) -> str:
    """What to say of members whose loss became non-finite; '' where all are alive [P]."""
    dead = [f'arm {row["arm"]} (seed {row["seed"]})' for row, lives in zip(members, alive, strict=True) if not lives]
    what = 'members are not alive: their loss became non-finite, and no result counts them'
    return f'{len(dead)} of {len(members)} {what}: {some(dead, NAMED)}.' if dead else ''


def train_into(
    workdir: Path,
    experiment: Experiment,
    dataset: Dataset,
    config: ConfigDict,
    *,
    untrained: Network,
    profile: bool = False,
) -> None:
    """Describes the members and the data, trains, and leaves predictions.npz as the last act.

    untrained: the whole network, whose features are computed first where only heads are trained on them.
    """
    describe(workdir, experiment.members, dataset)
    noted = [slow_to_begin(config.train.warmup_steps, experiment.total_steps), twins_of(experiment.members)]
    for said in filter(None, noted):
        processes.say(said)
    with stage(workdir, 'train') as record:
        seen = dataset
        if heads.are_cached(config):
            experiment, seen, record['features'] = on_features.with_features(
                experiment, config, dataset, untrained=untrained, workdir=workdir
            )
        plan, program = planning.make_plan(workdir, experiment, config.population, config.data.stream)
        record.update(strategy=plan.strategy, plan=plan._asdict(), processes=jax.process_count())
        if record['elsewhere']:
            other = provenance.machines(record['elsewhere'])
            processes.say(f'{workdir} was also trained on {other}. {planning.SAME_BYTES}')
        if begun := start.digests(experiment.members):
            record['weights'] = begun
        images = {split: seen.images_of(split) for split in ('validation', 'test')}
        folder = workdir / layout.PROFILE if profile else None
        speeds: list[float] = []
        what: dict[str, Any] = {'images': images, 'program': program, 'profile': folder, 'speeds': speeds}
        outcome, logits = loop.fit(experiment, plan, workdir, **what)
        if lost := dead_of(experiment.members, outcome.alive):
            processes.say(lost)
        if speeds:
            record['speed'] = speed_of(speeds)
        predict_kept(workdir, experiment, plan, outcome=outcome, images=images)
        facts = {'alive': outcome.alive, 'best_epoch': outcome.best_epoch, 'best_score': outcome.best_score}
        facts[CAME_FROM] = checkpoint.of_members(outcome.best)
        write_arrays(workdir / layout.PREDICTIONS, **facts, **{f'logits_{split}': x for split, x in logits.items()})


def speed_of(speeds: Sequence[float]) -> dict[str, float]:
    """Operations per second of training, the median of its epochs, by XLA's count of a step; those of a matrix product
    on the same devices; and the share."""
    per_second, product = float(np.median(speeds)), matrix_product.flops_per_second() * jax.process_count()
    return {'flops_per_second': per_second, 'matrix_product': product, 'share': round(per_second / product, 4)}


def predict_kept(
    workdir: Path, experiment: Experiment, plan: autotune.Plan, *, outcome: Outcome, images: Mapping[str, Any]
) -> None:
    """predictions.npz of each kind of kept weights, in its folder. outcome: of training, whose best weights stand in
    for members that have kept none; those are no members there."""
    processes.wait_for_all()
    members = experiment.members
    curves = kept.curves(workdir, members)
    for name, epochs in kept.chosen(experiment.kept, workdir, members, epochs=experiment.epochs).items():
        variables, logits = kept.variables(workdir, epochs, outcome.best), []
        for number, (first, stop) in enumerate(plan.waves):
            of_wave = jax.tree.map(lambda a, first=first, stop=stop: a[first:stop], variables)
            part = snapshot.wave(experiment, plan, number)
            logits.append(loop.predict_wave(part, plan.strategy, of_wave, images))
        scores = np.array([curve.get(int(epoch), np.nan) for curve, epoch in zip(curves, epochs, strict=True)])
        facts = {'alive': outcome.alive & (epochs > 0), 'best_epoch': epochs, 'best_score': scores.astype(np.float32)}
        facts[CAME_FROM] = checkpoint.of_members(variables)
        joined = {f'logits_{split}': x for split, x in snapshot.join(logits).items()}
        path = layout.weights(workdir, name) / layout.PREDICTIONS
        write_arrays(path, **{**facts, KEPT_EPOCH: epochs, **joined})

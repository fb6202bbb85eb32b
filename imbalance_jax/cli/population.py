"""Verbs of one population: train, adopt, explain, roar, report, accept, export."""

from pathlib import Path
from typing import Any

from imbalance_jax.cli import loading
from imbalance_jax.cli.outside import Outside
from imbalance_jax.system.command_line import Command


def train(command: Command, outside: Outside) -> None:
    """Trains the population of the config."""
    config, workdir = (
        loading.load(command.flags.config, command.overrides, outside.base).config,
        loading.workdir(command),
    )
    from imbalance_jax.explain.run import STAGES
    from imbalance_jax.system import signals
    from imbalance_jax.training import run

    signals.leave_when_asked(command.flags.grace)
    run.run(config, workdir, command.flags.profile, stages=STAGES, base=outside.base().to_dict())


def adopt(command: Command, outside: Outside) -> None:
    """Makes a finished working directory of networks that were trained elsewhere."""
    config, workdir = (
        loading.load(command.flags.config, command.overrides, outside.base).config,
        loading.workdir(command),
    )
    from imbalance_jax.explain.run import STAGES
    from imbalance_jax.system import signals
    from imbalance_jax.training import adopt, adopt_members, adopt_recorded

    signals.leave_when_asked(saves=False)
    flags = command.flags
    predictions, features = (Path(file) if file else None for file in (flags.predictions, flags.features))
    if flags.values and not predictions:
        raise ValueError(f'--values={flags.values} says what numbers of --predictions are, which is not given.')
    if predictions or features:
        if flags.member or flags.members:
            flag = '--predictions' if predictions else '--features'
            raise ValueError(f'{flag} takes the place of --member and --members: give one of them.')
        told: dict[str, Any] = {'values': flags.values, 'paired': flags.paired, 'stages': STAGES}
        adopt_recorded.run(config, workdir, predictions, features=features, **told)
        return
    given = adopt_members.from_texts(command.flags.member or [])
    if command.flags.members:
        given += adopt_members.from_table(Path(command.flags.members))
    adopt.run(config, workdir, given, paired=command.flags.paired, stages=STAGES)


def explain(command: Command, outside: Outside) -> None:
    """Asks a trained population the stages."""
    workdir = loading.trained(command)
    from imbalance_jax.explain import run
    from imbalance_jax.system import layout, signals

    if command.flags.weights:
        workdir = layout.kept_weights(workdir, command.flags.weights)
    if command.flags.on:
        workdir = layout.tested_on(workdir, command.flags.on)
    signals.leave_when_asked(command.flags.grace)
    run.run_everywhere(workdir, stages=run.chosen(command.flags.stages), base=outside.base().to_dict())


def roar(command: Command, outside: Outside) -> None:
    """Trains the reference arm anew without the pixels that methods call important."""
    workdir = loading.trained(command)
    from imbalance_jax.explain import run
    from imbalance_jax.system import signals

    signals.leave_when_asked()
    run.run_roar(workdir, base=outside.base().to_dict())


def report(command: Command, outside: Outside) -> None:
    """Writes the page of a working directory."""
    from imbalance_jax.system import signals

    signals.leave_when_asked(saves=False)
    print(outside.report(loading.trained(command)))


def accept(command: Command, _: Outside) -> None:
    """Takes all files of a working directory as they are."""
    from imbalance_jax.system import provenance

    workdir = loading.workdir(command)
    changes = provenance.accept(workdir)
    for line in changes:
        print(f'{workdir}: {line}')
    print(
        f'{workdir}: {len(changes)} files taken as they are; its provenance says so.'
        if changes
        else f'{workdir}: all as it was written.'
    )


def export(command: Command, outside: Outside) -> None:
    """Writes members and arms for others to use."""
    workdir = loading.trained(command)
    if not command.flags.out:
        raise ValueError('--out is missing; give a folder for what is exported, such as --out=exported.')
    from imbalance_jax.system import signals
    from imbalance_jax.training import export

    signals.leave_when_asked(saves=False)
    flags = command.flags
    base = outside.base().to_dict()
    export.run(workdir, Path(flags.out), member=flags.only, method=flags.method, again=flags.again, base=base)

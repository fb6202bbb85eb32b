"""Verbs of a sweep: plan, work, status, collect."""

from typing import TYPE_CHECKING, Any

from imbalance_jax.cli import loading
from imbalance_jax.cli.outside import Outside
from imbalance_jax.system.command_line import Command

if TYPE_CHECKING:
    from imbalance_jax.sweep.plan import Job


def plan(command: Command, outside: Outside) -> None:
    """Writes a plan, or says what memory the stages of a study need."""
    from imbalance_jax.config import file
    from imbalance_jax.sweep import cli, hyper
    from imbalance_jax.system import signals

    signals.leave_when_asked(saves=False)
    loaded = loading.load(command.flags.config, command.overrides, outside.base)
    from imbalance_jax.explain.run import STAGES
    from imbalance_jax.system import environment
    from imbalance_jax.training.preview import Checker

    environment.pin()
    check_alone = Checker(STAGES)
    if command.flags.memory:
        from imbalance_jax.training import forecast, run

        run.set_up_jax(loaded.config, join=False)
        check_alone(loaded.config)
        print(forecast.describe(loaded.config, STAGES, command.flags.memory))
        if not command.flags.out:
            return

    def check(plain: dict[str, Any]) -> None:
        config = loading.read(plain)
        loading.check(config, outside.base())
        check_alone(config)

    out, pilot = command.flags.out, command.flags.pilot
    points = file.points(loaded, hyper)
    for field in command.overrides:
        if points and all(f'config.{field}' in point or field in point for point in points):
            print(f'Without effect, as the sweep sets it (get_hyper): config.{field}.')
    cli.write_plan(loaded.config, points, out, check=check, options=loading.options, pilot=pilot)


def work(command: Command, outside: Outside) -> int:
    """Does the populations of a plan; its exit status."""
    from imbalance_jax.sweep import cli
    from imbalance_jax.system import cluster

    def train(job: 'Job') -> None:
        config = loading.read(job.config)
        loading.check(config, outside.base())
        from imbalance_jax.explain.run import STAGES
        from imbalance_jax.training import run

        run.run(config, job.workdir, stages=STAGES, base=outside.base().to_dict())

    def explain(job: 'Job') -> None:
        from imbalance_jax.explain import run

        run.run_everywhere(job.workdir, base=outside.base().to_dict())

    def report(job: 'Job') -> None:
        if cluster.leads():
            outside.report(job.workdir)

    return cli.work(command.flags, outside.program, {'train': train, 'explain': explain, 'report': report})


def status(command: Command, _: Outside) -> int:
    """Says how the populations stand; its exit status."""
    from imbalance_jax.sweep import cli
    from imbalance_jax.system import signals

    signals.leave_when_asked(saves=False)
    return cli.status(command.flags)


def collect(command: Command, outside: Outside) -> int:
    """Joins the tables of all populations; its exit status."""
    from imbalance_jax.sweep import cli
    from imbalance_jax.system import signals

    signals.leave_when_asked(saves=False)
    return cli.collect_tables(command.flags, outside.sweep_report)

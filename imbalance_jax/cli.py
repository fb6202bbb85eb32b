"""The console script's verbs and flags, and errors that a user can act on. No logic."""

import sys
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

USAGE = """\
usage: imbalance-jax VERB [flags]

one population
  data prepare   make the config's data set ready and keep it under config.data.folder
  data inspect   the same, then say what is in it: splits, class counts, boxes, files left out
  train          train the config's population into --workdir; run again to resume
  explain        attribution, alignment and concepts of what --workdir holds
  roar           its reference arm, trained anew without the pixels that each method calls important
  report         WORKDIR/report.html: what --workdir, or the folder named, holds

a sweep: many populations, from a config with get_hyper(hyper)
  plan           write --out, one line a population; say what is new since it was written last
  work           train, explain and report the populations of --plan that are not done, or one, or a share of them
  status         how the populations of --plan stand; exit status 0 all done, 1 one failed, 75 not all done
  collect        the tables of all populations of --plan as one, and a report over the sweep

flags
  --config=FILE            a config file, such as configs/quickstart.py
  --config.FIELD=VALUE     override one of its fields, such as --config.train.epochs=3
  --workdir=FOLDER         where train and explain keep everything
  --profile                train: trace a few steps into WORKDIR/profile, and print the costliest operations
  --out=FILE.jsonl         plan: the plan; its populations live beside it, in the folder FILE
  --plan=FILE.jsonl        work, status, collect: the plan
  --job=NUMBER|ID          work: this population only
  --shard=I/N              work: every N-th population, from number I (of 0 to N - 1)
  --grace=SECONDS          leave so long after a signal, or when what is being saved is whole (8; 0 for no limit)
  --watch                  status: again and again, until no population is at work
  --mixed                  collect: also what different versions of the software made
  --traceback              with an error, show where it happened

exit status: 0 done, 1 failed, 2 wrong input, 75 stopped by a signal with all saved (run the same command again)
"""


class Outside(NamedTuple):
    """What verbs need of the folders beside the package, which the package does not import.

    base: every field of a config with its default; report: a working directory's page; sweep_report: that of finished
    populations; program: the command line of this console script.
    """

    base: Callable
    report: Callable[[Path], Path]
    sweep_report: Callable[[list], Path]
    program: list[str]


TEXTS = {
    'workdir': 'where train and explain keep everything',
    'out': 'where plan writes to',
    'plan': 'what plan wrote',
    'job': 'a number or id of a population',
    'shard': 'i/n: every n-th population',
}


def main(outside: Outside) -> None:
    """Runs the verb of the command line and leaves with its exit status."""
    arguments = sys.argv[1:]
    if not arguments or {'-h', '--help', 'help', '--helpfull'} & set(arguments):
        print(USAGE, end='')
        sys.exit(0 if arguments else 2)
    try:
        sys.exit(_run(sys.argv, outside))
    except KeyboardInterrupt:
        sys.exit(130)
    except (ValueError, OSError, FloatingPointError) as error:
        if '--traceback' in arguments:
            traceback.print_exc()
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2 if isinstance(error, (ValueError, FileNotFoundError)) else 1)


def _run(argv: list[str], outside: Outside) -> int | None:
    from absl import flags
    from ml_collections import config_flags

    from imbalance_jax.names import lookup

    config_flags.DEFINE_config_file('config', lock_config=True)
    flags.DEFINE_bool('profile', False, 'trace a few training steps')
    for name, meaning in TEXTS.items():
        flags.DEFINE_string(name, None, meaning)
    flags.DEFINE_float('grace', 8.0, 'seconds to leave in after a signal')
    flags.DEFINE_bool('watch', False, 'show again and again')
    flags.DEFINE_bool('mixed', False, 'collect results of different versions')
    flags.DEFINE_bool('traceback', False, 'with an error, show where it happened')
    try:
        with _no_bytecode():
            words = flags.FLAGS(argv)[1:]
    except (AttributeError, KeyError, TypeError, SyntaxError, flags.Error) as error:
        _check_overrides(argv, outside)
        raise ValueError(' '.join(str(error).split())) from error
    if words[:1] == ['report'] and len(words) == 2 and not flags.FLAGS.workdir:
        flags.FLAGS.workdir = words.pop()
    said = ' '.join(words)
    begun = {verb: run for verb, run in VERBS.items() if said and verb.startswith(f'{said} ')}
    return lookup(begun or VERBS, said, 'verb')(flags.FLAGS, outside)


@contextmanager
def _no_bytecode():
    """A config file leaves none: one that is edited within the second would be taken for what it was."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _check_overrides(argv: list[str], outside: Outside) -> None:
    """Raises ValueError with the nearest known field for an override of one that no config has."""
    from imbalance_jax.names import lookup
    from imbalance_jax.system.files import flatten

    known = flatten(outside.base().to_dict())
    for argument in argv:
        name = argument.removeprefix('--config.').partition('=')[0]
        if argument.startswith('--config.arms.'):
            raise ValueError(f'{name}: what an arm does not say yet is set in the config file, not by a flag.')
        if argument.startswith('--config.'):
            lookup(known, name, 'config field')


def _config(flags, outside: Outside):
    try:
        with _no_bytecode():
            config = flags.config
        fields_of_file = config and config.to_dict()  # a file that cannot be read is an error at its first use only
    except OSError as error:
        raise ValueError(f'--config could not be read: {str(error).strip().splitlines()[-1].strip()}') from error
    if fields_of_file is None:
        raise ValueError('--config is missing; give a config file, such as --config=configs/quickstart.py.')
    from imbalance_jax import config as fields

    fields.check(config, outside.base())
    return config


def _checked(plain: dict, outside: Outside):
    """The config of a population that was plain data, checked like one of a file."""
    from ml_collections import ConfigDict

    from imbalance_jax import config as fields

    config = ConfigDict(plain)
    fields.check(config, outside.base())
    return config


def _workdir(flags) -> Path:
    if not flags.workdir:
        raise ValueError('--workdir is missing; give a folder, such as --workdir=runs/quickstart.')
    return Path(flags.workdir)


def _prepare(flags, outside: Outside) -> None:
    config = _config(flags, outside)
    from imbalance_jax.training import network

    network.load_dataset(config)


def _inspect(flags, outside: Outside) -> None:
    config = _config(flags, outside)
    from imbalance_jax.results import data
    from imbalance_jax.training import network

    print(data.describe(network.load_dataset(config)))


def _train(flags, outside: Outside) -> None:
    config, workdir = _config(flags, outside), _workdir(flags)
    from imbalance_jax.explain.run import STAGES
    from imbalance_jax.system import signals
    from imbalance_jax.training import run

    signals.leave_when_asked(flags.grace)
    run.run(config, workdir, flags.profile, stages=STAGES)


def _explain(flags, _) -> None:
    workdir = _workdir(flags)
    from imbalance_jax.explain import run
    from imbalance_jax.system import signals

    signals.leave_when_asked(flags.grace)
    run.run(workdir)


def _roar(flags, _) -> None:
    workdir = _workdir(flags)
    from imbalance_jax.explain import run

    run.run_roar(workdir)


def _report(flags, outside: Outside) -> None:
    print(outside.report(_workdir(flags)))


def _plan(flags, outside: Outside) -> None:
    config = _config(flags, outside)
    from ml_collections import config_flags

    from imbalance_jax.sweep import cli

    path = config_flags.get_config_filename(flags['config']).partition(':')[0]  # configs/file.py:argument
    cli.write_plan(config, path, flags.out, lambda plain: _checked(plain, outside))


def _work(flags, outside: Outside) -> int:
    from imbalance_jax.sweep import cli
    from imbalance_jax.system import cluster

    def train(job) -> None:
        from imbalance_jax.explain.run import STAGES
        from imbalance_jax.training import run

        run.run(_checked(job.config, outside), job.workdir, stages=STAGES)

    def explain(job) -> None:
        from imbalance_jax.explain import run

        run.run(job.workdir)

    def report(job) -> None:
        if cluster.leads():
            outside.report(job.workdir)

    return cli.work(flags, outside.program, {'train': train, 'explain': explain, 'report': report})


def _status(flags, _) -> int:
    from imbalance_jax.sweep import cli

    return cli.status(flags)


def _collect(flags, outside: Outside) -> int:
    from imbalance_jax.sweep import cli

    return cli.collect_tables(flags, outside.sweep_report)


VERBS = {
    'data prepare': _prepare,
    'data inspect': _inspect,
    'train': _train,
    'explain': _explain,
    'roar': _roar,
    'report': _report,
    'plan': _plan,
    'work': _work,
    'status': _status,
    'collect': _collect,
}

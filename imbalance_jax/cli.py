"""The console script: verbs, flags, and errors that a user can act on. No logic."""

import sys
import traceback
from contextlib import contextmanager

USAGE = """\
usage: imbalance-jax VERB [flags]

one population
  data prepare   make the config's data set ready and keep it under config.data.folder
  data inspect   the same, then say what is in it: splits, class counts, boxes, files left out
  train          train the config's population into --workdir; run again to resume
  explain        attribution, alignment and concepts of what --workdir holds
  roar           its reference arm, trained anew without the pixels that each method calls important

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


TEXTS = {
    'workdir': 'where train and explain keep everything',
    'out': 'where plan writes to',
    'plan': 'what plan wrote',
    'job': 'a number or id of a population',
    'shard': 'i/n: every n-th population',
}


def main() -> None:
    """Entry point."""
    arguments = sys.argv[1:]
    if not arguments or {'-h', '--help', 'help', '--helpfull'} & set(arguments):
        print(USAGE, end='')
        sys.exit(0 if arguments else 2)
    try:
        sys.exit(_run(sys.argv))
    except KeyboardInterrupt:
        sys.exit(130)
    except (ValueError, OSError, FloatingPointError) as error:
        if '--traceback' in arguments:
            traceback.print_exc()
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2 if isinstance(error, (ValueError, FileNotFoundError)) else 1)


def _run(argv: list[str]) -> int | None:
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
        _check_overrides(argv)
        raise ValueError(' '.join(str(error).split())) from error
    said = ' '.join(words)
    begun = {verb: run for verb, run in VERBS.items() if said and verb.startswith(f'{said} ')}
    return lookup(begun or VERBS, said, 'verb')(flags.FLAGS)


@contextmanager
def _no_bytecode():
    """A config file leaves none: one that is edited within the second would be taken for what it was."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _check_overrides(argv: list[str]) -> None:
    """Raises ValueError with the nearest known field for an override of one that no config has."""
    from configs import base
    from imbalance_jax.files import flatten
    from imbalance_jax.names import lookup

    known = flatten(base.get_config().to_dict())
    for argument in argv:
        name = argument.removeprefix('--config.').partition('=')[0]
        if argument.startswith('--config.arms.'):
            raise ValueError(f'{name}: what an arm does not say yet is set in the config file, not by a flag.')
        if argument.startswith('--config.'):
            lookup(known, name, 'config field')


def _config(flags):
    try:
        with _no_bytecode():
            config = flags.config
        fields_of_file = config and config.to_dict()  # a file that cannot be read is an error at its first use only
    except OSError as error:
        raise ValueError(f'--config could not be read: {str(error).strip().splitlines()[-1].strip()}') from error
    if fields_of_file is None:
        raise ValueError('--config is missing; give a config file, such as --config=configs/quickstart.py.')
    from configs import base
    from imbalance_jax import fields

    fields.check(config, base.get_config())
    return config


def _workdir(flags) -> str:
    if not flags.workdir:
        raise ValueError('--workdir is missing; give a folder, such as --workdir=runs/quickstart.')
    return flags.workdir


def _prepare(flags) -> None:
    config = _config(flags)
    from imbalance_jax import experiment

    experiment.load_dataset(config)


def _inspect(flags) -> None:
    config = _config(flags)
    from imbalance_jax import experiment, inspection

    print(inspection.describe(experiment.load_dataset(config)))


def _train(flags) -> None:
    config, workdir = _config(flags), _workdir(flags)
    from imbalance_jax import experiment, stopping

    stopping.leave_when_asked(flags.grace)
    experiment.run(config, workdir, flags.profile)


def _explain(flags) -> None:
    workdir = _workdir(flags)
    from imbalance_jax import explain, stopping

    stopping.leave_when_asked(flags.grace)
    explain.run(workdir)


def _plan(flags) -> None:
    config = _config(flags)
    if not flags.out:
        raise ValueError('--out is missing; give a file, such as --out=runs/sweep.jsonl.')
    import runpy

    from ml_collections import config_flags

    from imbalance_jax import hyper, plans, sweep

    path = config_flags.get_config_filename(flags['config']).partition(':')[0]  # configs/file.py:argument
    get_hyper = runpy.run_path(path).get('get_hyper')
    populations = sweep.populations(config, get_hyper(hyper) if get_hyper else [{}])
    for plain in populations:
        _check_plain(plain)
    print(plans.compared(*plans.write(flags.out, populations)))


def _check_plain(plain: dict):
    """The config of a population that was plain data, checked like one of a file."""
    from ml_collections import ConfigDict

    from configs import base
    from imbalance_jax import fields

    config = ConfigDict(plain)
    fields.check(config, base.get_config())
    return config


def _jobs(flags) -> list:
    if not flags.plan:
        raise ValueError('--plan is missing; give what `imbalance-jax plan` wrote, such as --plan=runs/sweep.jsonl.')
    from imbalance_jax import plans

    return plans.select(plans.read(flags.plan), flags.job, flags.shard)


def _work(flags) -> int:
    jobs = _jobs(flags)
    from imbalance_jax import jobs as working
    from imbalance_jax import stopping

    stopping.leave_when_asked(flags.grace if flags.job else 0.0)
    if not flags.job:  # one process a population: its memory is free when it is done, and its end is not the others'
        command = [sys.executable, '-m', 'imbalance_jax.cli', 'work', f'--plan={flags.plan}', f'--grace={flags.grace}']
        return working.work(jobs, lambda job: stopping.run([*command, f'--job={job.id}']))
    from imbalance_jax import cluster

    stages = {'train': _train_job, 'explain': _explain_job, 'report': _report_job}
    return working.do(jobs[0], stages, cluster.leads())


def _train_job(job) -> None:
    from imbalance_jax import experiment

    experiment.run(_check_plain(job.config), job.workdir)


def _explain_job(job) -> None:
    from imbalance_jax import explain

    explain.run(job.workdir)


def _report_job(job) -> None:
    from imbalance_jax import cluster

    if cluster.leads():
        from analysis import report

        report.write(job.workdir)


def _status(flags) -> int:
    jobs = _jobs(flags)
    from imbalance_jax import jobs as working

    text, status = working.table(jobs)
    if not flags.watch:
        print(text)
        return status
    import time

    from rich.live import Live
    from rich.text import Text

    with Live(Text(text)) as live:
        while any(working.standing(job).state == 'running' for job in jobs):
            time.sleep(2)
            text, status = working.table(jobs)
            live.update(Text(text))
    return status


def _collect(flags) -> int:
    jobs = _jobs(flags)
    from analysis import sweep as report
    from imbalance_jax import collect
    from imbalance_jax import jobs as working

    done = [job for job in jobs if working.standing(job).state == 'done']
    for path in (*collect.write(done, flags.mixed), report.write(done)):
        print(path)
    if len(done) < len(jobs):
        print(f'{len(jobs) - len(done)} of {len(jobs)} populations are not done, and not in it.', file=sys.stderr)
    return 0 if len(done) == len(jobs) else 75


def _roar(flags) -> None:
    workdir = _workdir(flags)
    from imbalance_jax import roar

    roar.run(workdir)


VERBS = {
    'data prepare': _prepare,
    'data inspect': _inspect,
    'train': _train,
    'explain': _explain,
    'roar': _roar,
    'plan': _plan,
    'work': _work,
    'status': _status,
    'collect': _collect,
}


if __name__ == '__main__':
    main()

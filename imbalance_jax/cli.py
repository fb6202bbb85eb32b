"""The console script: verbs, flags, and errors that a user can act on. No logic."""

import sys
import traceback

USAGE = """\
usage: imbalance-jax VERB [flags]

verbs
  data prepare   make the config's data set ready and keep it under config.data.folder
  data inspect   the same, then say what is in it: splits, class counts, boxes, files left out
  train          train the config's population into --workdir; run again to resume
  explain        attribution, alignment and concepts of what --workdir holds
  roar           its reference arm, trained anew without the pixels that each method calls important

flags
  --config=FILE            a config file, such as configs/quickstart.py
  --config.FIELD=VALUE     override one of its fields, such as --config.train.epochs=3
  --workdir=FOLDER         where train and explain keep everything
  --profile                train: trace a few steps into WORKDIR/profile, and print the costliest operations
  --traceback              with an error, show where it happened

exit status: 0 done, 1 failed, 2 wrong input, 75 stopped by a signal with all saved (run the same command again)
"""


def main() -> None:
    """Entry point."""
    arguments = sys.argv[1:]
    if not arguments or {'-h', '--help', 'help', '--helpfull'} & set(arguments):
        print(USAGE, end='')
        sys.exit(0 if arguments else 2)
    try:
        _run(sys.argv)
    except (ValueError, OSError, FloatingPointError) as error:
        if '--traceback' in arguments:
            traceback.print_exc()
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2 if isinstance(error, (ValueError, FileNotFoundError)) else 1)


def _run(argv: list[str]) -> None:
    from absl import flags
    from ml_collections import config_flags

    from imbalance_jax.names import lookup

    config_flags.DEFINE_config_file('config', lock_config=True)
    flags.DEFINE_string('workdir', None, 'where train and explain keep everything')
    flags.DEFINE_bool('profile', False, 'trace a few training steps')
    flags.DEFINE_bool('traceback', False, 'with an error, show where it happened')
    try:
        words = flags.FLAGS(argv)[1:]
    except (AttributeError, KeyError, TypeError, SyntaxError, flags.Error) as error:
        _check_overrides(argv)
        raise ValueError(' '.join(str(error).split())) from error
    lookup(VERBS, ' '.join(words), 'verb')(flags.FLAGS)


def _check_overrides(argv: list[str]) -> None:
    """Raises ValueError with the nearest known field for an override of one that no config has."""
    from configs import base
    from imbalance_jax.names import lookup
    from imbalance_jax.writer import flatten

    known = flatten(base.get_config().to_dict())
    for argument in argv:
        name = argument.removeprefix('--config.').partition('=')[0]
        if argument.startswith('--config.arms.'):
            raise ValueError(f'{name}: what an arm does not say yet is set in the config file, not by a flag.')
        if argument.startswith('--config.'):
            lookup(known, name, 'config field')


def _config(flags):
    try:
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
    from imbalance_jax import experiment

    experiment.run(config, workdir, flags.profile)


def _explain(flags) -> None:
    workdir = _workdir(flags)
    from imbalance_jax import explain

    explain.run(workdir)


def _roar(flags) -> None:
    workdir = _workdir(flags)
    from imbalance_jax import roar

    roar.run(workdir)


VERBS = {'data prepare': _prepare, 'data inspect': _inspect, 'train': _train, 'explain': _explain, 'roar': _roar}


if __name__ == '__main__':
    main()

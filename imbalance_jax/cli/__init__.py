"""The console script: its verbs and what each needs. No logic."""

import importlib.metadata
import sys
import traceback
import warnings
from pathlib import Path

from imbalance_jax.cli import data, population, sweep
from imbalance_jax.cli.flags import FLAGS
from imbalance_jax.cli.outside import Outside
from imbalance_jax.system import command_line, output
from imbalance_jax.system.command_line import Verb

__all__ = ['FLAGS', 'VERBS', 'Outside', 'main', 'run']

EXIT = (
    'exit status: 0 done, 1 failed, 2 wrong input, 75 stopped by a signal with all saved: give the same command again'
)
GROUPS = {'one population': 'data prepare', 'a sweep: many populations, from a config with get_hyper(hyper)': 'plan'}
FOLDER, OF_RUN, OF_SWEEP = ('folder', 'FOLDER'), ('workdir', 'WORKDIR'), ('plan', 'PLAN')
CONFIG, WORKDIR, PLAN = ('config', 'traceback'), ('workdir', 'traceback'), ('plan', 'job', 'shard', 'traceback')
VERBS = {
    'data prepare': Verb(
        data.prepare, 'make the data set of the config ready and keep it under config.data.folder', ('again', *CONFIG)
    ),
    'data inspect': Verb(
        data.inspect, 'the same, then say what is in it: splits, counts, boxes, what was left out', CONFIG, answers=True
    ),
    'data guess': Verb(
        data.guess,
        'propose a config for a folder of images and tables',
        ('folder', 'out', 'again', 'traceback'),
        FOLDER,
        answers=True,
    ),
    'train': Verb(
        population.train, 'train the population of the config', ('workdir', 'profile', 'grace', *CONFIG), OF_RUN
    ),
    'adopt': Verb(
        population.adopt,
        'make a finished WORKDIR of networks that were trained elsewhere, for explain and report',
        ('workdir', 'member', 'members', 'predictions', 'features', 'values', 'paired', *CONFIG),
        OF_RUN,
    ),
    'explain': Verb(
        population.explain,
        'attribution, alignment and concepts of what was trained',
        ('weights', 'on', 'stages', 'grace', *WORKDIR),
        OF_RUN,
    ),
    'roar': Verb(
        population.roar,
        'train the reference arm anew without the pixels that each method calls important',
        WORKDIR,
        OF_RUN,
    ),
    'report': Verb(population.report, 'write WORKDIR/report.html', WORKDIR, OF_RUN),
    'accept': Verb(
        population.accept,
        'take files of WORKDIR that were changed by hand or are damaged as they are, and say so in its provenance',
        WORKDIR,
        OF_RUN,
    ),
    'export': Verb(
        population.export,
        'write each member and arm for others to use: safetensors, jax.export, and a card',
        ('out', 'only', 'method', 'again', *WORKDIR),
        OF_RUN,
    ),
    'plan': Verb(
        sweep.plan,
        'write a plan, one line per population, and say what is new in it; or say what memory stages need',
        ('out', 'pilot', 'memory', *CONFIG),
        answers=True,
    ),
    'work': Verb(sweep.work, 'train, explain and report the populations that are not done', ('grace', *PLAN), OF_SWEEP),
    'status': Verb(
        sweep.status,
        'how the populations stand; status 0 all done, 1 one failed, 75 else',
        ('watch', *PLAN),
        OF_SWEEP,
        answers=True,
    ),
    'collect': Verb(
        sweep.collect, 'the tables of all populations as one, and a report over them', ('mixed', *PLAN), OF_SWEEP
    ),
}


def main(outside: Outside) -> None:
    """Runs the verb of the command line and leaves with its exit status."""
    arguments = sys.argv[1:]
    output.never_fails()
    if any(kind == 'error' for kind, *_ in warnings.filters):
        warnings.simplefilter('default')  # PYTHONWARNINGS=error: what a package warns of ends nothing
    try:
        _check_folder()
        sys.exit(run(arguments, outside))
    except SystemExit as error:
        if reason := _left_by_plugin(error):
            print(f'error: {reason}', file=sys.stderr)
            sys.exit(2)
        raise
    except KeyboardInterrupt:
        sys.exit(130)
    except (ValueError, OSError, FloatingPointError) as error:
        _tell_others()
        if '--traceback' in arguments:
            traceback.print_exc()
        in_plugin = _left_by_plugin(error) if isinstance(error, OSError) else ''
        print(f'error: {in_plugin or error}', file=sys.stderr)
        sys.exit(2 if isinstance(error, (ValueError, FileNotFoundError)) else 1)
    except Exception as error:
        from imbalance_jax.system import environment, provenance

        _tell_others()
        reason = environment.explained(error) or provenance.of_plugin(error)
        if '--traceback' in arguments or not reason:
            raise
        print(f'error: {reason}', file=sys.stderr)
        sys.exit(1 if environment.lacks_space(error) else 2)


def _left_by_plugin(error: BaseException) -> str:
    """What to say of a plugin that leaves, which would end everything as if it were done or stopped, or that finds no
    file; '' where it was this package that did."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = str(Path(__file__).parents[1])
    if 'imbalance_jax.system.provenance' not in sys.modules or not frames or frames[-1].filename.startswith(ours):
        return ''
    from imbalance_jax.system import provenance

    return provenance.of_plugin(error)


def _check_folder() -> None:
    """FileNotFoundError, in words, if the current folder was removed."""
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise FileNotFoundError('The current folder was removed: change to one that is there.') from error


def _tell_others() -> None:
    """Processes that work with this one must not wait for it."""
    from imbalance_jax.system import peers

    peers.leave(peers.FAILED)


def run(arguments: list[str], outside: Outside) -> int | None:
    """Does what a command line asks for and returns its exit status; ValueError for one that makes no sense."""
    if not arguments or arguments[0] in ('-h', '--help', 'help'):
        print(f'{command_line.usage(VERBS, GROUPS)}\n\n{EXIT}')
        output.check_written()
        return 0 if arguments else 2
    if arguments[0] == '--version':
        print(f'imbalance-jax {importlib.metadata.version("imbalance-jax")}')
        output.check_written()
        return 0
    name, rest = command_line.split_verb(arguments, VERBS)
    verb = VERBS[name]
    status = verb.run(command_line.parse(name, rest, verb, flags=FLAGS, note=EXIT), outside)
    if verb.answers:
        output.check_written()
    return status

"""The console script: its verbs and what each needs. No logic."""

import importlib.metadata
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from imbalance_jax.cli import loading
from imbalance_jax.system import command_line, output
from imbalance_jax.system.command_line import Command, Verb

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from imbalance_jax.sweep.plan import Job


class Outside(NamedTuple):
    """What verbs need of the folders beside the package, which the package does not import.

    base: every field of a config with its default; report: a working directory's page; sweep_report: that of finished
    populations; program: the command line of this console script.
    """

    base: Callable[[], 'ConfigDict']
    report: Callable[[Path], Path]
    sweep_report: Callable[[list['Job']], Path]
    program: list[str]


FLAGS: dict[str, dict[str, Any]] = {
    'config': {'metavar': 'FILE', 'help': 'a config file, such as configs/quickstart.py, or FILE:ARGUMENT'},
    'workdir': {'metavar': 'FOLDER', 'help': 'where train, explain and report keep everything'},
    'weights': {'metavar': 'NAME', 'help': 'of the weights kept in WORKDIR/weights, such as matched; else the best'},
    'on': {'metavar': 'NAME', 'help': 'one data set of config.data.test_on only; else the training set, then each'},
    'stages': {'metavar': 'NAME,...', 'help': 'these stages only, such as alignment,design'},
    'again': {'action': 'store_true', 'help': 'make it anew, also if it is there'},
    'profile': {'action': 'store_true', 'help': 'trace a few steps into WORKDIR/profile, and print the costliest'},
    'out': {
        'metavar': 'FILE',
        'help': 'what to write: a config.py; a plan.jsonl, whose populations live beside it in the folder plan; or,'
        ' of export, a folder',
    },
    'member': {
        'metavar': 'FIELD=VALUE,...',
        'action': 'append',
        'help': 'a network that was trained elsewhere, arm=focal,seed=0,weights=a.pth; also link, preprocessing, '
        'classes=A|B, loss and its options; once per network',
    },
    'members': {'metavar': 'FILE.csv', 'help': 'the same as a table, a column per field and a line per network'},
    'predictions': {
        'metavar': 'FILE',
        'help': 'a table (.csv, .parquet, .npz) of what such networks said, in place of them: image, arm, seed, and a'
        ' column for each class',
    },
    'features': {
        'metavar': 'FILE',
        'help': 'their features of the test images (.npz, .parquet), in place of them or beside --predictions: image,'
        ' arm, seed, and features [n,U] or [n,h,w,U]',
    },
    'values': {'metavar': 'KIND', 'default': '', 'help': 'what these numbers are: probabilities (default) or logits'},
    'paired': {
        'action': 'store_true',
        'help': 'networks of different arms with one seed began with the same weights and met the same images',
    },
    'folder': {'metavar': 'FOLDER', 'help': 'images and tables of your own'},
    'only': {'metavar': 'ARM[/SEED]', 'default': '', 'help': 'this arm or this member only; else all'},
    'method': {'metavar': 'NAME', 'default': '', 'help': 'the attribution method of exported maps (grad_cam)'},
    'pilot': {
        'metavar': 'DIR',
        'help': 'a finished population, by whose variances plan says what can be shown; default: those of the phantom',
    },
    'memory': {
        'metavar': 'SIZE',
        'help': 'of a device, 80GiB, or of several, 8x80GiB: plan says what each stage would need, and runs nothing',
    },
    'plan': {'metavar': 'FILE.jsonl', 'help': 'what plan wrote'},
    'job': {'metavar': 'NUMBER|ID', 'help': 'this population only'},
    'shard': {'metavar': 'I/N', 'help': 'every N-th population, from number I (of 0 to N - 1)'},
    'grace': {
        'metavar': 'SECONDS',
        'type': float,
        'default': 8.0,
        'help': 'leave so long after a signal, or when what is being saved is whole (8; 0 for no limit)',
    },
    'watch': {'action': 'store_true', 'help': 'again and again, until no population is at work'},
    'mixed': {'action': 'store_true', 'help': 'also what different versions of the software made'},
    'traceback': {'action': 'store_true', 'help': 'with an error, show where it happened'},
}
EXIT = (
    'exit status: 0 done, 1 failed, 2 wrong input, 75 stopped by a signal with all saved: give the same command again'
)
GROUPS = {'one population': 'data prepare', 'a sweep: many populations, from a config with get_hyper(hyper)': 'plan'}


for _flag in FLAGS.values():
    if str(_flag.get('metavar', '')).startswith(('FILE', 'FOLDER', 'DIR')):
        _flag['type'] = command_line.path


def main(outside: Outside) -> None:
    """Runs the verb of the command line and leaves with its exit status."""
    arguments = sys.argv[1:]
    output.never_fails()
    try:
        sys.exit(run(arguments, outside))
    except KeyboardInterrupt:
        sys.exit(130)
    except (ValueError, OSError, FloatingPointError) as error:
        _tell_others()
        if '--traceback' in arguments:
            traceback.print_exc()
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2 if isinstance(error, (ValueError, FileNotFoundError)) else 1)
    except (RuntimeError, AssertionError, MemoryError) as error:
        from imbalance_jax.system import environment

        _tell_others()
        if '--traceback' in arguments or not (reason := environment.explained(error)):
            raise
        print(f'error: {reason}', file=sys.stderr)
        sys.exit(2)


def _tell_others() -> None:
    """Processes that work with this one must not wait for it."""
    from imbalance_jax.system import peers

    peers.leave(peers.FAILED)


def run(arguments: list[str], outside: Outside) -> int | None:
    """Does what a command line asks for and returns its exit status; ValueError for one that makes no sense."""
    if not arguments or arguments[0] in ('-h', '--help', 'help'):
        print(f'{command_line.usage(VERBS, GROUPS)}\n\n{EXIT}')
        return 0 if arguments else 2
    if arguments[0] == '--version':
        print(f'imbalance-jax {importlib.metadata.version("imbalance-jax")}')
        return 0
    name, rest = command_line.split_verb(arguments, VERBS)
    verb = VERBS[name]
    return verb.run(command_line.parse(name, rest, verb, flags=FLAGS, note=EXIT), outside)


def _workdir(command: Command) -> Path:
    if not command.flags.workdir:
        raise ValueError('--workdir is missing; give a folder, such as --workdir=runs/quickstart.')
    workdir = Path(command.flags.workdir)
    for path in (workdir, *workdir.parents):
        if path.exists() and not path.is_dir():
            raise ValueError(f'--workdir={workdir}: {path} is a file, not a folder.')
    return workdir


def _trained(command: Command) -> Path:
    """The working directory, the plugins of its config loaded."""
    from imbalance_jax.system import records

    workdir = _workdir(command)
    if (workdir / 'config.json').exists():
        loading.read(records.config(workdir))
    return workdir


def _prepare(command: Command, outside: Outside) -> None:
    config = loading.load(command.flags.config, command.overrides, outside.base).config
    from imbalance_jax.training import network, other_sets

    other_sets.check(config)
    dataset = network.load_dataset(config, again=command.flags.again)
    other_sets.load_all(config, dataset)


def _inspect(command: Command, outside: Outside) -> None:
    config = loading.load(command.flags.config, command.overrides, outside.base).config
    from imbalance_jax.results import inspection
    from imbalance_jax.training import network, other_sets

    other_sets.check(config)
    dataset = network.load_dataset(config)
    print(inspection.describe(dataset, config.data.policies.to_dict()))
    _tell_mistakes(config)
    other_sets.warn_of_likeness(dataset)
    other_sets.load_all(config, dataset)


def _tell_mistakes(config: Any) -> None:
    """Says what published loaders make of the same files by mistake, where that is known."""
    from imbalance_jax.data.sources import mistakes

    block = config.data.to_dict().get(config.data.name, {})
    folder = block.get('manual_dir') if isinstance(block, dict) else None
    for line in mistakes.lines(mistakes.of(block.get('reader', config.data.name), folder)) if folder else ():
        print(f'a known mistake: {line}')


def _guess(command: Command, _: Outside) -> None:
    if not command.flags.folder:
        raise ValueError('A folder is missing: imbalance-jax data guess FOLDER.')
    from imbalance_jax.data import sources
    from imbalance_jax.data.reader import guess
    from imbalance_jax.system.files import write_text

    folder = Path(command.flags.folder)
    found = guess.guess(folder, sources.DATASETS)
    text = guess.text(found, folder)
    if not command.flags.out:
        print(text, end='')
        return
    if Path(command.flags.out).exists() and not command.flags.again:
        raise ValueError(f'--out={command.flags.out} is there already: name another file, or say --again.')
    write_text(Path(command.flags.out), text)
    print('\n'.join([found.examined, *guess.remarks(found)]))


def _train(command: Command, outside: Outside) -> None:
    config, workdir = loading.load(command.flags.config, command.overrides, outside.base).config, _workdir(command)
    from imbalance_jax.explain.run import STAGES
    from imbalance_jax.system import signals
    from imbalance_jax.training import run

    signals.leave_when_asked(command.flags.grace)
    run.run(config, workdir, command.flags.profile, stages=STAGES, base=outside.base().to_dict())


def _explain(command: Command, outside: Outside) -> None:
    workdir = _trained(command)
    from imbalance_jax.explain import run
    from imbalance_jax.system import layout, signals

    if command.flags.weights:
        workdir = layout.kept_weights(workdir, command.flags.weights)
    if command.flags.on:
        workdir = layout.tested_on(workdir, command.flags.on)
    signals.leave_when_asked(command.flags.grace)
    run.run_everywhere(workdir, stages=run.chosen(command.flags.stages), base=outside.base().to_dict())


def _adopt(command: Command, outside: Outside) -> None:
    config, workdir = loading.load(command.flags.config, command.overrides, outside.base).config, _workdir(command)
    from imbalance_jax.explain.run import STAGES
    from imbalance_jax.training import adopt, adopt_members, adopt_recorded

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


def _roar(command: Command, outside: Outside) -> None:
    workdir = _trained(command)
    from imbalance_jax.explain import run

    run.run_roar(workdir, base=outside.base().to_dict())


def _report(command: Command, outside: Outside) -> None:
    print(outside.report(_trained(command)))


def _accept(command: Command, _: Outside) -> None:
    from imbalance_jax.system import provenance

    workdir = _workdir(command)
    changes = provenance.accept(workdir)
    for line in changes:
        print(f'{workdir}: {line}')
    print(
        f'{workdir}: {len(changes)} files taken as they are; its provenance says so.'
        if changes
        else f'{workdir}: all as it was written.'
    )


def _export(command: Command, outside: Outside) -> None:
    workdir = _trained(command)
    if not command.flags.out:
        raise ValueError('--out is missing; give a folder for what is exported, such as --out=exported.')
    from imbalance_jax.training import export

    flags = command.flags
    base = outside.base().to_dict()
    export.run(workdir, Path(flags.out), member=flags.only, method=flags.method, again=flags.again, base=base)


def _plan(command: Command, outside: Outside) -> None:
    from imbalance_jax.sweep import cli

    loaded = loading.load(command.flags.config, command.overrides, outside.base)
    from imbalance_jax.explain.run import STAGES
    from imbalance_jax.training.preview import Checker

    check_alone = Checker(STAGES)
    if command.flags.memory:
        from imbalance_jax.training import planned, run

        run.set_up_jax(loaded.config, join=False)
        check_alone(loaded.config)
        print(planned.describe(loaded.config, STAGES, command.flags.memory))
        if not command.flags.out:
            return

    def check(plain: dict[str, Any]) -> None:
        config = loading.read(plain)
        loading.check(config, outside.base())
        check_alone(config)

    out, pilot = command.flags.out, command.flags.pilot
    cli.write_plan(loaded.config, loaded.get_hyper, out, check=check, options=loading.options, pilot=pilot)


def _work(command: Command, outside: Outside) -> int:
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


def _status(command: Command, _: Outside) -> int:
    from imbalance_jax.sweep import cli

    return cli.status(command.flags)


def _collect(command: Command, outside: Outside) -> int:
    from imbalance_jax.sweep import cli

    return cli.collect_tables(command.flags, outside.sweep_report)


FOLDER, OF_RUN, OF_SWEEP = ('folder', 'FOLDER'), ('workdir', 'WORKDIR'), ('plan', 'PLAN')
CONFIG, WORKDIR, PLAN = ('config', 'traceback'), ('workdir', 'traceback'), ('plan', 'job', 'shard', 'traceback')
VERBS = {
    'data prepare': Verb(
        _prepare, 'make the data set of the config ready and keep it under config.data.folder', ('again', *CONFIG)
    ),
    'data inspect': Verb(
        _inspect, 'the same, then say what is in it: splits, counts, boxes, what was left out', CONFIG
    ),
    'data guess': Verb(
        _guess, 'propose a config for a folder of images and tables', ('folder', 'out', 'again', 'traceback'), FOLDER
    ),
    'train': Verb(_train, 'train the population of the config', ('workdir', 'profile', 'grace', *CONFIG), OF_RUN),
    'adopt': Verb(
        _adopt,
        'make a finished WORKDIR of networks that were trained elsewhere, for explain and report',
        ('workdir', 'member', 'members', 'predictions', 'features', 'values', 'paired', *CONFIG),
        OF_RUN,
    ),
    'explain': Verb(
        _explain,
        'attribution, alignment and concepts of what was trained',
        ('weights', 'on', 'stages', 'grace', *WORKDIR),
        OF_RUN,
    ),
    'roar': Verb(
        _roar,
        'train the reference arm anew without the pixels that each method calls important',
        WORKDIR,
        OF_RUN,
    ),
    'report': Verb(_report, 'write WORKDIR/report.html', WORKDIR, OF_RUN),
    'accept': Verb(
        _accept,
        'take files of WORKDIR that were changed by hand or are damaged as they are, and say so in its provenance',
        WORKDIR,
        OF_RUN,
    ),
    'export': Verb(
        _export,
        'write each member and arm for others to use: safetensors, jax.export, and a card',
        ('out', 'only', 'method', 'again', *WORKDIR),
        OF_RUN,
    ),
    'plan': Verb(
        _plan,
        'write a plan, one line per population, and say what is new in it; or say what memory stages need',
        ('out', 'pilot', 'memory', *CONFIG),
    ),
    'work': Verb(_work, 'train, explain and report the populations that are not done', ('grace', *PLAN), OF_SWEEP),
    'status': Verb(
        _status, 'how the populations stand; status 0 all done, 1 one failed, 75 else', ('watch', *PLAN), OF_SWEEP
    ),
    'collect': Verb(
        _collect, 'the tables of all populations as one, and a report over them', ('mixed', *PLAN), OF_SWEEP
    ),
}

"""What a working directory vouches for: the checksum of every file that a later step trusts, in manifest.json.

A file is noted just before it is renamed into place, beside what it replaces. So a process may be killed between any
two writes: what lies there is the old file or the new one, and both are known until `settle` says which it was.

Folders of `weights/` and `on/` are working directories of their own. Checkpoints have checksums of every array
(`training/checkpoint`), and what `report` and `profile` leave is read by nobody.
"""

import functools
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

from imbalance_jax.system import files, layout, seals
from imbalance_jax.system.checksums import Mark, hasher, is_old, mark, state_of

SUFFIXES = ('.npz', '.parquet', '.csv')  # in folders
GROWING = '.jsonl'  # lines are added to it: what is known is how it begins
WATCHED = 'manifest'  # in a stage's provenance: whether its files are vouched for
FOREIGN = 'was not written here by any stage'


Marks = dict[str, list[Mark]]  # name below the working directory -> what the file may be, the newest first


def expect(path: Path, made: Path) -> None:
    """Notes that the file `made` is about to become `path`, if that is a file which a working directory vouches for."""
    if _is_vouched_for(path):
        _note(path, mark(made))


def expect_more(path: Path, text: str) -> None:
    """Notes that `text` is about to be added to the end of `path`."""
    if _is_vouched_for(path):
        digest, size = hasher(path)
        digest.update(text.encode())
        _note(path, Mark(digest.hexdigest(), size + len(text.encode())))


def forget(path: Path) -> None:
    """Notes that `path` is about to be removed, and is not missed then."""
    if _is_vouched_for(path):
        workdir = layout.home(path)
        marks = _begun(workdir)
        if marks.pop(_name(workdir, path), None):
            _write(workdir, marks)


def settle(workdir: Path) -> None:
    """Of files that may be one of two, says which they are; for the end of a stage, and for no other process."""
    for place in (Path(workdir), *layout.inside(workdir)):
        marks = read(place)
        if marks is not None:
            _write(place, {name: _settled(place / name, known) for name, known in marks.items()})


def was(path: Path, content: bytes) -> bool:
    """Whether a file that is lost had this content, as far as anybody knows."""
    known = (read(layout.home(path)) or {}).get(_name(layout.home(path), path), [])
    return not known or Mark(hashlib.sha256(content).hexdigest(), len(content)) in known


def worded(command: str | Callable[[], str]) -> str:
    """What to do about a file, in words, which may be found out only when they are needed."""
    return command if isinstance(command, str) else command()


def check(path: Path, command: str | Callable[[], str]) -> None:
    """Raises ValueError unless `path`, if it is there, is what was written there.

    command: what to do about a file that is not, for the message. Files outside of working directories, and those of
    directories from before there were manifests, are taken as they are; of those that had one, that it is lost is said.
    """
    workdir, path = layout.home(path), Path(path)
    if not path.exists() or not _is_vouched_for(path):
        return
    if not (workdir / layout.MANIFEST).exists():
        _refuse_lost(workdir)
        _say_unknown(workdir)
        return
    if not (fault := _fault(workdir, path)):
        return
    _read.cache_clear()  # another process may have written both since
    if fault := _fault(workdir, path):
        raise ValueError(f'{path} {fault}; {worded(command)}{_or_accept(workdir)}.')


def faults(workdir: Path, *, thorough: bool = True) -> list[str]:
    """What is missing or changed of all that a working directory vouches for, 'results/data.csv is missing'; nothing
    where there is no manifest. Without `thorough`, files of the right size that are no younger than it are not read."""
    workdir, marks, found = Path(workdir), read(workdir) or {}, []
    for name, known in marks.items():
        path = workdir / name
        if not path.exists():
            found.append(f'{name} is missing')
        elif (thorough or not _looks_untouched(path, known)) and (fault := _fault(workdir, path)):
            found.append(f'{name} {fault}')
    return found


def lost(workdir: Path) -> list[str]:
    """The files that a working directory vouches for and that are not there, but for copies of tables as text."""
    paths = [Path(workdir) / name for name in read(workdir) or {}]
    copies = [path for path in paths if path.suffix == '.csv' and path.with_suffix('.parquet').exists()]
    return [path.relative_to(workdir).as_posix() for path in paths if not path.exists() and path not in copies]


def changed_copies(workdir: Path) -> list[Path]:
    """Copies of tables as text, results/*.csv, that are not what was written there."""
    marks = {Path(workdir) / name: known for name, known in (read(workdir) or {}).items() if name.endswith('.csv')}
    there = {path: known for path, known in marks.items() if path.parent.name == layout.RESULTS and path.exists()}
    return [path for path, known in there.items() if not _looks_untouched(path, known) and _fault(workdir, path)]


def differences(workdir: Path) -> list[str]:
    """`faults`, and what nobody knows of: 'results/mine.csv was not written here by any stage'; all files of a
    directory without a manifest are such."""
    known = read(workdir) or {}
    return [*faults(workdir), *(f'{name} {FOREIGN}' for name in sorted(_names(Path(workdir)) - set(known)))]


def accept(workdir: Path, names: list[str] | None = None) -> None:
    """Takes the files of a working directory as they are, all or those of these names."""
    workdir = Path(workdir)
    try:
        marks = read(workdir) or {}
    except ValueError:
        marks, names = {}, None
    there = _names(workdir)
    for name in there | set(marks) if names is None else names:
        marks.pop(name, None)
        if name in there:
            marks[name] = [mark(workdir / name)]
    _write(workdir, marks)


def read(workdir: Path) -> Marks | None:
    """What a working directory vouches for, None if it has no manifest; ValueError for a damaged one."""
    path = Path(workdir) / layout.MANIFEST
    try:
        state = state_of(path)
        marks = _read(path, state) if is_old(state) else _read.__wrapped__(path, state)
        return {name: list(known) for name, known in marks.items()}
    except FileNotFoundError:
        return None


def _note(path: Path, new: Mark) -> None:
    workdir = layout.home(path)
    marks = _begun(workdir)
    name = _name(workdir, path)
    before = [old for old in _settled(path, marks.get(name, [])) if old != new]
    _write(workdir, {**marks, name: [new, *before]})


def _begun(workdir: Path) -> Marks:
    """What a working directory vouches for; of one of before there were manifests, all that lies there, as it is."""
    if (marks := read(workdir)) is not None:
        return marks
    _refuse_lost(workdir)
    there = sorted(_names(workdir))
    if (workdir / layout.CONFIG).exists() and there:
        print(
            f'{workdir} has no {layout.MANIFEST}: its files are taken as they are, and watched from now on.', flush=True
        )
    return {name: [mark(workdir / name)] for name in there}


def _settled(path: Path, known: list[Mark]) -> list[Mark]:
    """Of what a file may be, what it is; all if it is none of them."""
    if len(known) < 2:
        return known
    return [one for one in known if path.exists() and _is(path, one, known)][:1] or known


def _fault(workdir: Path, path: Path) -> str:
    """In what a file is not what was written, '' if it is."""
    known = (read(workdir) or {}).get(_name(workdir, path))
    if known is None:
        return FOREIGN
    if any(_is(path, one, known) for one in known):
        return ''
    return 'is not what was written there: it was changed by hand, or is damaged'


def _is(path: Path, one: Mark, known: list[Mark]) -> bool:
    size = path.stat().st_size
    if path.suffix == GROWING:  # what a killed process had begun to add may stand at its end
        return one.size <= size <= max(other.size for other in known) and mark(path, one.size) == one
    return size == one.size and mark(path) == one


def _looks_untouched(path: Path, known: list[Mark]) -> bool:
    status, written = path.stat(), (layout.home(path) / layout.MANIFEST).stat().st_ctime_ns
    return len(known) == 1 and status.st_size == known[0].size and status.st_ctime_ns <= written


def _is_vouched_for(path: Path) -> bool:
    workdir, path = layout.home(path), Path(path)
    if path.name not in layout.FILES and (path.parent == workdir or path.suffix not in SUFFIXES):
        return False
    return path.name == layout.CONFIG or any((workdir / name).exists() for name in (layout.CONFIG, layout.MANIFEST))


def _names(workdir: Path) -> set[str]:
    """The files in a working directory that it would vouch for."""
    folders = [workdir / part for part in layout.PARTS]
    found = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
    kept = {
        _name(workdir, path) for path in found if path.suffix in SUFFIXES and path.name[0] != '.' and path.is_file()
    }
    return kept | {name for name in layout.FILES if (workdir / name).is_file()}


def _name(workdir: Path, path: Path) -> str:
    return Path(path).relative_to(workdir).as_posix()


def _write(workdir: Path, marks: Marks) -> None:
    value = seals.seal({'files': {name: [list(one) for one in marks[name]] for name in sorted(marks)}})
    files.write_json(workdir / layout.MANIFEST, value)


@functools.lru_cache(maxsize=64)
def _read(path: Path, state: tuple[int, ...]) -> Marks:
    try:
        value = json.loads(files.regular(path).read_text(encoding='utf-8'))
        fault = seals.fault_of(value) if seals.SEAL in value else f'it has no {seals.SEAL}'
        marks = {name: [Mark(*one) for one in known] for name, known in value['files'].items()}
    except (ValueError, RecursionError) as error:
        fault = str(error)
    except (TypeError, LookupError, AttributeError):
        fault = 'it is JSON, and not of the form that was written there'
    if fault:
        raise ValueError(f'{path} is damaged: {fault}; bring it back from a copy{_or_accept(path.parent)}.')
    return marks


def _or_accept(workdir: Path) -> str:
    return f', or take all files there as they are: imbalance-jax accept {workdir}'


def _refuse_lost(workdir: Path) -> None:
    """ValueError for a working directory without the manifest that its provenance says it had."""
    try:
        stages = json.loads(files.regular(workdir / layout.PROVENANCE).read_text(encoding='utf-8'))
        watched = [name for name, record in stages.items() if isinstance(record, dict) and record.get(WATCHED)]
    except (OSError, ValueError, AttributeError, RecursionError):
        return
    if watched:
        raise ValueError(
            f'{workdir / layout.MANIFEST} is missing, which was there when `{watched[-1]}` ran: nothing says whether '
            f'the files there are what was written; bring it back from a copy{_or_accept(workdir)}.'
        )


@functools.cache
def _say_unknown(workdir: Path) -> None:
    print(f'{workdir} has no {layout.MANIFEST}: its files are taken as they are.', file=sys.stderr, flush=True)

"""What of a working directory is not as it was written, and so are the figures of a page made of it."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from imbalance_jax.analysis.report.study import EXPLAIN, TRAIN
from imbalance_jax.names import some
from imbalance_jax.system import layout, manifest, records

SHOWN = 5  # files that are named, of many


def lost(folder: Path) -> list[str]:
    """Sentences about files that are lost, with what makes them again, and copies of tables that were changed."""
    said = []
    if gone := manifest.lost(folder):
        what = 'Files that were written there are missing, and what they show is not in the report'
        said.append(f'{folder}: {what}: {some(gone, SHOWN)}. {remedy(folder, gone)}.')
    if changed := [f'results/{one.name}' for one in manifest.changed_copies(folder)]:
        what = 'Copies of tables as text were changed by hand, and the report is of the tables as they were written'
        said.append(f'{folder}: {what}: {some(changed, SHOWN)}.')
    return said


def said_of(folders: Iterable[Path]) -> list[str]:
    """`lost`, and files that were accepted as they are, of working directories and their kept weights."""
    said = []
    for folder in folders:
        for one in (folder, *sorted((folder / layout.WEIGHTS).glob('*/'))):
            said += lost(one)
            if accepted := records.accepted(one):
                what = 'Files that are not as they were written, and were accepted'
                said.append(f'{one}: {what}: {some(accepted, SHOWN)}.')
    return said


def told_of(folders: Iterable[Path]) -> list[str]:
    """`said_of`, also on the terminal."""
    said = said_of(folders)
    for sentence in said:
        print(sentence, file=sys.stderr)
    return said


def remedy(folder: Path, gone: Sequence[str]) -> str:
    """What makes lost files of a working directory again."""
    of_training = [name for name in gone if name in layout.FILES]
    of_explain = len(of_training) < len(gone)
    if of_training and folder.parent.name == layout.WEIGHTS:
        return f'For {some(of_training, SHOWN)}: {records.ELSEWHERE}'
    if of_training and records.is_adopted(folder):
        return f'For {some(of_training, SHOWN)}: {records.again(folder)}'
    verbs = [TRAIN.format(layout.maker(folder))] * bool(of_training) + [EXPLAIN.format(folder)] * of_explain
    return f'{" and then ".join(verbs)} {"make" if len(verbs) > 1 else "makes"} them again'

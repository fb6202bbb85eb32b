"""A folder of one's own: images of any kind and tables about them, read as the config declares."""

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.data import reader
from imbalance_jax.data.dataset import ABSENT, NOT_MENTIONED, PRESENT, Dataset
from imbalance_jax.data.reader import declare
from imbalance_jax.data.reader.layout import Layout


def make(
    *,
    path: Path,
    image_size: int,
    set_name: str = 'folder',
    allocate: Callable[[str, tuple[int, ...], Any], np.ndarray] | None = None,
    progress: Callable[[int, int], Any] | None = None,
    tables: Any = None,
    images: Any = None,
    labels: Any = None,
    patient: Any = None,
    split: Any = None,
    regions: Any = None,
    groups: Any = None,
    policy: Any = None,
    task: str = 'multi_label',
    ordinal: bool | None = None,
    family: str = '',
    modality: str = 'radiograph',
    anatomy: tuple[str, ...] = (),
    source: str = '',
    licence: str = '',
) -> Dataset:
    """The data set of a folder, declared by blocks of `reader.layout.Layout`; set_name: the NAME of config.data.NAME.

    Raises ValueError or FileNotFoundError, of one line, for what is declared and is not there.
    """
    blocks = {'tables': tables, 'images': images, 'labels': labels, 'patient': patient, 'split': split}
    blocks |= {
        'regions': regions,
        'groups': groups,
        'policy': policy,
        'task': task,
        'ordinal': ordinal,
        'family': family,
    }
    declaration = _said({**blocks, 'modality': modality, 'anatomy': anatomy, 'source': source, 'licence': licence})
    layout = _layout(path, set_name, declaration)
    options = {'path': str(path), **plain(declaration)}
    with naming(set_name):
        return _noted(
            reader.read(
                Path(path), layout, image_size=image_size, allocate=allocate, progress=progress, options=options
            )
        )


def _noted(dataset: Dataset) -> Dataset:
    """The data set, with a note of how many cells say nothing of a class and count as a no."""
    if dataset.cells is not None:
        said = (dataset.cells == ABSENT).any(0) | (dataset.cells == PRESENT).any(0)
        silent = (dataset.cells == NOT_MENTIONED).any(0) & ~said & (dataset.label_mask == 1) & (dataset.labels == 0)
        if silent.any():
            how = "policy 'empty_ignored' leaves them out"
            dataset.info['notes'].append(f'{silent.sum()} labels that are empty or not mentioned count as a no; {how}.')
    return dataset


def files(*, path: Path, set_name: str = 'folder', image_size: int = 0, **declaration: Any) -> dict[str, Path]:
    """{name: path} of all files that the data set is made from."""
    layout, root = _layout(path, set_name, _said(declaration)), Path(path)
    with naming(set_name):
        listed = reader.files(root, layout)  # tables may lie elsewhere
        return {str(file.relative_to(root) if file.is_relative_to(root) else file): file for file in listed}


def check(*, path: Path, set_name: str = 'folder', image_size: int = 0, **declaration: Any) -> tuple[str, ...]:
    """The classes, by the tables and the names of files; () if the folder is not here, as on another machine.

    Raises ValueError or FileNotFoundError for what `make` would say of the declaration and the tables.
    """
    layout = declare.layout(_said(declaration), set_name)
    if not Path(path).is_dir():
        _say_absent(f'config.data.{set_name}.path', str(path))
        return ()
    return _classes(str(path), set_name, json.dumps(plain(_said(declaration)))) or layout.labels[0].classes


@functools.cache
def _say_absent(field: str, path: str) -> None:
    """Says, once, that a folder is not here."""
    print(f'{field} is {path!r}, and there is no such folder here: what its tables say is not looked at.', flush=True)


@functools.lru_cache(maxsize=64)  # of the points of a sweep
def _classes(path: str, name: str, declaration: str) -> tuple[str, ...]:
    with naming(name):
        return reader.classes_of(Path(path), declare.layout(json.loads(declaration), name))


def _said(blocks: Mapping[str, Any]) -> dict[str, Any]:
    """The blocks that a config sets."""
    return {name: block for name, block in blocks.items() if block is not None}


class naming:
    """What is wrong with a folder is said of config.data.NAME."""

    def __init__(self, name: str) -> None:
        self.where = f'config.data.{name}: '

    def __enter__(self) -> None:
        """Nothing is needed."""

    def __exit__(self, kind: type | None, error: BaseException | None, _: Any) -> None:
        """Says it, once."""
        if isinstance(error, (ValueError, FileNotFoundError)) and not str(error).startswith('config.data.'):
            raise type(error)(f'{self.where}{error}') from error


def plain(value: Any) -> Any:
    """Blocks as JSON has them."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, (tuple, list)) else value


def _layout(path: Path, name: str, declaration: Mapping[str, Any]) -> Layout:
    if not str(path):
        raise ValueError(f'config.data.{name}.path is empty; it must be the folder where the images are.')
    if not Path(path).is_dir():
        raise FileNotFoundError(f'config.data.{name}.path is {str(path)!r}, and there is no such folder.')
    return declare.layout(declaration, name)

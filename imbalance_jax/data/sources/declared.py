"""Sources by declaration: a function `layout(*, manual_dir, option=default) -> Layout` says how a set lies there."""

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imbalance_jax.data import reader
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.reader.layout import Layout
from imbalance_jax.names import lookup
from imbalance_jax.system.files import at_home

RESIZES = ('stretch', 'pad', 'crop')


def maker(layout: Callable[..., Layout]) -> Callable[..., Dataset]:
    """`make` of a declared set; its options are those of `layout`, and `resize`.

    `resize` of images that are not square: 'stretch', 'pad' with black, or 'crop' in the middle.
    """

    def make(
        *,
        manual_dir: Path,
        image_size: int = 224,
        resize: str = 'stretch',
        progress: Callable[[int, int], Any] | None = None,
        allocate: Callable[..., Any] | None = None,
        set_name: str = '',
        **options: Any,
    ) -> Dataset:
        declared = _fitted(layout(manual_dir=_folder(manual_dir), **options), resize, set_name)
        said = {'image_size': image_size, 'resize': resize, **options}
        return reader.read(
            Path(manual_dir), declared, image_size=image_size, progress=progress, allocate=allocate, options=said
        )

    make.__doc__, make.__module__ = layout.__doc__, layout.__module__
    own = inspect.signature(make).parameters
    options = [one for name, one in inspect.signature(layout).parameters.items() if name != 'manual_dir']
    common = [one for one in own.values() if one.kind is not one.VAR_KEYWORD]
    make.__signature__ = inspect.Signature([*common, *options])  # type: ignore[attr-defined]
    return make


def files(layout: Callable[..., Layout]) -> Callable[..., dict[str, Path]]:
    """`files` of a declared set: its tables, images and masks, by their path below the folder."""

    def of_options(
        *, manual_dir: Path, image_size: int = 224, resize: str = 'stretch', set_name: str = '', **options: Any
    ) -> dict[str, Path]:
        folder = _folder(manual_dir)
        listed = reader.files(folder, layout(manual_dir=folder, **options))
        return {str(path.relative_to(folder)) if path.is_relative_to(folder) else path.name: path for path in listed}

    return of_options


def labels_only(layout: Callable[..., Layout], manual_dir: Path, **options: Any) -> tuple[Any, Any]:
    """Cases and what was left out, from the tables alone: whether or not the images are there."""
    return reader.read_tables(Path(manual_dir), layout(manual_dir=Path(manual_dir), **options))


def first_there(folder: Path, *patterns: str) -> str:
    """The first of these patterns that a file in the folder has, also gzipped; '' if none has."""
    for pattern in patterns:
        base, name = (Path(pattern).parent, Path(pattern).name) if Path(pattern).is_absolute() else (folder, pattern)
        if any(True for suffix in ('', '.gz') for _ in Path(base).glob(name + suffix)):
            return pattern
    return ''


def chosen(classes: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """The classes that a config asks for, all if it asks for none; ValueError for one that the set has not."""
    table = dict(zip(known, known, strict=True))
    return tuple(lookup(table, name, 'class (classes)') for name in classes) or known


def _fitted(layout: Layout, resize: str, set_name: str) -> Layout:
    """The layout under the name of a config's block; images that no row names, of other views say, are counted."""
    lookup(dict.fromkeys(RESIZES), resize, 'way to resize')
    images = dataclasses.replace(layout.images, resize=resize, others='counted')
    return dataclasses.replace(layout, images=images, name=set_name or layout.name)


def _folder(manual_dir: Path) -> Path:
    if not str(manual_dir) or not at_home(manual_dir).is_dir():
        raise FileNotFoundError(
            f'manual_dir is {str(manual_dir)!r}; expected the folder of the data set as downloaded.'
        )
    return at_home(manual_dir)

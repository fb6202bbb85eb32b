"""A folder of one's own: images of any kind and tables about them, read as the config declares."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.data import reader
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.reader import declare
from imbalance_jax.data.reader.layout import Layout


def make(
    *,
    path: Path,
    image_size: int,
    set_name: str = 'folder',
    allocate: Callable[[str, tuple[int, ...], Any], np.ndarray] | None = None,
    progress: Callable[[int, int], Any] | None = None,
    **declaration: Any,
) -> Dataset:
    """The data set of a folder. declaration: blocks of `reader.layout.Layout`; set_name: the NAME of config.data.NAME.

    Raises ValueError or FileNotFoundError, of one line, for what is declared and is not there.
    """
    layout = _layout(path, set_name, declaration)
    options = {'path': str(path), **plain(declaration)}
    with naming(set_name):
        return reader.read(
            Path(path), layout, image_size=image_size, allocate=allocate, progress=progress, options=options
        )


def files(*, path: Path, set_name: str = 'folder', image_size: int = 0, **declaration: Any) -> dict[str, Path]:
    """{name: path} of all files that the data set is made from."""
    layout, root = _layout(path, set_name, declaration), Path(path)
    with naming(set_name):
        return {str(file.relative_to(root)): file for file in reader.files(root, layout)}


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
    if not str(path) or str(path) == '.':
        raise ValueError(f'config.data.{name}.path is empty; it must be the folder where the images are.')
    if not Path(path).is_dir():
        raise FileNotFoundError(f'config.data.{name}.path is {str(path)!r}, and there is no such folder.')
    return declare.layout(declaration, name)

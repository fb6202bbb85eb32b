"""Whether there is room to prepare a data set: for an image in memory, and a folder to keep it in."""

import math
from pathlib import Path

from imbalance_jax.system import limits

PER_PIXEL = 16  # bytes that one image takes while it becomes a square: of its file, of floating point, of the square


def check_image_size(size: int, where: str) -> None:
    """ValueError for squares of which one per core does not fit the memory. where: config.data.image_size."""
    free, cores = limits.free_memory(), limits.cores()
    largest = math.isqrt(free // (PER_PIXEL * cores))
    if size > largest:
        needed = f'{PER_PIXEL * size**2 * cores / 1e9:,.1f} GB for one image per core ({cores})'
        raise ValueError(f'{where} is {size}: that takes {needed}, and {free / 1e9:,.1f} GB are free; '
                         f'expected {largest} or less.')  # fmt: skip


def check_folder(folder: Path, name: str) -> None:
    """ValueError where a set of that name cannot be kept in `config.data.folder`: something above it is a file."""
    for part in ((own := Path(folder) / name), *own.parents):
        if part.exists():
            if not part.is_dir():
                raise ValueError(
                    f'config.data.folder is {str(folder)!r}, and {part} is a file; a folder, or nothing yet, is wanted.'
                )
            return

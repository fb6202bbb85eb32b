"""Tables that are joined by keys: which images the rows of another table are of."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from imbalance_jax.data.reader.rows import NAMED, STEM, Found, Rows, keys, my_names, their_names
from imbalance_jax.data.reader.tails import Tails
from imbalance_jax.names import some


def of_shared_stems(stems: Sequence[str], names: Sequence[str], joins: Iterable[Sequence[str]]) -> list[str]:
    """A sentence about images whose stems [N] others have in another folder, where a table is joined by stems alone.

    names: [N] of the images; joins: `on` of every table.
    """
    if not any(my_names(on) == [STEM] for on in joins):
        return []
    count = Counter(stem.lower() for stem in stems)
    shared = sorted(name for name, stem in zip(names, stems, strict=True) if count[stem.lower()] > 1)
    what = 'images have the stem of another in another folder, and what is joined by stem is of all of them'
    way = f'a column derived from more of their paths (images.derive) tells them apart: {some(shared, NAMED)}'
    return [f'{len(shared)} of {len(names)} {what}; {way}.'] if shared else []


def images_of(
    rows: Rows, image: np.ndarray, other: Rows, on: Sequence[str], found: Found | None = None
) -> tuple[Rows, np.ndarray]:
    """Rows of another table, once per image that each is of, and which image that is, -1 of none.

    A key may be that of several images, as a study's is. An image's suffix does not matter, nor its folders where names
    tell images apart; ValueError where they do not.
    """
    if not on:
        raise ValueError(
            f"{other.files[0]} has no `on`: give the columns that tell whose its rows are, such as 'image'."
        )
    place: dict[tuple[str, ...], dict[int, None]] = {}
    for key, one in zip(keys(rows, my_names(on)), image, strict=True):
        if one >= 0:
            place.setdefault(key, {})[int(one)] = None
    by_key = Tails((key, tuple(images)) for key, images in place.items())
    index, images = [], []
    for row, key in enumerate(keys(other, their_names(on))):
        meant = by_key.find(key) if any(key) else []
        if len(meant) > 1:
            raise ValueError(
                f'{other.where(row)}: {", ".join(key)!r} ({", ".join(on)}) is as much one as another of {len(meant)} '
                'images; write as many folders as tell them apart.'
            )
        of_row = meant[0] if meant else (-1,)
        index += [row] * len(of_row)
        images += list(of_row)
    if found is not None:
        found.doubts.extend(by_key.doubts(other.files[0] if other.files else 'a table'))
    return other.take(np.array(index, np.int64)), np.array(images, np.int64)

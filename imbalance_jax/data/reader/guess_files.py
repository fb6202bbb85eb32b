"""What the image files of a folder show without a table: masks, colour, classes and splits that folders stand for."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.data.reader import images
from imbalance_jax.data.reader.layout import SPLIT_NAMES
from imbalance_jax.data.reader.spelling import canonical, table_of

LOOKED_AT = 24  # image files that are opened
OF_MASKS = 'mask|masks|seg|segmentation|annotation|gt|label|roi'
MASK = re.compile(f'^(?P<stem>.+?)(?P<suffix>[ _-](?:{OF_MASKS})(?P<number>[_-]?[0-9]*))$', re.I)
MASK_FOLDERS = ('mask', 'masks', 'segmentation', 'segmentations', 'annotations', 'gt', 'groundtruth', 'ground_truth')


def of_folders(pictures: Sequence[str], block: dict[str, Any], unsure: list[str], missing: list[str]) -> None:
    """Splits and classes that folders stand for."""
    split_names = table_of(SPLIT_NAMES)
    folders = [path.split('/')[:-1] for path in pictures]
    if len({split_names.get(canonical(part)) for parts in folders for part in parts} - {None}) > 1:
        block['split'] = {'path': 'folder'}
    else:
        unsure.append('split: nothing says it; images are drawn for validation (15 %) and test (20 %).')
    unsure.append('patient: nothing says whose images these are; every image counts as a patient of its own.')
    parents = sorted({parts[-1] for parts in folders if parts and canonical(parts[-1]) not in split_names})
    if len(parents) < 2:
        missing.append('labels: there is no table that names the images, and no folders that could be classes.')
        return
    block['labels'] = {'path': 'parent', 'classes': tuple(parents), 'none': ()}
    block['task'] = 'multi_class'
    unsure.append(f'labels: the {len(parents)} folders are taken for classes.')


def masks_among(pictures: Sequence[str]) -> tuple[set[str], dict[str, Any]]:
    """Images that are masks of others, by a suffix of their names or by their folder, and how they are found."""
    stems = {path.rpartition('.')[0] for path in pictures}
    by_suffix: dict[str, str] = {}
    for path in pictures:
        head, _, suffix = path.rpartition('.')
        match = MASK.match(head.rsplit('/', 1)[-1])
        if match and head[: len(head) - len(match['suffix'])] in stems:
            shown = match['suffix'][: len(match['suffix']) - len(match['number'])]
            by_suffix[path] = f'{{stem}}{shown}*.{suffix}'
    if by_suffix:
        patterns = sorted(set(by_suffix.values()))
        return set(by_suffix), {'files': patterns[0]}
    inside = {path for path in pictures if path.split('/')[-2:-1] and path.split('/')[-2].lower() in MASK_FOLDERS}
    plain = {path.rsplit('/', 1)[-1].rpartition('.')[0] for path in pictures if path not in inside}
    paired = {path for path in inside if path.rsplit('/', 1)[-1].rpartition('.')[0] in plain}
    if not paired:
        return set(), {}
    example = sorted(paired)[0]
    return inside, {'files': f'{example.rpartition("/")[0]}/{{stem}}.{example.rpartition(".")[2]}'}


def of_images(
    folder: Path, pictures: Sequence[str], masks: Collection[str], block: dict[str, Any], unsure: list[str]
) -> None:
    """What a sample of the files shows: sizes and colour."""
    found: dict[str, Any] = {}
    if masks:
        found['exclude'] = _excluded(masks)
    shapes = []
    for at in np.unique(np.linspace(0, len(pictures) - 1, min(LOOKED_AT, len(pictures))).astype(int)):
        try:
            shapes.append(images.decode(folder / pictures[at]).shape)
        except (images.Unreadable, images.NeedsPackage) as error:
            unsure.append(f'images: {pictures[at]} could not be read ({error}).')
    if any(shape[0] != shape[1] for shape in shapes):
        found['resize'] = 'pad'
        unsure.append("images: not all are square; they are padded with black. 'stretch' and 'crop' are the others.")
    block['images'] = found
    coloured = any(len(shape) == 3 for shape in shapes)
    block['modality'] = 'photograph' if coloured else 'radiograph'
    unsure.append(
        f'modality: {block["modality"]!r}, as the files are {"coloured" if coloured else "grey"}; it decides which '
        "augmentation is allowed ('radiograph', 'photograph', 'ultrasound', 'mri', ...)."
    )


def _excluded(masks: Collection[str]) -> tuple[str, ...]:
    """Patterns of the names of masks."""
    found: dict[str, None] = {}
    for path in masks:
        head, _, suffix = path.rsplit('/', 1)[-1].rpartition('.')
        match = MASK.match(head)
        if match:
            shown = match['suffix'][: len(match['suffix']) - len(match['number'])]
            found[f'*{shown}*.{suffix}'] = None
        else:
            found[f'{path.rpartition("/")[0]}/*'] = None
    return tuple(sorted(found))

"""NIH ChestX-ray14 (Wang et al. 2017): 112,120 chest radiographs, 14 findings, boxes for eight of them."""

import dataclasses
import logging
import shutil
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from imbalance_jax.data.dataset import SPLITS, Allocate, Dataset, in_memory
from imbalance_jax.data.sources import content, nih_files, nih_tables
from imbalance_jax.data.sources import rsna_boxes as rsna_boxes_module
from imbalance_jax.data.sources.nih_images import from_png
from imbalance_jax.data.streams import on_all_cores
from imbalance_jax.names import lookup

log = logging.getLogger(__name__)


def make(
    *,
    manual_dir: Path,
    tfds_dir: Path,
    image_size: int = 224,
    split: str = 'official',
    validation_fraction: float = 0.1,
    rsna_boxes: Path | None = None,
    progress: Callable[[int, int], Any] | None = None,
    allocate: Allocate = in_memory,
    again: bool = False,
) -> Dataset:
    """Makes NIH ChestX-ray14 from NIH's own files in `manual_dir`, by way of a TFDS data set kept in `tfds_dir`.

    `split` is 'official' (labels of the table that lies there; `validation_fraction` of the train_val patients are
    validation), 'by_patient' (all patients with a box are test, as in the official split, and a fifth of the others;
    `validation_fraction` are validation, by a hash of their number: for samples, which the official lists may split
    badly) or 'chexnet' (its own three lists, with the first label revision). Rows come by split, then by name. "No
    Finding" is no class: it is a row of zeros. Images of any size and shape become `image_size` squares.

    Regions are NIH's boxes, all of those on images kept. With the table of 2020 every boxed finding is a label; with
    the first revision (the CheXNet lists) 188 of the 984 are not, 78 of the 120 with Pneumonia among them. Labels and
    boxes are left as they are: `labels[region_image, region_concept]` tells boxes of labelled findings from the rest.

    `rsna_boxes` names a table of the RSNA challenge's boxes (see `rsna_boxes.read`), in `manual_dir` unless its path is
    absolute; ids of the challenge need its map beside the table. Other readers drew them by another definition, so they
    are a concept of their own, `rsna_boxes.CONCEPT`, and of no class.

    Inputs that cannot be used are left out and named in `info['problems']`: 'missing' (no PNG), 'unreadable' (not a
    whole PNG), 'not_in_label_table' (a PNG without a label), 'not_in_split', 'listed_without_label', 'present_twice'
    (in two image folders: the first counts), 'box_without_image' and 'rsna_box_without_image' (one name per box).
    `progress(done, total)` counts images, once while they are resized (unless that was done before), then while they
    are decoded; `again` makes anew what TFDS keeps. Raises FileNotFoundError for an incomplete layout, ValueError for a
    damaged table, for patients in two splits and for an empty split.
    """
    lookup(nih_files.READERS, split, 'split')
    if image_size < 1:
        raise ValueError(f'image_size is {image_size}; expected a positive number of pixels.')
    if not 0 < validation_fraction < 1:
        raise ValueError(f'validation_fraction is {validation_fraction}; expected a share between 0 and 1.')
    # TFDS takes a second to import, which only this function should cost.
    from imbalance_jax.data.sources.tfds import nih_chest_xray14 as tfds_nih

    options: dict[str, Any] = {'image_size': image_size, 'split': split, 'validation_fraction': validation_fraction}
    for attempt in (1, 2):
        builder = tfds_nih.prepare(Path(manual_dir), Path(tfds_dir), **options, progress=progress, again=again)
        try:
            images, examples = _decode(builder, tfds_nih, allocate, progress)
            break
        except Exception as error:  # a damaged shard shows itself as whatever its reader trips over
            if attempt == 2:
                raise
            log.warning('%s is damaged (%s) and is prepared again.', builder.data_path, error)
            shutil.rmtree(builder.data_path)
    dataset = _dataset(images, examples, options, builder.info.metadata['problems'])
    table = nih_files.group_file(Path(manual_dir))
    dataset = dataset if table is None else _with_groups(dataset, nih_tables.read_groups(table))
    return _with_rsna_boxes(dataset, Path(manual_dir, rsna_boxes)) if rsna_boxes else dataset


def _with_rsna_boxes(dataset: Dataset, path: Path) -> Dataset:
    """The data set with the challenge's boxes on its images as regions of one more concept."""
    names = rsna_boxes_module.read_map(path.parent) if rsna_boxes_module.needs_map(path) else None
    images, boxes = rsna_boxes_module.read(path, names)
    row = {name: index for index, name in enumerate(dataset.image_id.tolist())}
    kept = np.array([image in row for image in images], bool)
    rows = np.array([row[image] for image in images if image in row], np.int32)
    options = {**dataset.info['options'], 'rsna_boxes': path.name}
    concepts = [*dataset.info['concepts'], rsna_boxes_module.CONCEPT]
    problems = {**dataset.info['problems'], 'rsna_box_without_image': [i for i in images if i not in row]}
    return dataclasses.replace(
        dataset,
        region_image=np.concatenate([dataset.region_image, rows]),
        region_concept=np.concatenate([dataset.region_concept, np.full(len(rows), len(concepts) - 1, np.int32)]),
        region_box=np.concatenate([dataset.region_box, boxes[kept]]),
        info={**dataset.info, 'concepts': concepts, 'problems': problems, 'options': options},
    )


def _with_groups(dataset: Dataset, of_image: dict[str, tuple[int, int, int]]) -> Dataset:
    """The data set with sex, age and view of every image."""
    unknown = (-1,) * len(nih_tables.GROUPS)
    groups = np.array([of_image.get(str(name), unknown) for name in dataset.image_id], np.int8)
    names = {grouping: list(of_grouping) for grouping, of_grouping in nih_tables.GROUPS.items()}
    return dataclasses.replace(dataset, groups=groups, info={**dataset.info, 'groups': names})


def _decode(
    builder: Any, tfds_nih: Any, allocate: Allocate, progress: Callable | None
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Images [N,H,W,1] and the examples' other fields, in the order of the splits."""
    count = sum(builder.info.splits[name].num_examples for name in SPLITS)
    size = builder.builder_config.image_size
    images = allocate('images', (count, size, size, 1), np.uint8)
    examples: list[dict[str, Any]] = []
    for chunk in chain.from_iterable(tfds_nih.read(builder, name) for name in SPLITS):
        pngs = [example.pop('image') for example in chunk]
        for example, image in zip(chunk, on_all_cores(from_png, pngs), strict=True):
            images[len(examples), :, :, 0] = image
            examples.append(example)
            if progress:
                progress(len(examples), count)
    return images, examples


def files(*, manual_dir: Path, split: str = 'official', rsna_boxes: Path | None = None, **_: Any) -> dict[str, Path]:
    """The files that `make` reads."""
    boxes = rsna_boxes_module.files(Path(manual_dir, rsna_boxes)) if rsna_boxes else {}
    return nih_files.files(Path(manual_dir), split) | boxes


def leftovers(*, manual_dir: Path, tfds_dir: Path, rsna_boxes: Path | None = None, **options: Any) -> list[Path]:
    """What TFDS has left of an interrupted preparation of the same options and files."""
    cache = Path(tfds_dir).with_name(content.CACHE)
    folder = Path(tfds_dir) / 'nih_chest_xray14' / nih_files.config_name(manual_dir, cache, **options)
    return list(folder.glob('incomplete.*'))


def _dataset(images: np.ndarray, examples: list[dict[str, Any]], options: dict, problems: dict) -> Dataset:
    labels = np.stack([example['labels'] for example in examples])
    regions = [len(example['boxes']) for example in examples]
    return Dataset(
        images=images,
        labels=labels,
        label_mask=np.ones_like(labels),
        split=np.array([example['split'] for example in examples], np.uint8),
        patient=np.array([example['patient'] for example in examples], np.int64),
        image_id=np.array([example['image/filename'].decode() for example in examples], np.str_),
        region_image=np.repeat(np.arange(len(examples), dtype=np.int32), regions),
        region_concept=np.array([finding for example in examples for finding in example['boxes/label']], np.int32),
        region_box=np.concatenate([example['boxes'] for example in examples]).astype(np.float32),
        source_size=np.stack([example['image/size'] for example in examples]).astype(np.int32),
        region_mask=np.zeros((0, images.shape[1], (images.shape[2] + 7) // 8), np.uint8),
        info={
            'name': 'nih_chest_xray14',
            'classes': list(nih_tables.CLASSES),
            'concepts': list(nih_tables.CLASSES),
            'family': 'nih',
            'modality': 'radiograph',
            'resize': 'stretch',
            'frame': [nih_tables.FRAME, nih_tables.FRAME],
            'options': options,
            'problems': {kind: list(names) for kind, names in problems.items()},
            'source': nih_tables.CITED,
            'licence': nih_tables.LICENCE,
        },
    )

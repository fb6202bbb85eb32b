"""The TFDS builder of NIH ChestX-ray14: small grey PNGs with labels and boxes, prepared without TensorFlow."""

import contextlib
import dataclasses
import functools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from imbalance_jax.data.dataset import SPLITS
from imbalance_jax.data.sources import content, nih_files, nih_tables
from imbalance_jax.data.sources.nih_images import bits_used, to_png
from imbalance_jax.data.streams import on_all_cores

SHARD = 2048  # examples per file; TFDS holds one file's PNGs in memory
NO_BOXES = nih_tables.Boxes(np.zeros(0, np.str_), np.zeros(0, np.int32), np.zeros((0, 4), np.float32))
CITATION = """@inproceedings{wang2017chestxray8,
  title={ChestX-ray8: Hospital-scale Chest X-ray Database and Benchmarks on Weakly-Supervised Classification and
    Localization of Common Thorax Diseases},
  author={Wang, Xiaosong and Peng, Yifan and Lu, Le and Lu, Zhiyong and Bagheri, Mohammadhadi and Summers, Ronald M.},
  booktitle={CVPR}, year={2017}}"""


class Plan(NamedTuple):
    """What is to be written: cases whose image is there, its path, the boxes of each image that has any, and how many
    bits files of 16 bits use."""

    cases: nih_files.Cases
    paths: list[Path]
    boxes: dict[str, nih_tables.Boxes]
    bits: int


@dataclasses.dataclass(eq=False)
class NihConfig(tfds.core.BuilderConfig):
    """Images of `image_size` x `image_size`, one of the splits of `nih_files.READERS`, and its validation fraction."""

    image_size: int = 224
    split: str = 'official'
    validation_fraction: float = 0.1


class NihChestXray14(tfds.core.ShardBasedBuilder):
    """112,120 frontal radiographs of 30,805 patients, 14 findings, 984 boxes.

    Shard-based, because TFDS's generator-based writer needs TensorFlow once a split exceeds 1,000 MiB, which this one
    does at 224 pixels, and then sorts the whole split in memory. Inputs left out are named in
    `builder.info.metadata['problems']`, which is saved with the data.
    """

    VERSION = tfds.core.Version('1.1.0')
    RELEASE_NOTES = {'1.0.0': 'First version.', '1.1.0': 'With the size of the files.'}  # noqa: RUF012 (TFDS reads a class attribute)
    MANUAL_DOWNLOAD_INSTRUCTIONS = f'Download from https://nihcc.app.box.com/v/ChestXray-NIHCC. {nih_files.LAYOUT}'
    # For `tfds.builder('nih_chest_xray14/official-224')`; `prepare` names its config by the input files, too.
    BUILDER_CONFIGS = [  # noqa: RUF012
        NihConfig(name=f'{split}-{size}', description=f'{split} split, {size} pixels', image_size=size, split=split)
        for split in nih_files.READERS
        for size in (64, 128, 224)
    ]
    progress: Callable[[int, int], Any] | None = None

    def _info(self) -> tfds.core.DatasetInfo:
        size = self.builder_config.image_size
        features = {
            'image': tfds.features.Image(shape=(size, size, 1), encoding_format='png'),
            'image/filename': tfds.features.Text(),
            'image/size': tfds.features.Tensor(shape=(2,), dtype=np.int32),  # height, width of the file
            'patient': tfds.features.Scalar(np.int64),
            'labels': tfds.features.Tensor(shape=(len(nih_tables.CLASSES),), dtype=np.uint8),
            # Flat frame coordinates, x0 y0 x1 y1: a BBoxFeature would come back as one list entry per box.
            'boxes': tfds.features.Tensor(shape=(None, 4), dtype=np.float32),
            'boxes/label': tfds.features.Sequence(tfds.features.ClassLabel(names=nih_tables.CLASSES)),
            'split': tfds.features.ClassLabel(names=SPLITS),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=type(self).__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage='https://nihcc.app.box.com/v/ChestXray-NIHCC',
            citation=CITATION,
            metadata=tfds.core.MetadataDict(problems={}),
        )

    def _log_download_bytes(self) -> None:
        """Overrides a line that TFDS prints to standard output: nothing is downloaded."""

    def _log_download_done(self) -> None:
        """Overrides the second such line."""

    def _shard_iterators_per_split(self, dl_manager: tfds.download.DownloadManager) -> dict[str, list[Callable]]:
        plan = make_plan(Path(dl_manager.manual_dir), self.builder_config)
        self.info.metadata['problems'] = plan.cases.problems
        shards: dict[str, list[Callable]] = {}
        for index, split in enumerate(SPLITS):
            _require_images(plan.cases, index)
            rows = np.flatnonzero(plan.cases.split == index).tolist()
            shards[split] = [
                functools.partial(self._examples, plan, rows[start : start + SHARD])
                for start in range(0, len(rows), SHARD)
            ]
        return shards

    def _examples(self, plan: Plan, rows: list[int]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields one shard's examples; an image that cannot be read is named among the problems, with its boxes."""
        cases, shrink = plan.cases, functools.partial(to_png, size=self.builder_config.image_size, bits=plan.bits)
        for row, small in zip(rows, on_all_cores(shrink, (plan.paths[row] for row in rows)), strict=True):
            if self.progress:
                self.progress(row + 1, len(plan.paths))
            name = str(cases.image[row])
            boxes = plan.boxes.get(name, NO_BOXES)
            if small is None:
                cases.problems['unreadable'].append(name)
                cases.problems['box_without_image'] += boxes.image.tolist()
                continue
            yield (
                name,
                {
                    'image': small.png,
                    'image/filename': name,
                    'image/size': small.size,
                    'patient': cases.patient[row],
                    'labels': cases.labels[row],
                    'boxes': boxes.box,
                    'boxes/label': boxes.concept,
                    'split': cases.split[row],
                },
            )
        _require_images(cases, cases.split[rows[0]])


def prepare(
    manual_dir: Path,
    tfds_dir: Path,
    *,
    image_size: int,
    split: str,
    validation_fraction: float,
    progress: Callable[[int, int], Any] | None = None,
    again: bool = False,
) -> NihChestXray14:
    """Returns a builder whose data are on disk, prepared now unless these options and these very inputs were before.

    again: they are prepared in any case.

    TFDS writes to `incomplete.*` and renames as its last act. Raises as `nih.read_split`, `nih.read_boxes` and
    `nih.find_images` do, and ValueError for a split without images.
    """
    options: dict[str, Any] = {'image_size': image_size, 'split': split, 'validation_fraction': validation_fraction}
    config = NihConfig(
        name=nih_files.config_name(manual_dir, Path(tfds_dir).with_name(content.CACHE), **options), **options
    )
    with _quiet(), _own_temporary_files():
        builder = NihChestXray14(data_dir=tfds_dir, config=config)
        if again and builder.data_path.exists():
            shutil.rmtree(builder.data_path)
            builder = NihChestXray14(data_dir=tfds_dir, config=config)
        builder.progress = progress
        try:
            builder.download_and_prepare(
                file_format='array_record', download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
            )
        except OSError:
            if not builder.data_path.exists():
                raise
            builder = NihChestXray14(data_dir=tfds_dir, config=config)  # another process was first; its data are whole
    return builder


def read(builder: NihChestXray14, split: str, count: int = 1024) -> Iterator[list[dict[str, Any]]]:
    """Yields the examples of a split in their order, `count` at a time, with images left as PNG bytes."""
    source = builder.as_data_source(split, decoders={'image': tfds.decode.SkipDecoding()})
    for start in range(0, len(source), count):
        yield source.__getitems__(list(range(start, min(start + count, len(source)))))


def make_plan(folder: Path, config: NihConfig) -> Plan:
    """Matches labels, files and boxes, and names what has no counterpart; only images of 16 bits are opened yet."""
    cases = nih_files.read_split(folder, config.split, config.validation_fraction)
    paths, repeated = nih_files.find_images(folder)
    boxes = nih_tables.read_boxes(nih_files.box_file(folder))
    present = np.array([name in paths for name in cases.image.tolist()], bool)
    kept = cases.image[present]
    boxed = np.isin(boxes.image, kept)
    problems = cases.problems | {
        'missing': cases.image[~present].tolist(),
        'unreadable': [],
        'not_in_label_table': sorted(set(paths).difference(cases.image.tolist(), cases.problems['not_in_split'])),
        'present_twice': repeated,
        'box_without_image': boxes.image[~boxed].tolist(),
    }
    by_image = {
        name: nih_tables.Boxes(*(array[boxes.image == name] for array in boxes))
        for name in set(boxes.image[boxed].tolist())
    }
    cases = nih_files.Cases(kept, cases.patient[present], cases.labels[present], cases.split[present], problems)
    listed = [paths[name] for name in kept.tolist()]
    return Plan(cases, listed, by_image, bits_used(listed))


def _require_images(cases: nih_files.Cases, split: int) -> None:
    left = set(cases.image[cases.split == split].tolist()).difference(cases.problems['unreadable'])
    if not left:
        counts = ', '.join(f'{len(names)} {kind}' for kind, names in cases.problems.items())
        raise ValueError(f'No image is left in the {SPLITS[split]} split, which must not be empty. Left out: {counts}.')


@contextlib.contextmanager
def _own_temporary_files() -> Iterator[None]:
    """Removes what TFDS leaves among the temporary files: a folder per data set that it makes."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = before


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Mutes TFDS's log lines, which report every custom config as a warning."""
    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(level)

"""The TFDS builder of NIH ChestX-ray14: small grey PNGs with labels and boxes, prepared without TensorFlow."""

import contextlib
import dataclasses
import functools
import io
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from PIL import Image

from imbalance_jax.data.dataset import SPLITS
from imbalance_jax.data.reader import images
from imbalance_jax.data.sources import content, nih_files, nih_tables
from imbalance_jax.data.streams import on_all_cores

SHARD = 2048  # examples per file; TFDS holds one file's PNGs in memory
MAX_PIXELS = 8192**2  # eight times NIH's width; more is a mistake or a decompression bomb
SIGNATURE, DEPTH = b'\x89PNG\r\n\x1a\n', 24  # how a PNG begins, and where its header says how many bits a value has
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


class Small(NamedTuple):
    """An image as PNG, and height and width of the file that it was."""

    png: bytes
    size: tuple[int, int]


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


def bits_used(paths: Sequence[Path]) -> int:
    """How many bits the files of 16 bits use, by the largest value of all of them; 16 if there is none."""
    largest = max(on_all_cores(_largest, paths), default=0)
    return images.bits_of(largest) if largest else 16


def _largest(path: Path) -> int:
    """The largest value of a file of 16 bits, 0 of others: of them only the header is read."""
    try:
        with open(path, 'rb') as file:
            header = file.read(DEPTH + 1)
    except OSError:
        return 0
    if header[:8] != SIGNATURE or header[DEPTH:] != b'\x10':
        return 0
    image = _open(path)
    return int(np.asarray(image).max()) if image is not None and image.mode.startswith('I') else 0


def to_png(path: Path, size: int, bits: int = 16) -> Small | None:
    """Returns an image file as an 8-bit grey PNG of `size` x `size`, or None where the file is not a whole PNG.

    bits: how many of 16 are used, where a file has 16 (`bits_used`).

    Resized by Pillow's BILINEAR, a triangle as wide as the reduction: it antialiases, and unlike bicubic or Lanczos
    has no negative lobes, which draw dark and bright rims around wires and markers for a saliency map to find.
    """
    image = _open(path)
    if image is None:
        return None
    small = _grey(image, bits).resize((size, size), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    small.save(file, 'PNG', compress_level=1)  # a quarter of the default level's time for a sixth more bytes
    return Small(file.getvalue(), (image.height, image.width))


def from_png(data: bytes) -> np.ndarray:
    """Decodes what `to_png` wrote: [H, W] uint8."""
    with Image.open(io.BytesIO(data), formats=['PNG']) as image:
        return np.asarray(image)


def _open(path: Path) -> Image.Image | None:
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data), formats=['PNG']) as image:
            image.verify()  # the checksum of every chunk; decoding alone does not look at them
        image = Image.open(io.BytesIO(data), formats=['PNG'])
        if image.width * image.height > MAX_PIXELS:
            return None
        image.load()
    except Exception:  # a damaged file ends Pillow's parsers in any way: OSError, SyntaxError, ValueError, IndexError
        return None
    return image


def _grey(image: Image.Image, bits: int) -> Image.Image:
    """To 8 bits grey: luma of colour (exact where R = G = B), alpha dropped, 16 bits scaled rather than clipped."""
    if image.mode.startswith('I'):
        return Image.fromarray((np.asarray(image) / ((2**bits - 1) / 255) + 0.5).astype(np.uint8))
    if image.mode == 'P':
        image = image.convert('RGBA')  # Pillow warns where a palette with transparency goes to grey directly
    return image.convert('L')


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

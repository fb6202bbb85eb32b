"""What a layout says: where tables and files lie, and what rows, cells and names in them mean. No file is opened here.

A column is named as the table's header spells it, without blanks around it. Texts are compared without blanks around
them; words whatever their case, and numbers as numbers: '1', '1.0' and '1,0' are one. A pattern of a file may have
columns in braces, cut as Python cuts texts: 'files/p{subject_id:.2}/p{subject_id}/{dicom_id}.jpg'. Regular expressions
are searched in a text, and their first group is what is meant.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Names = tuple[str, ...]
Values = Mapping[str, Names]  # what is meant -> how it is spelt

TRUE: Names = ('1', 'yes', 'true', 'y', 'present', 'positive')
FALSE: Names = ('0', 'no', 'false', 'n', 'absent', 'negative')
UNSURE: Names = ('-1', 'uncertain', 'unsure')
NOTHING: Names = ('', 'nan', 'none', 'null', 'na', 'n/a', '<na>', '#n/a')
OF_LABEL = 'label'  # the concept of a region that is called as its image's one class is
NO_FINDING: Names = ('No Finding', 'No findings', 'Normal', 'Healthy', 'None')
SPLIT_NAMES: Values = {
    'train': ('train', 'training', 'tr'),
    'validation': ('validation', 'validate', 'valid', 'val', 'dev', 'development', 'tune', 'tuning'),
    'test': ('test', 'testing', 'ts'),
}


@dataclasses.dataclass(frozen=True)
class Table:
    """A table, or several of the same columns that are one.

    file: its pattern below the folder ('*.csv', 'annotations/train.csv'), or an absolute path; also gzipped
    name: what other parts of the layout call it; the first table of a layout says which images there are, with those
        after it of the same name, which are put under it. Where files themselves are the rows (`Images.file`), all
        tables are joined to them or named by others
    kind: 'csv', 'json', 'jsonl', 'parquet' or 'coco'; '' goes by the file's suffix (a COCO file by what is in it). Of
        one image per file, with its `path` and `stem`: 'voc' (XML), 'yolo' and 'labelme', with the columns of
        `drawn_files.COLUMNS`
    separator: of columns; '' is found in the first line, ' ' is any number of blanks
    columns: names instead of the first line's; header: whether the first line has names
    rename: {name: the table's own}
    derive: {name: (column, regular expression, template)}: a new column, made of the expression's groups as Python's
        `re.sub` makes it, and empty where the expression is not found
    on: columns that join it to the tables before it; ('a=b',) where it calls b what they call a. Columns that are there
        already keep their values
    needed: an image without a row here is left out, and named
    where: {column: values} of the rows that count, by all of the columns; the others are counted
    split: the split of all its rows; a later table with one, without `on` and name, is put under the first, too
    explode: columns of lists of equal length, of which each element becomes a row of its own
    optional: it may be absent
    read: path -> {column: values}, for a file that is no table
    """

    file: str
    name: str = ''
    kind: str = ''
    separator: str = ''
    encoding: str = 'utf-8'
    columns: Names = ()
    header: bool = True
    rename: Mapping[str, str] = dataclasses.field(default_factory=dict)
    derive: Mapping[str, tuple[str, str, str]] = dataclasses.field(default_factory=dict)
    on: Names = ()
    needed: bool = False
    where: Values = dataclasses.field(default_factory=dict)
    split: str = ''
    explode: Names = ()
    optional: bool = False
    read: Callable[[Path], Mapping[str, Any]] | None = None

    def is_under(self, first: 'Table') -> bool:
        """Whether this is the first table continued: of its name, or of another split."""
        return bool(not self.on and ((self.split and not self.name) or (first.name and self.name == first.name)))


@dataclasses.dataclass(frozen=True)
class Images:
    """How a row finds its file, and how pixels become grey values.

    file: a column in braces and whatever else is in the path: '{Path}', 'images/{id}.png'; '' where the files
        themselves are the rows: there is no table, or tables of patients or studies, of several files each, that are
        joined (`Table.on`) to the files' `path`, `stem`, `parent` and what is derived of them. A file is found by as
        many folders of that path as lie there: other prefixes, Windows' and absolute paths, and a missing suffix do not
        matter
    parts: how many parts of that path must agree at least, from the end: 3 where files of all patients have one name
    id: name of an image, such as '{image_id}'; '' is the file's name, with as many folders as make it unique
    folders: where files lie, as patterns below the folder; exclude: patterns of names that are no images, such as masks
    suffixes: of image files; '' is of those with any other, or none, as DICOM files of an archive have; '.npy' is of
        arrays [h, w] or [h, w, 3]
    others: images that no row names are 'named' among what is left out, or 'counted' in a note
    bits: how many of a 16-bit file are used; 0: found from the largest value of all files
    channels: 1, 3, or 0 for 3 if any file has a colour
    resize: of images that are not square: 'stretch', 'pad' with black, or 'crop' in the middle
    window: whether the window that a DICOM file states is applied
    levels: (low, high), the values that become black and white, such as (-1000, 400) of CT: of DICOM rescaled, of other
        grey files and arrays of 16 bits or more as stored; () is all that a file's bits can hold
    derive: columns of what `path`, `stem` and `parent` of the files say, as `Table.derive`
    decoders: {suffix: path -> [h, w] or [h, w, 3] of uint8 or uint16}, for files that nothing else reads
    """

    file: str = ''
    id: str = ''
    folders: Names = ('',)
    exclude: Names = ()
    suffixes: Names = ('.png', '.jpg', '.jpeg', '.tif', '.tiff', '.bmp', '.gif', '.webp', '.dcm', '.dicom')
    others: str = 'named'
    parts: int = 1
    bits: int = 0
    channels: int = 0
    resize: str = 'stretch'
    window: bool = False
    levels: tuple[float, ...] = ()
    derive: Mapping[str, tuple[str, str, str]] = dataclasses.field(default_factory=dict)
    decoders: Mapping[str, Callable[[Path], Any]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Labels:
    """One reading of the classes of an image, or one per reader.

    columns: one per class; or column: names of classes, one or, with `separator`, several ('list' for "['a', 'b']");
        or path: a regular expression for a file's path below the folder ('parent' is the name of its folder);
        or regions: what an image has a region of, by all tables of regions, but `Layout.anatomy` beside others
    further: columns that name further classes of the same image, beside `column`
    classes: names and their order; () are all columns, or all names that occur, sorted
    aliases: {class: other spellings}, of columns as of names
    none: names that are no class: they say that there is none
    others: what to do about a name that is no class: 'error', or 'ignore' it
    at_least: classes of fewer images are no classes
    present, absent, uncertain, not_mentioned: what a cell says
    unnamed: what names say of a class that is not among them: 'absent' or 'not_mentioned'; a row without any name
        mentions none where others have a word of `none`, or an empty list in its place
    table: whose columns these are, if not those of the joined tables; on: as in `Table`
    reader: a column of who read it; version: what this reading is called
    """

    columns: Names = ()
    column: str = ''
    separator: str = ''
    further: Names = ()
    path: str = ''
    regions: bool = False
    classes: Names = ()
    aliases: Values = dataclasses.field(default_factory=dict)
    none: Names = NO_FINDING
    others: str = 'error'
    at_least: int = 0
    present: Names = TRUE
    absent: Names = FALSE
    uncertain: Names = UNSURE
    not_mentioned: Names = NOTHING
    unnamed: str = 'absent'
    table: str = ''
    on: Names = ()
    reader: str = ''
    version: str = ''


@dataclasses.dataclass(frozen=True)
class Patient:
    """Whose image it is, from a column, or by a regular expression from that column or, without one, the file's path.

    unknown: an image without a patient is 'left_out', or a patient of its 'own'. Without column and pattern every image
    is a patient of its own.
    """

    column: str = ''
    pattern: str = ''
    unknown: str = 'left_out'


@dataclasses.dataclass(frozen=True)
class Split:
    """Which split an image is in. A split that nobody names is drawn from the patients of training.

    column: with values as {split: texts}; or lists: {split: a file with a name per line, or a table of which one
        column names images}; or path: a regular expression for a file's path ('folder': any folder of it that is called
        as a split is); or `Table.split`
    others: of images whose value is no split or that are in no list: 'left_out' or a split
    test_where: {column: values} of images that are test, by any of the columns, before anything is drawn
    validation, test: shares of the patients, drawn by a hash of who they are and `seed`; stratify: within each class
    """

    column: str = ''
    values: Values = dataclasses.field(default_factory=lambda: SPLIT_NAMES)
    lists: Mapping[str, str] = dataclasses.field(default_factory=dict)
    path: str = ''
    others: str = 'left_out'
    test_where: Values = dataclasses.field(default_factory=dict)
    validation: float = 0.15
    test: float = 0.2
    seed: int = 0
    stratify: bool = True


@dataclasses.dataclass(frozen=True)
class Regions:
    """Annotated areas of one kind, one per row of a table, or one per file.

    table: the rows; on: columns that tell their image, as in `Table`; '' is the first table
    concept: a name, or column: of names; aliases: {concept: spellings}; others: as in `Labels`; 'label' as the concept
        is the image's one class
    box: four columns, or one with a list of four; form: 'xywh', 'xyxy', or 'cxcywh' by the
        centre, as YOLO has it; a block of a config must say it where the names of four columns do not
    unit: 'pixel' or 'fraction' of the image, of boxes and of the coordinates of shapes
    frame: (height, width) of the image that pixels are counted in, as numbers or as two columns; () is what the table
        states of the image, as COCO's does, if the file is a copy of that shape, else the file's size
    code: a column with a shape or mask, and what it is: `kind` is one of those of `shapes` and `runs`. With `box`, too,
        a row without a shape has its box
    files: a pattern of mask files, beside the image or below the folder: '{stem}_mask*.png', 'masks/{class}/{stem}.gif'
    values: {concept: grey values} of a mask with several; else what is not 0 is inside (more than half of the range, if
        the file was compressed with loss)
    crop: four columns, or a box as above, that the mask file covers; () is the whole image
    reader: a column of who drew it, or as_reader: a name
    """

    table: str = ''
    on: Names = ()
    concept: str = ''
    column: str = ''
    aliases: Values = dataclasses.field(default_factory=dict)
    others: str = 'error'
    box: Names = ()
    form: str = 'xywh'
    unit: str = 'pixel'
    frame: tuple[Any, ...] = ()
    code: str = ''
    kind: str = ''
    files: str = ''
    values: Values = dataclasses.field(default_factory=dict)
    crop: Names = ()
    reader: str = ''
    as_reader: str = ''


@dataclasses.dataclass(frozen=True)
class Group:
    """A grouping of images: values as {group: texts}, or bands of a number, as ages: (40, 60) are three bands.

    Values left empty: each text is a group. most: a larger number is a mistake, and unknown.
    """

    column: str
    values: Values = dataclasses.field(default_factory=dict)
    bands: tuple[float, ...] = ()
    most: float = 120.0


@dataclasses.dataclass(frozen=True)
class Layout:
    """A data set as it lies in a folder. See the parts; task, family, modality, anatomy, ... as in `Dataset.info`.

    policy: the label policy that makes labels of cells, by name or as fields of `policies.Policy`
    ordinal: whether the classes of a multi-class set are grades in their order, so that kappa's weights are quadratic
    """

    name: str = 'folder'
    tables: tuple[Table, ...] = ()
    images: Images = Images()
    labels: tuple[Labels, ...] = (Labels(),)
    patient: Patient = Patient()
    split: Split = Split()
    regions: tuple[Regions, ...] = ()
    groups: Mapping[str, Group] = dataclasses.field(default_factory=dict)
    task: str = 'multi_label'
    ordinal: bool = False
    policy: str | Mapping[str, Any] = dataclasses.field(default_factory=dict)
    family: str = ''
    modality: str = 'radiograph'
    anatomy: Names = ()
    source: str = ''
    licence: str = ''

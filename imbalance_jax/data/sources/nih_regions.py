"""NIH's boxes as regions of other label tables on its images."""

from collections.abc import Sequence
from pathlib import Path

from imbalance_jax.data.reader.layout import Regions, Table
from imbalance_jax.data.sources import nih_tables
from imbalance_jax.data.sources.declared import first_there

TABLE = 'nih boxes'
COLUMNS = ('Image Index', 'Finding Label', 'x', 'y', 'w', 'h')  # the file's header breaks `Bbox [x,y,w,h]` in four


def box_table(folder: Path) -> list[Table]:
    """The box list, if it is there."""
    path = first_there(folder, 'BBox_List_2017.csv')
    return [Table(path, TABLE, columns=COLUMNS)] if path else []


def boxes(folder: Path, column: str, classes: Sequence[str]) -> tuple[Regions, ...]:
    """Its boxes of images that `column` names, of the classes that there are."""
    spellings = {'Infiltration': ('Infiltrate',)} if 'Infiltration' in classes else {}
    return tuple(
        Regions(
            table.name,
            on=(f'{column}=Image Index',),
            column='Finding Label',
            aliases=spellings,
            others='error' if spellings else 'ignore',
            box=COLUMNS[2:],
            frame=(nih_tables.FRAME, nih_tables.FRAME),
        )
        for table in box_table(folder)
    )

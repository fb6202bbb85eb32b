"""Columns of an unknown table that name files of masks, by their own names."""

from imbalance_jax.data.reader.companions import FOLDERS, WORDS

# Words of columns that name masks, and what may follow `label` there.
OF_MASKS = FOLDERS - {'label', 'labels'} | {'msk', 'contour', 'contours'}
OF_FILES = {'path', 'file', 'filename', 'image', 'map'}


def is_of_masks(column: str) -> bool:
    """Whether a column is called as one of files of masks is: ROI mask file path, MaskName, label_path."""
    words = {word.lower() for word in WORDS.split(column)}
    return bool(words & OF_MASKS) or bool('label' in words and words & OF_FILES)


def without_words(column: str) -> str:
    """A column's name without its words for masks and files: mass of mass_mask."""
    return '_'.join(word for word in WORDS.split(column) if word.lower() not in OF_MASKS | OF_FILES | {'label'})

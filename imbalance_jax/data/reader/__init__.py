"""Reads data sets as they lie in a folder, by a declaration of their layout: `read(folder, layout, image_size=...)`."""

from imbalance_jax.data.reader.cases import Cases, read_cases
from imbalance_jax.data.reader.layout import Group, Images, Labels, Layout, Patient, Regions, Split, Table
from imbalance_jax.data.reader.making import classes_of, files, read, read_tables

__all__ = [
    'Cases',
    'Group',
    'Images',
    'Labels',
    'Layout',
    'Patient',
    'Regions',
    'Split',
    'Table',
    'classes_of',
    'files',
    'read',
    'read_cases',
    'read_tables',
]

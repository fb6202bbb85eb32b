"""TFDS builders for data sets that the TFDS catalogue lacks; importing one registers it."""

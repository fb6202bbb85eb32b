"""Experiments as plain Python: `base.py` has every field once; one more file per study."""

"""Pages of finished working directories and of sweeps over them, and benchmarks with their peers.

A page computes nothing that is not in the tables.
"""

import importlib.util
import os

BACKEND = os.environ.get('MPLBACKEND', '')
if BACKEND.startswith('module://') and not importlib.util.find_spec(BACKEND[9:].partition('.')[0]):
    del os.environ['MPLBACKEND']  # that of a notebook's own environment; pages are drawn without any

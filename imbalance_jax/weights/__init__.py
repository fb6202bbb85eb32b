"""Files of weights: read without executing anything, fitted to models, recognised, and written."""

from imbalance_jax.weights.known import Known, Preprocessing, known
from imbalance_jax.weights.mapping import flat, nested, to_flax, to_torch
from imbalance_jax.weights.reading import read
from imbalance_jax.weights.safetensors import write as write_safetensors
from imbalance_jax.weights.stored import Stored

__all__ = [
    'Known',
    'Preprocessing',
    'Stored',
    'flat',
    'known',
    'nested',
    'read',
    'to_flax',
    'to_torch',
    'write_safetensors',
]

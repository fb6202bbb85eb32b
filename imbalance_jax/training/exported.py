"""What `export` says of a network in the metadata of its safetensors, written and read again.

Texts by name, the values of most as JSON: 'architecture', 'options' (of `card.options_said`), 'classes', 'image'
(H, W, C), 'arm', 'seed', 'loss', 'hyper' (its options), 'link' ('sigmoid' or 'softmax'), and what its images become
before the first layer: 'matrix' [C,D], 'offset' [D], 'resize', 'crop', 'interpolation'.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from imbalance_jax.training import card

SOURCE = 'the exported file'  # of preprocessing that a file says itself
NETWORK = 'architecture', 'options', 'image', 'loss', 'link', 'classes'
TRAINED = 'arm', 'hyper'  # of how it was trained, which older files do not say whole
IMAGES = 'matrix', 'offset', 'resize', 'crop'
AS_JSON = 'classes', 'image', *IMAGES
AS_TEXT = 'architecture', 'options', 'interpolation', 'link'


def metadata(row: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, str]:
    """What is written of a member, a row of members.json, with the facts of which its card is made."""
    plain = {key: np.asarray(facts[key]).tolist() for key in AS_JSON}
    return {
        'format': 'pt',
        **{key: facts[key] for key in AS_TEXT},
        **{key: json.dumps(value) for key, value in plain.items()},
        'arm': row['arm'],
        'loss': row['loss'],
        'hyper': json.dumps(dict(row.get('hyper', {})), sort_keys=True),
        'seed': str(row['seed']),
        'weights_sha256': row.get('weights_sha256', ''),
    }


def network(metadata: Mapping[str, str]) -> dict[str, str]:
    """What a file says of its network, the texts of `NETWORK` and of `TRAINED`; {} of a file of others, or that does
    not say all of the former."""
    found = {name: metadata[name] for name in NETWORK if name in metadata}
    try:
        image, classes = json.loads(found['image']), json.loads(found['classes'])
        hyper = json.loads(metadata.get('hyper', '{}'))
    except (KeyError, ValueError):
        return {}
    are_texts = isinstance(classes, list) and all(isinstance(one, str) for one in classes)
    whole = len(found) == len(NETWORK) and isinstance(image, list) and are_texts and isinstance(hyper, dict)
    return found | {name: metadata[name] for name in TRAINED if name in metadata} if whole else {}


def preprocessing(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What a file says that its images become, as fields of `weights.Preprocessing`; {} where it does not, or where
    channels are mixed."""
    try:
        matrix, offset = (np.array(json.loads(metadata[key]), np.float64) for key in ('matrix', 'offset'))
        size = {field: int(json.loads(metadata[field])) for field in ('resize', 'crop')}
    except (KeyError, ValueError, TypeError):
        return {}
    if matrix.ndim != 2 or offset.shape != matrix.shape[1:]:
        return {}
    if not np.isfinite(matrix).all() or not np.isfinite(offset).all():
        return {}
    scale = matrix[0] if len(matrix) == 1 else np.diagonal(matrix)
    if (len(matrix) > 1 and not np.array_equal(matrix, np.diag(scale))) or not (scale > 0).all():
        return {}
    fields = {'mean': tuple((-offset / scale).tolist()), 'std': tuple((1 / scale).tolist()), 'low': 0.0, 'high': 1.0}
    interpolation = metadata.get('interpolation') or 'bilinear'
    return {**fields, **size, 'channels': len(scale), 'interpolation': interpolation, 'source': SOURCE}


def lost(metadata: Mapping[str, str]) -> str:
    """What is to be said of a file that says a part of what `export` writes; '' of a whole one, and of others'."""
    every = *NETWORK, *IMAGES
    missing = [name for name in every if name not in metadata]
    if not missing or len(missing) > len(every) / 2:
        return ''
    return f'its metadata, which `export` writes, lack {", ".join(missing)}'


def says_other(model: Mapping[str, Any], network: Mapping[str, str]) -> str:
    """In which option a config's model is another than what a file says of its network; '' in none, and where it is of
    another architecture or says nothing."""
    if network.get('architecture') != model['name']:
        return ''
    here, own = card.model_options(model), card.model_options({'name': model['name']}, network['options'])
    other = [name for name, value in here.items() if own[name] != value]
    field = f'config.model.{model["name"]}.{other[0]}' if other else ''
    return f'a network with {other[0]} {own[other[0]]}, and {field} is {here[other[0]]}' if other else ''

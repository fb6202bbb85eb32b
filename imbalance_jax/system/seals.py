"""Plain data that carry their own checksum: what was changed since, by hand or by a disk, is seen when it is read."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SEAL = 'sha256'  # the field that holds the checksum of all others


def seal(value: Mapping[str, Any]) -> dict[str, Any]:
    """The block with its checksum as a further field, in place of one that it has."""
    rest = {name: one for name, one in value.items() if name != SEAL}
    return {**rest, SEAL: _checksum(rest)}


def fault_of(value: Mapping[str, Any]) -> str:
    """In what a block is not what was sealed, '' if it is. One without a checksum, of before there were any, is
    taken as it is."""
    if SEAL not in value or value[SEAL] == seal(value)[SEAL]:
        return ''
    return f'its {SEAL} is not that of its other fields: it was changed, or a disk has damaged it'


def _checksum(value: Mapping[str, Any]) -> str:
    """Sixty-four hexadecimal digits of a block as it comes back from a file, whatever the order of its fields."""
    plain = json.loads(json.dumps(value))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

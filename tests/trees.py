"""Places in plain data, for tests that change one of them."""

from typing import Any


def places(value: Any) -> list[tuple[Any, Any]]:
    """(block or list, key) of every place in it, outer ones first."""
    if not isinstance(value, (dict, list)):
        return []
    found = []
    for key in value if isinstance(value, dict) else range(len(value)):
        found += [(value, key), *places(value[key])]
    return found

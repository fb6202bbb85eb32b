"""What is kept between runs on this machine: compiled programs, and the strategy that ran a population fastest.

Both are in the folder IMBALANCE_JAX_CACHE, or else in `imbalance_jax` of the user's cache folder. Without it, only time
is lost.
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path

import jax

from imbalance_jax.system.files import regular, write_text
from imbalance_jax.system.seals import seal


def folder() -> Path | None:
    """Where the cache is; None for a user without a home, as in some containers."""
    if named := os.environ.get('IMBALANCE_JAX_CACHE'):
        return Path(named)
    try:
        return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'imbalance_jax'
    except RuntimeError:
        return None


def keep_programs() -> None:
    """Lets JAX keep every compiled program, however small, unless a cache of the user's own is set already."""
    users_own = getattr(jax.config, 'jax_compilation_cache_dir')  # noqa: B009  an option that type checkers don't know
    if users_own is None and (place := _writable()):
        jax.config.update('jax_compilation_cache_dir', str(place / 'programs'))
        jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
        jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)


def remember(conditions: dict, result: dict) -> None:
    """Keeps the result of a measurement under its conditions: whatever it depends on, as plain data.

    A cache that cannot be written, or a disk that is full, keeps nothing.
    """
    if place := _writable():
        text = json.dumps(seal({'conditions': conditions, 'result': result}), indent=1, sort_keys=True)
        with contextlib.suppress(OSError):
            write_text(_path(place, conditions), text)


def recall(conditions: dict) -> dict | None:
    """The result that was kept under exactly these conditions, or None."""
    if not (place := folder()):
        return None
    try:
        kept = json.loads(regular(_path(place, conditions)).read_text(encoding='utf-8'))
        sound = kept == seal(kept) and kept['conditions'] == json.loads(json.dumps(conditions))
        return kept['result'] if sound else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _path(place: Path, conditions: dict) -> Path:
    digest = hashlib.sha256(json.dumps(conditions, sort_keys=True).encode()).hexdigest()
    return place / 'strategies' / f'{digest[:16]}.json'


def _writable() -> Path | None:
    """The folder of the cache, if something can be written there."""
    if not (place := folder()):
        return None
    try:
        (place / 'strategies').mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return place if os.access(place / 'strategies', os.W_OK) else None

"""What is kept between runs on this machine: compiled programs, and the strategy that ran a population fastest.

Both are in the folder IMBALANCE_JAX_CACHE, or else in `imbalance_jax` of the user's cache folder. Without it, only time
is lost.
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path

import jax


def folder() -> Path:
    """Where the cache is."""
    named = os.environ.get('IMBALANCE_JAX_CACHE')
    return Path(named) if named else Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'imbalance_jax'


def keep_programs() -> None:
    """Lets JAX keep compiled programs, unless a cache of the user's own is set already."""
    users_own = getattr(jax.config, 'jax_compilation_cache_dir')  # noqa: B009  an option that type checkers don't know
    if users_own is None and _writable():
        jax.config.update('jax_compilation_cache_dir', str(folder() / 'programs'))


def remember(conditions: dict, result: dict) -> None:
    """Keeps the result of a measurement under its conditions: whatever it depends on, as plain data."""
    if _writable():
        path = _path(conditions)
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, 'w') as file:
            json.dump({'conditions': conditions, 'result': result}, file, indent=1, sort_keys=True)
        os.replace(name, path)


def recall(conditions: dict) -> dict | None:
    """The result that was kept under exactly these conditions, or None."""
    try:
        kept = json.loads(_path(conditions).read_text())
        return kept['result'] if kept['conditions'] == json.loads(json.dumps(conditions)) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _path(conditions: dict) -> Path:
    digest = hashlib.sha256(json.dumps(conditions, sort_keys=True).encode()).hexdigest()
    return folder() / 'strategies' / f'{digest[:16]}.json'


def _writable() -> bool:
    try:
        (folder() / 'strategies').mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder() / 'strategies', os.W_OK)

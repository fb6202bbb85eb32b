"""Files of text, perhaps gzipped, in whatever encoding."""

import gzip
import zlib
from pathlib import Path

from imbalance_jax.data.reader.rows import Found
from imbalance_jax.system.files import regular


def content(path: Path, encoding: str = 'utf-8', found: Found | None = None) -> str:
    """The text of a file, perhaps gzipped, without a byte order mark; ValueError if it is none."""
    try:
        data = regular(path).read_bytes()
        data = gzip.decompress(data) if path.suffix == '.gz' else data
    except (gzip.BadGzipFile, zlib.error, EOFError, OSError) as error:
        raise ValueError(f'{path} cannot be read ({error}).') from error
    if b'\0' in data[:4096] and data[:2] not in (b'\xff\xfe', b'\xfe\xff'):
        raise ValueError(f'{path} is not a readable text table: it has zero bytes; expected text.')
    marked = 'utf-16' if data[:2] in (b'\xff\xfe', b'\xfe\xff') else encoding
    try:
        return data.decode('utf-8-sig' if marked.lower() in ('utf-8', 'utf8') else marked)
    except (UnicodeDecodeError, LookupError) as error:
        if encoding.lower() not in ('utf-8', 'utf8'):
            raise ValueError(f'{path} is not text in the encoding {encoding!r} ({error}).') from error
    if found:
        found.notes.append(f'{path.name} is not UTF-8 and was read as Windows-1252; `encoding` says otherwise.')
    return data.decode('cp1252', errors='replace')


def lines_of(text: str) -> list[str]:
    """The lines of a text. Other characters at which Python's `splitlines` breaks may stand in a cell."""
    return text.replace('\r\n', '\n').replace('\r', '\n').split('\n')

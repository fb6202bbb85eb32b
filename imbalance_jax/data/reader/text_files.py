"""Files of text, perhaps gzipped, in whatever encoding."""

import gzip
import zlib
from pathlib import Path

from imbalance_jax.data.reader.rows import Found
from imbalance_jax.system.files import regular

# How files begin that are no text, and what to say of them.
MARKS = {
    b'PAR1': "it is a Parquet file (kind = 'parquet', or name it so)",
    b'PK\x03\x04': 'it is a ZIP archive or a workbook; unpack it, or save it as CSV',
    b'\x1f\x8b': 'it is compressed by gzip; name it .gz',
    b'<!DOCTYPE': 'it is a web page',
    b'<html': 'it is a web page',
}


def content(path: Path, encoding: str = 'utf-8', found: Found | None = None) -> str:
    """The text of a file, perhaps gzipped, without a byte order mark; ValueError if it is none."""
    try:
        data = regular(path).read_bytes()
        data = gzip.decompress(data) if path.suffix == '.gz' else data
    except (gzip.BadGzipFile, zlib.error, EOFError, OSError) as error:
        raise ValueError(f'{path} cannot be read ({error}).') from error
    begun = next((what for mark, what in MARKS.items() if data.startswith(mark)), '')
    if begun or (b'\0' in data[:4096] and data[:2] not in (b'\xff\xfe', b'\xfe\xff')):
        what = begun or 'it has the byte 0, as files that are no text or UTF-16 without a mark have'
        raise ValueError(f'{path} is not a readable text table: {what}; expected text.')
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

"""Compares the library's numbers with those of its peers, on random networks, maps and predictions, in one table.

    python -m imbalance_jax.analysis.bench.parity --peer=captum,quantus,sklearn,torchmetrics --python=PYTHON

Attribution: a network with biases, a stride, a residual, two kinds of max pool and batch normalisation of random
statistics, images of odd size and a baseline that is not zero (`parity_cases`). What is ours is computed here, what is
the peers' by the interpreter PYTHON (this one by default) in `parity_peers.py`, which imports nothing of ours. Prints
one line per number: the largest difference as a share of the peer's largest value. Ends with 1 if one is above the
tolerance that is expected of it.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import app, flags

from imbalance_jax.analysis.bench import parity_cases
from imbalance_jax.system import output

PEER = flags.DEFINE_list('peer', list(parity_cases.PEERS), 'which peers')
PYTHON = flags.DEFINE_string('python', sys.executable, 'an interpreter that has the peers')
SEED = flags.DEFINE_integer('seed', 0, 'of networks, images, maps and predictions')


class Line(NamedTuple):
    """A number, whose it is, how far ours is away from it, as a share of its largest value, and how far it may be."""

    what: str
    peer: str
    away: float
    tolerance: float

    @property
    def agrees(self) -> bool:
        """Whether it is near enough; NaN is not."""
        return self.away <= self.tolerance


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference as a share of the largest of theirs; infinite for other shapes, or NaN in other places."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape or not np.array_equal(np.isfinite(ours), np.isfinite(theirs)):
        return float('inf')
    known = np.isfinite(theirs)
    largest = np.abs(theirs[known]).max(initial=0.0)
    return float(np.abs(ours[known] - theirs[known]).max(initial=0.0) / (largest or 1.0))


def ask_peers(
    python: str, peers: list[str], given: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """What the peers make of what they are given, {'PEER/NUMBER': array}, and the version of each that is there."""
    try:
        subprocess.run([python, '-c', 'import numpy, torch'], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise app.UsageError(
            f'--python={python} runs no Python with torch and numpy; give one that has the peers.'
        ) from error
    script = Path(__file__).with_name('parity_peers.py')
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f'{folder}/given.npz', allow_pickle=False, **given)
        subprocess.run([python, '-W', 'ignore', str(script), folder, ','.join(peers)], check=True)
        with np.load(f'{folder}/peers.npz') as found:
            return dict(found), json.loads(Path(folder, 'versions.json').read_text())


def lines(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> list[Line]:
    """A line for every number of a peer."""
    found = []
    for name, value in sorted(theirs.items()):
        peer, _, what = name.partition('/')
        tolerance = parity_cases.TOLERANCES.get(what, parity_cases.TOLERANCE)
        found.append(Line(what, peer, difference(ours[what], value), tolerance))
    return found


def main(_) -> None:
    unknown = set(PEER.value) - set(parity_cases.PEERS)
    if unknown:
        raise app.UsageError(f'--peer: {", ".join(sorted(unknown))}; known: {", ".join(parity_cases.PEERS)}.')
    given = parity_cases.make(SEED.value)
    theirs, versions = ask_peers(PYTHON.value, PEER.value, given)
    for peer in PEER.value:
        if peer not in versions:
            print(f'{peer} is not installed there: no peer.', file=sys.stderr)
    compared = lines(parity_cases.ours(given), theirs)
    print(', '.join(f'{peer} {version}' for peer, version in versions.items()) + f', seed {SEED.value}\n')
    print('| number | peer | largest difference | |\n| --- | --- | --- | --- |')
    for line in compared:
        print(f'| {line.what} | {line.peer} | {line.away:.1e} | {"" if line.agrees else "**differs**"} |')
    sys.exit(0 if compared and all(line.agrees for line in compared) else 1)


if __name__ == '__main__':
    output.never_fails()
    app.run(main)

"""Weights kept beside each member's best: matched to the reference in validation AUROC, and at shares of training.

Arms whose AUROC differs may differ in their maps for that reason alone. So of every member the weights can be kept of
the epoch whose validation macro AUROC is nearest to the best one of the reference arm with the same seed. That best is
known at the end only. Until then a member's epochs that can still prove nearest are kept: every one above the
reference's best so far, and the nearest below it. Each is a file of its own, which is removed when another is nearer;
what is kept is a function of metrics.jsonl, so that a run that resumes keeps the same.
"""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from imbalance_jax.system import layout, records
from imbalance_jax.system.processes import leads
from imbalance_jax.system.workdir import atomic, read_arrays, remove
from imbalance_jax.training.members import retrain_epoch

MATCHED = 'matched'

Curve = dict[int, float]  # finished epochs -> validation macro AUROC, of the epochs in which a member lived


class Kept(NamedTuple):
    """What is kept: the weights matched to the arm `reference`, and those at these shares of training (0..1).

    reference_head_from: the fraction of training from which the reference's head is retrained, 1 for never.
    """

    matched: bool = False
    shares: tuple[float, ...] = ()
    reference: str = ''
    reference_head_from: float = 1.0

    @property
    def names(self) -> list[str]:
        """The folders of WORKDIR/weights."""
        return [MATCHED] * self.matched + [share_name(share) for share in self.shares]


def share_name(share: float) -> str:
    """'share_0.25' for the weights after a quarter of training."""
    return f'share_{share:g}'


def share_epoch(share: float, epochs: int) -> int:
    """The number of finished epochs, 1 or more, with which that share of training is done."""
    return max(1, math.ceil(share * epochs - 1e-9))


def candidates(curve: Curve, reference: Curve, *, ended: bool) -> set[int]:
    """The epochs of a curve that can prove nearest to the best of the reference; of equal ones the first.

    ended: the reference is trained, and the nearest is known; there is none if it has no epoch.
    """
    if not curve or (ended and not reference):
        return set()
    best = max(reference.values(), default=-math.inf)
    first: Curve = {}
    for epoch in sorted(curve):
        if curve[epoch] not in first.values():
            first[epoch] = curve[epoch]
    if ended:
        return {min(first, key=lambda epoch: (abs(first[epoch] - best), epoch))}
    below = {epoch for epoch in first if first[epoch] <= best}
    nearest = {max(below, key=lambda epoch: first[epoch])} if below else set()
    return (first.keys() - below) | nearest


def curves(workdir: Path, members: Sequence[Mapping[str, Any]]) -> list[Curve]:
    """What metrics.jsonl says of each member."""
    result = {(row['arm'], row['seed']): Curve() for row in members}
    for row in records.metrics(workdir):
        member = (row['arm'], row['seed'])
        if member in result and row['alive'] and row['validation_auroc'] is not None:
            result[member][row['epoch']] = row['validation_auroc']
    return list(result.values())


def wanted(
    kept: Kept, workdir: Path, members: Sequence[Mapping[str, Any]], *, epochs: int, ended: bool = False
) -> list[dict[str, set[int]]]:
    """For each member what is kept, name -> its epochs so far, of which those at the end are one.

    members: of a wave, whose reference, if it is among them, is still training unless all has `ended`; epochs: of the
    whole training. Epochs before a head is retrained are no candidates.
    """
    running = {row['seed'] for row in members if row['arm'] == kept.reference} if not ended else set()
    seeds = list(dict.fromkeys(row['seed'] for row in members))
    of_reference = curves(workdir, [{'arm': kept.reference, 'seed': seed} for seed in seeds])
    best_of = {seed: _ranked(c, kept.reference_head_from, epochs) for seed, c in zip(seeds, of_reference, strict=True)}
    result = []
    for row, curve in zip(members, curves(workdir, members), strict=True):
        epochs_of = {share_name(share): {share_epoch(share, epochs)} & curve.keys() for share in kept.shares}
        if kept.matched:
            ranked = _ranked(curve, row['retrain_head_from'], epochs)
            epochs_of[MATCHED] = candidates(ranked, best_of[row['seed']], ended=row['seed'] not in running)
        result.append(epochs_of)
    return result


def _ranked(curve: Curve, head_from: float, epochs: int) -> Curve:
    """The part of a curve after the head began anew."""
    begin = retrain_epoch(head_from, epochs)
    return {epoch: auroc for epoch, auroc in curve.items() if begin is None or epoch > begin or begin >= epochs}


def keep(
    kept: Kept, workdir: Path, members: Sequence[Mapping[str, Any]], variables: Any, *, epoch: int, epochs: int
) -> None:
    """After `epoch` finished epochs: writes what of these members [P] has to be kept, and removes what has not.

    members: rows of a wave; variables: theirs, NumPy arrays [P, ...].
    """
    if not kept.names or not leads():
        return
    for i, epochs_of in enumerate(wanted(kept, workdir, members, epochs=epochs)):
        number, chosen = members[i]['member'], set().union(*epochs_of.values())
        if epoch in chosen:
            _write(_path(workdir, number, epoch), jax.tree.map(lambda a, i=i: a[i], variables))
        _remove(workdir, number, but=chosen)


def chosen(kept: Kept, workdir: Path, members: Sequence[Mapping[str, Any]], *, epochs: int) -> dict[str, np.ndarray]:
    """Name -> the epoch [P] whose weights each member has kept under it, 0 for none; other files are removed.

    For the end of training, with all members.
    """
    of_members = wanted(kept, workdir, members, epochs=epochs, ended=True)
    for row, epochs_of in zip(members, of_members, strict=True):
        if leads():
            _remove(workdir, row['member'], but=set().union(*epochs_of.values()))
    return {name: np.array([max(one[name], default=0) for one in of_members], np.int32) for name in kept.names}


def variables(workdir: Path, epochs: np.ndarray, best: Any) -> Any:
    """The variables [P, ...] kept of these epochs [P]; of a member without any, 0, those in `best`.

    Raises ValueError for a file that is missing or damaged.
    """
    leaves, tree = jax.tree.flatten(jax.tree.map(np.array, best))
    for member in np.flatnonzero(epochs):
        path = _path(workdir, int(member), int(epochs[member]))
        try:
            arrays = read_arrays(path)
        except FileNotFoundError as error:
            raise ValueError(f'{path} is missing; {records.ELSEWHERE}.') from error
        for i, leaf in enumerate(leaves):
            leaf[member] = np.frombuffer(arrays[str(i)].tobytes(), leaf.dtype).reshape(leaf.shape[1:])
    return jax.tree.unflatten(tree, leaves)


def _write(path: Path, one: Any) -> None:
    """Leaves as bytes: types that NumPy does not know, such as bfloat16, are none of its files'."""
    arrays = {str(i): np.ascontiguousarray(leaf).view(np.uint8) for i, leaf in enumerate(jax.tree.leaves(one))}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    atomic(path, lambda file: file.write(buffer.getbuffer()))


def _path(workdir: Path, member: int, epoch: int) -> Path:
    return layout.kept(workdir) / f'member_{member}_epoch_{epoch}.npz'


def _remove(workdir: Path, member: int, *, but: set[int]) -> None:
    """The files of a member that are of other epochs."""
    for path in layout.kept(workdir).glob(f'member_{member}_epoch_*.npz'):
        if int(path.stem.rpartition('_')[2]) not in but:
            remove(path)

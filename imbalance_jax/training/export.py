"""The verb `export`: trained members as files that others can use, each with a card that says what it is."""

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from imbalance_jax import weights
from imbalance_jax.attribution.methods import METHODS
from imbalance_jax.models.entrance import MATRIX, OFFSET, Entrance, mixing
from imbalance_jax.models.naming import torch_names_of
from imbalance_jax.models.odds import LINK
from imbalance_jax.names import lookup
from imbalance_jax.system import environment, layout, progress
from imbalance_jax.system.files import UNFINISHED, atomic, check_folder, write_json, write_text
from imbalance_jax.training import card, exported, other_sets, serialised
from imbalance_jax.training.trained import Trained, check_trained, load

log = logging.getLogger(__name__)

STATE, LOGITS, MAP, ENSEMBLE = 'model.safetensors', 'logits.jaxexport', 'map.jaxexport', 'ensemble.jaxexport'
CARD = 'README.md'
BEGUN = '.unfinished_export.json'  # of an export that is going on, or was stopped


def run(
    workdir: Path, out: Path, *, member: str = '', method: str = '', again: bool = False, base: Mapping[str, Any]
) -> None:
    """Writes OUT/ARM/SEED of each member, and OUT/ARM with the mean of its seeds, of a finished training.

    member: ARM or ARM/SEED, only these; method: that of the maps, Grad-CAM by default; base: fields of a config with
    their defaults. Raises ValueError for an unknown member or method, and for what is there already unless `again`.
    """
    check_trained(workdir)
    environment.pin()
    method = method or 'grad_cam'
    lookup(METHODS, method, 'attribution method')
    other_sets.refuse_of_other(workdir, 'export')
    trained = load(workdir, base)
    arms = chosen(trained.members, member)
    if (out / layout.CONFIG).exists():
        raise ValueError(f'--out={out} is a working directory; give a folder of its own, such as --out=exported.')
    check_folder(out, 'out')
    whole = {arm: len(rows) for arm, rows in arms.items() if not member or arm == member}
    check_folders(list(arms))
    record = {'of': _identity(workdir), 'method': method, 'only': member}
    goes_on = not again and _begun(out) == record  # what is there was written whole
    made = [out / folder_name(arm) / str(row['seed']) for arm, rows in arms.items() for row in rows]
    _free([*made, *(out / folder_name(arm) / CARD for arm in whole)], again or goes_on)
    write_json(out / BEGUN, record)
    if not serialised.possible():
        log.warning("Only tensors are written: jax.export needs flatbuffers (pip install 'imbalance-jax[export]').")
    count = sum(map(len, arms.values())) + len(whole)
    with progress.show('export', count) as update:
        done = 0
        for arm, rows in arms.items():
            for row in rows:
                folder = out / folder_name(arm) / str(row['seed'])
                if not (goes_on and folder.exists()):
                    _member(workdir, folder, trained, row, method)
                update(done := done + 1)
            if arm in whole:
                if not (goes_on and (out / folder_name(arm) / CARD).exists()):
                    _ensemble(workdir, out / folder_name(arm), trained, rows, method)
                update(done := done + 1)
    (out / BEGUN).unlink()


def _identity(workdir: Path) -> str:
    """What tells a finished training from others: its config, members and metrics."""
    parts = [workdir / name for name in (layout.CONFIG, layout.MEMBERS, layout.METRICS)]
    return hashlib.sha256(b''.join(part.read_bytes() for part in parts if part.exists())).hexdigest()


def _begun(out: Path) -> Any:
    """What an export that was stopped there was to write; None without one."""
    try:
        return json.loads((out / BEGUN).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return None


def chosen(members: list[dict[str, Any]], member: str) -> dict[str, list[dict[str, Any]]]:
    """Arm -> its rows of members.json: all, those of ARM, or that of ARM/SEED; ValueError for what is not there."""
    arms: dict[str, list[dict[str, Any]]] = {}
    for row in members:
        arms.setdefault(row['arm'], []).append(row)
    if not member:
        return arms
    if member in arms:
        return {member: arms[member]}
    arm, _, seed = member.rpartition('/')
    rows = lookup(arms, arm or member, 'arm of --only:')
    by_seed = {str(row['seed']): row for row in rows}
    return {arm: [lookup(by_seed, seed, f'seed of --only, of arm {arm!r}:')]}


def check_folders(arms: Sequence[str]) -> None:
    """Raises ValueError for arms whose folders would have one name, also where capitals are the same."""
    known: dict[str, str] = {}
    for arm in arms:
        if (other := known.setdefault(folder_name(arm).lower(), arm)) != arm:
            raise ValueError(
                f'Arms {other!r} and {arm!r} would have one folder, {folder_name(arm)}: export them apart, with --only.'
            )


def folder_name(arm: str) -> str:
    """The name of an arm as that of a folder."""
    return ''.join(c if c.isalnum() or c in '-_.' else '_' for c in arm).lstrip('.') or '_'


def to_unit_grey(trained: Trained, link: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The matrix [C,D] and offset [D] by which images in 0..1 become what the network itself takes."""
    channels = trained.image_shape[-1]
    black, white = (
        np.asarray(trained.normalise(jnp.full((1, 1, 1, channels), value, jnp.uint8)), np.float64)[0, 0, 0]
        for value in (0, 255)
    )
    entrance = _entrance(trained.model)
    wanted = entrance.channels if entrance else channels
    matrix = np.asarray(link.get(MATRIX, mixing(channels, wanted)), np.float64)
    offset = np.broadcast_to(np.asarray(link.get(OFFSET, 0.0), np.float64), wanted)
    return ((white - black)[:, None] * matrix).astype(np.float32), (offset + black @ matrix).astype(np.float32)


def _entrance(model: Any) -> Entrance | None:
    """The entrance around a model, if it has one."""
    while not isinstance(model, Entrance):
        if not hasattr(model, 'model'):
            return None
        model = model.model
    return model


def state_dict(trained: Trained, row: Mapping[str, Any], variables: Any) -> tuple[dict[str, Any], str, bool]:
    """A member's tensors, how they are called or why there are none, and whether PyTorch's own model takes them."""
    link = variables.get('link', {})
    if float(np.asarray(link.get('cosine', 0.0))) > 0:
        return {}, 'none, as its logits are cosines, which no linear layer gives: take the exported program.', False
    names = torch_names_of(trained.model)
    if not names:
        parts = {part: variables[part] for part in ('params', 'batch_stats') if part in variables}
        tensors = {'/'.join(path): np.asarray(leaf) for path, leaf in weights.flat(parts)}
        return tensors, f"in {STATE}, by Flax's names and axes: this network has no counterpart in PyTorch.", False
    name = trained.config.model.name
    options = card.options_said(trained.config.model)
    scheme = next(iter(names))
    tensors = weights.to_torch(variables, names[scheme])
    if options:
        said = f'its options ({options}) make it another network than that of {scheme}.'
        return tensors, f'in {STATE}, by the names of {scheme}; {said}', False
    return tensors, f"in {STATE}, by the names of {scheme}'s {name}, which loads them with strict=True.", True


def _facts(trained: Trained, row: Mapping[str, Any], variables: Any, method: str) -> dict[str, Any]:
    entrance = _entrance(trained.model)
    matrix, offset = to_unit_grey(trained, variables.get('link', {}))
    return {
        'architecture': trained.config.model.name,
        'options': card.options_said(trained.config.model),
        'classes': list(trained.dataset.classes),
        'image': trained.image_shape,
        'programs': serialised.possible(),
        'method': method,
        'matrix': matrix,
        'offset': offset,
        'channels': len(offset),
        'outputs': len(trained.dataset.classes),
        'resize': entrance.geometry.resize if entrance else 0,
        'crop': entrance.geometry.crop if entrance else 0,
        'interpolation': entrance.geometry.interpolation if entrance else '',
        'link': 'softmax' if float(np.asarray(variables.get('link', {}).get(LINK, 0.0))) > 0 else 'sigmoid',
    }


def _variables(trained: Trained, row: Mapping[str, Any]) -> Any:
    return jax.tree.map(lambda a: np.asarray(a[row['member']]), trained.variables)


def _member(workdir: Path, folder: Path, trained: Trained, row: Mapping[str, Any], method: str) -> None:
    """The files of one member, in a folder that appears whole."""
    variables = _variables(trained, row)
    tensors, keys, strict = state_dict(trained, row, variables)
    facts = {**_facts(trained, row, variables, method), 'keys': keys, 'strict': strict}
    layer = trained.layer_of(trained.config.attribution.layer)
    options = dict(trained.config.attribution.get(method, {}))
    made = folder.with_name(f'.{folder.name}{UNFINISHED}')
    shutil.rmtree(made, ignore_errors=True)
    if tensors:
        weights.write_safetensors(made / STATE, tensors, exported.metadata(row, facts))
    parts = trained.model, trained.normalise, variables
    explained = serialised.map_of(*parts, method=method, layer=layer, options=options)
    if serialised.possible():
        _write(made / LOGITS, serialised.serialise(serialised.logits_of(*parts), trained.image_shape))
        _write(made / MAP, serialised.serialise(explained, trained.image_shape, serialised.chosen_class()))
    write_text(made / CARD, card.write(workdir, [row], facts, single=True))
    shutil.rmtree(folder, ignore_errors=True)
    made.rename(folder)


def _ensemble(workdir: Path, folder: Path, trained: Trained, rows: list[dict[str, Any]], method: str) -> None:
    """The mean of the probabilities of an arm's living seeds, and the card of the arm."""
    living = [row for row in rows if trained.alive[row['member']]]
    if not living:
        return
    members = [_variables(trained, row) for row in living]
    function = serialised.probabilities_of(trained.model, trained.normalise, members)
    if serialised.possible():
        _write(folder / ENSEMBLE, serialised.serialise(function, trained.image_shape))
    said = f'those of its {card.member_word(rows[0])}s, each in a folder of its own.'
    facts = {**_facts(trained, rows[0], members[0], method), 'keys': said, 'strict': False}
    write_text(folder / CARD, card.write(workdir, living, facts, single=False))


def _write(path: Path, content: bytes) -> None:
    atomic(path, lambda file: file.write(content))


def _free(paths: list[Path], again: bool) -> None:
    """Raises ValueError for the first path that is there already, unless `again`."""
    for path in paths:
        if path.exists() and not again:
            raise ValueError(f'{path} is there already; give another --out, or --again to write it anew.')

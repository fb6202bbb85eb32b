"""What training begins with: weights that were learned elsewhere, for some arms or all, and the way into them.

A member's network is drawn by its seed, as ever, and where its arm begins with weights, those take the place of all but
the head. That is done here on the host, to what training or explaining then sends to its devices: no program has
weights in it. Members of equal seed have equal heads, whatever they begin with.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from imbalance_jax import weights
from imbalance_jax.models import entrance
from imbalance_jax.models.entrance import MATRIX, OFFSET, Entrance, Geometry
from imbalance_jax.system import layout, records
from imbalance_jax.system.files import differences
from imbalance_jax.system.workdir import read_arrays, write_arrays, write_json
from imbalance_jax.training.members import RANDOM
from imbalance_jax.training.optimizer import Averaged

SHA256 = 'weights_sha256'  # of a row of members.json that begins with weights
PARTS = ('params', 'batch_stats')
ENTRANCE = (MATRIX, OFFSET)  # of the collection 'link'


class Start(NamedTuple):
    """Weights that training begins with.

    facts: what is told of them, as plain data: 'file', 'sha256', 'container', 'name', 'trained_on', 'preprocessing' (
    the fields of `weights.Preprocessing`; without a mean it is the data set's own) and 'head', 'new' or 'kept';
    variables: {'params', 'batch_stats'}, as the network has them, without the head unless it is kept.
    """

    facts: dict[str, Any]
    variables: dict[str, Any]

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What the weights want of an image."""
        return self.facts['preprocessing']


Starts = Mapping[str, Start]  # by what rows of members.json call 'weights'


def weights_of(row: Mapping[str, Any]) -> str:
    """What a row of members.json begins with: RANDOM, or the path of weights. Older versions do not say."""
    return row.get('weights') or RANDOM


def chosen(rows: Sequence[Mapping[str, Any]], setting: ConfigDict) -> list[dict[str, Any]]:
    """Rows of members.json in which 'weights' and 'preprocessing' are the arm's own, or those of `config.model`."""
    weights, preprocessing = setting.get('weights', ''), setting.get('preprocessing', {}).get('name', '')
    return [
        {
            **row,
            'weights': row['weights'] or weights or RANDOM,
            'preprocessing': row['preprocessing'] or preprocessing,
        }
        for row in rows
    ]


def digests(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Weights that any member begins with -> their sha256."""
    return {weights_of(row): row[SHA256] for row in rows if SHA256 in row}


def described(starts: Starts) -> dict[str, Any]:
    """What of these weights the speed of a program depends on."""
    return {'entrance': [wanted_channels(starts, 0), *geometry(starts)]} if starts else {}


def began_as(members: Sequence[Mapping[str, Any]]) -> tuple[list[int], np.ndarray]:
    """The first members [B] of those that began alike, with the same weights and seed, and which of them every member
    began as [P]."""
    kinds = [(weights_of(row), row['seed']) for row in members]
    distinct = list(dict.fromkeys(kinds))
    return [kinds.index(kind) for kind in distinct], np.array([distinct.index(kind) for kind in kinds])


def begin(variables: Any, rows: Sequence[Mapping[str, Any]], starts: Starts) -> Any:
    """Variables [Q,...] of networks drawn by their seeds, with the weights that each row begins with; on the host.

    A network that begins with none stays as it is.
    """
    for name, start in starts.items():
        chosen = np.array([weights_of(row) == name for row in rows], bool)
        if chosen.any():
            variables = {**variables, **{part: _put(variables[part], start.variables[part], chosen) for part in PARTS}}
    return variables


def begin_state(state: Any, rows: Sequence[Mapping[str, Any]], starts: Starts, links: Any) -> Any:
    """`begin` for the states [Q,...] of members. links: of `links_of`, for the same rows."""
    variables = begin(state.variables, rows, starts)
    params = {**state.params, 'model': variables['params']}
    begun = state._replace(params=params, batch_stats=variables['batch_stats'], link={**state.link, **links})
    if isinstance(state.opt_state, Averaged):  # the means of weights begin with them
        means = {'params': variables['params'], 'batch_stats': variables['batch_stats']}
        return begun._replace(opt_state=state.opt_state._replace(**means))
    return begun


def _put(tree: Any, given: Any, chosen: np.ndarray) -> Any:
    """A tree of arrays [Q,...] with what `given`, part of such a tree without Q, has, where `chosen` [Q]."""
    if not isinstance(given, Mapping):
        result = np.array(tree)
        result[chosen] = given
        return result
    return {**tree, **{name: _put(tree[name], one, chosen) for name, one in given.items()}}


def entered(model: Any, starts: Starts, channels: int) -> Any:
    """The model behind the entrance that its weights need; the model itself where nothing begins with weights.

    channels: of the data set. Raises ValueError for weights that do not go together.
    """
    if not starts:
        return model
    return Entrance(model, wanted_channels(starts, channels), geometry(starts))


def wanted_channels(starts: Starts, channels: int) -> int:
    """The channels of the network: those of its weights, the most if they differ; `channels`, the data set's, without
    any."""
    return max((one.preprocessing['channels'] for one in starts.values()), default=channels)


def geometry(starts: Starts) -> Geometry:
    """The size that images are brought to; ValueError if two weights want different ones."""
    wanted = {name: Geometry(*(one.preprocessing[field] for field in Geometry._fields)) for name, one in starts.items()}
    if len(set(wanted.values())) > 1:
        shown = '; '.join(f'{name}: {one._asdict()}' for name, one in wanted.items())
        raise ValueError(f'Weights of one population must want images of one size, and these do not: {shown}.')
    return next(iter(wanted.values()))


def with_links(init: Callable[[Any], Any], starts: Starts, grey: tuple[Any, Any]) -> Callable[[Any], Any]:
    """`init(member) -> variables` with the entrance of a network without weights, which `begin_state` exchanges."""
    plain = {name: value[0] for name, value in links_of([{}], starts, grey).items()}
    if not plain:
        return init

    def linked(member: Any) -> Any:
        variables = init(member)
        return {**variables, 'link': {**variables.get('link', {}), **jax.tree.map(jnp.asarray, plain)}}

    return linked


def links_of(rows: Sequence[Mapping[str, Any]], starts: Starts, grey: tuple[Any, Any]) -> dict[str, Any]:
    """MATRIX [Q,C,D] and OFFSET [Q,D] of the networks of `rows`; nothing where nothing begins with weights.

    grey: mean and standard deviation of the data set, numbers or [C]. A network without weights takes images as the
    data set has them.
    """
    if not starts:
        return {}
    channels = np.size(grey[0])
    wanted = wanted_channels(starts, channels)
    plain = entrance.mixing(channels, wanted).astype(np.float32), np.zeros(wanted, np.float32)
    of_start = {name: _affine(one.preprocessing, channels, wanted, grey) for name, one in starts.items()}
    chosen = [of_start.get(weights_of(row), plain) for row in rows]
    return {name: np.stack([one[i] for one in chosen]) for i, name in enumerate((MATRIX, OFFSET))}


def _affine(
    wanted: Mapping[str, Any], channels: int, width: int, grey: tuple[Any, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """What one kind of weights wants. Where it is one channel of a network of several, each of them gets the same."""
    if wanted['mean'] is None:  # as the data set has them
        matrix = entrance.mixing(channels, wanted['channels']).astype(np.float32)
        offset = np.zeros(wanted['channels'], np.float32)
    else:
        what = {name: wanted[name] for name in ('mean', 'std', 'low', 'high')}
        matrix, offset = entrance.affine(channels, grey, **what)
    repeated = width // wanted['channels']
    return np.tile(matrix, repeated), np.tile(offset, repeated)


def keep(workdir: Path, starts: Starts) -> None:
    """Keeps what training begins with in the working directory, which then needs no other file; at once, or not."""
    facts, path = {name: one.facts for name, one in starts.items()}, Path(workdir) / layout.STARTS
    if not starts or (path.exists() and not differences(records.starts(workdir), facts)):
        return
    for number, one in enumerate(starts.values()):
        leaves = {'/'.join(path): leaf for path, leaf in weights.flat(one.variables)}
        write_arrays(layout.start(workdir, number), **leaves)
    write_json(path, facts)


def kept(workdir: Path) -> dict[str, Start]:
    """What `keep` kept; nothing where training began with no weights."""
    names = enumerate(records.starts(workdir).items())
    return {name: Start(facts, of_paths(read_arrays(layout.start(workdir, i)))) for i, (name, facts) in names}


def free_fields(config: ConfigDict) -> tuple[str, ...]:
    """The fields of a config that say where weights lie: `check_same` says whether they are the same."""
    return ('model.weights', 'model.allow_seen_patients', *(f'arms.{name}.weights' for name in config.arms))


def of_paths(leaves: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Variables whose leaves have these paths, 'params/head/kernel'."""
    tree = weights.nested({tuple(path.split('/')): leaf for path, leaf in leaves.items()})
    return {part: tree.get(part, {}) for part in PARTS}


def check_same(workdir: Path, members: Sequence[Mapping[str, Any]]) -> None:
    """Raises ValueError if `workdir` was begun with other weights than `members`; files may have changed since."""
    if not (Path(workdir) / layout.MEMBERS).exists():
        return
    before = {(row['arm'], row['seed']): row.get(SHA256) for row in records.members(workdir)}
    for row in members:
        one = row['arm'], row['seed']
        if one in before and before[one] != row.get(SHA256):
            was, now = (f'sha256 {sha[:16]}' if sha else RANDOM for sha in (before[one], row.get(SHA256)))
            raise ValueError(
                f'{workdir}: arm {row["arm"]} was begun with other weights ({was}) than those of now ({now}): give the'
                ' same file again, or take another --workdir.'
            )

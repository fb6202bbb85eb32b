"""How far maps move when products and convolutions round their factors, as accelerators do: held against 64 bits.

    python -m imbalance_jax.analysis.validation.precision WORKDIR --members=3 --pairs=24

Of a trained population, maps of the same networks and images are computed with 64 bits, and again with 32, with factors
rounded to those of tensorfloat32 (10 bits of fraction) and of bfloat16 (7), and by a network that computes in bfloat16
throughout. Rounding is emulated: every product and convolution of the traced program, gradients too, has its factors
rounded and sums in 32 bits, which is what the devices do. So the answer needs no accelerator.

Per method and precision, over members and pairs: the distance of maps over their norm (median and 95th percentile),
Spearman's rank correlation (5th percentile), and the share of maps whose hottest pixel is another.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal
from scipy import stats

from imbalance_jax.attribution import all_classes
from imbalance_jax.data.regions import finding_pairs
from imbalance_jax.explain.maps import make_network, options_of
from imbalance_jax.models import stems
from imbalance_jax.system import output
from imbalance_jax.training.trained import SPLIT, Trained, load

PRODUCTS = ('dot_general', 'conv_general_dilated')
BITS = {'float32': 23, 'tensorfloat32': 10, 'bfloat16': 7}  # of the fraction of factors
WHOLE = 'bfloat16 network'


def rounded(fn: Callable, bits: int) -> Callable:
    """`fn`, whose products and convolutions have factors of so many bits of fraction."""

    def wrapped(*args):
        closed, shapes = jax.make_jaxpr(fn, return_shape=True)(*args)
        outs = _evaluate(closed, jax.tree.leaves(args), bits)
        return jax.tree.unflatten(jax.tree.structure(shapes), outs)

    return wrapped


def _evaluate(closed: ClosedJaxpr, args: Sequence[Any], bits: int) -> list[Any]:
    jaxpr = closed.jaxpr
    values: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*closed.consts, *args], strict=True))

    def read(var: Any) -> Any:
        return var.val if isinstance(var, Literal) else values[var]

    for eqn in jaxpr.eqns:
        outs = _apply(eqn, [read(var) for var in eqn.invars], bits)
        values |= dict(zip(eqn.outvars, outs, strict=True))
    return [read(var) for var in jaxpr.outvars]


def _parts_of_scan(params: Mapping[str, Any]) -> tuple[int, int]:
    """How many inputs of a scan are the same in all steps, and how many it carries on; JAX 0.12 has other words."""
    if 'ft_in' not in params:
        return params['num_consts'], params['num_carry']
    fixed, carried, _ = map(len, params['ft_in'].unpack())
    return fixed, carried


def _apply(eqn: Any, inputs: list[Any], bits: int) -> list[Any]:
    """The results of one equation: of a product with rounded factors, of a loop or a call with those in it rounded."""
    name, params = eqn.primitive.name, eqn.params
    inner = partial(_evaluate, bits=bits)
    if name == 'scan':
        fixed, carried = _parts_of_scan(params)

        def body(carry, x):
            outs = inner(params['jaxpr'], [*inputs[:fixed], *carry, *x])
            return outs[:carried], outs[carried:]

        start, over = inputs[fixed : fixed + carried], inputs[fixed + carried :]
        carry, outs = jax.lax.scan(body, start, over, length=params['length'], reverse=params['reverse'])
        return [*carry, *outs]
    if name == 'while':
        tested, fixed = params['cond_nconsts'], params['body_nconsts']
        of_test, of_body, start = np.split(np.array(inputs, object), [tested, tested + fixed])
        return jax.lax.while_loop(
            lambda carry: inner(params['cond_jaxpr'], [*of_test, *carry])[0],
            lambda carry: inner(params['body_jaxpr'], [*of_body, *carry]),
            list(start),
        )
    if name == 'cond':
        branches = [lambda *args, one=one: inner(one, args) for one in params['branches']]
        return jax.lax.switch(inputs[0], branches, *inputs[1:])
    closed = next((params[key] for key in ('jaxpr', 'call_jaxpr', 'call', 'fun_jaxpr') if key in params), None)
    if closed is not None:
        return inner(closed if hasattr(closed, 'consts') else ClosedJaxpr(closed, ()), inputs)
    if name in PRODUCTS:
        inputs = [jax.lax.reduce_precision(x, 8, bits) for x in inputs]
    outs = eqn.primitive.bind(*inputs, **params)
    return list(outs) if eqn.primitive.multiple_results else [outs]


def maps_of(trained: Trained, method: str, dtype: str) -> Callable:
    """`maps(variables, images, classes, rows)` of networks that compute with numbers of one kind."""
    network = make_network(trained.model.clone(dtype=dtype), trained.layer_of(trained.config.attribution.layer))
    maps = all_classes.class_maps(network, method, options_of(trained, method))
    return lambda variables, images, classes, rows: maps(variables, images, classes[:, None], rows)[:, 0]


def measured(trained: Trained, method: str, members: int, pairs: int) -> dict[str, np.ndarray]:
    """Precision -> maps [P,M,H,W], and 'float64' those that all are held against."""
    found = finding_pairs(trained.dataset, SPLIT, 'box', 0)
    some = np.unique(np.linspace(0, len(found.image) - 1, pairs).round().astype(int))
    images, classes, rows = trained.dataset.images[found.image[some]], found.finding[some], found.image[some]
    images = np.asarray(trained.normalise(jnp.asarray(images)))
    variables = [jax.tree.map(lambda a, i=i: np.asarray(a[i]), trained.variables) for i in range(members)]
    result = {}
    with jax.enable_x64(True), mock.patch.dict(stems.DTYPES, float64=jnp.float64):
        doubled = jax.jit(maps_of(trained, method, 'float64'))
        wide = [jax.tree.map(lambda a: a.astype(np.float64) if a.dtype == np.float32 else a, one) for one in variables]
        result['float64'] = np.stack([doubled(one, images.astype(np.float64), classes, rows) for one in wide])
    for name, bits in BITS.items():
        program = jax.jit(rounded(maps_of(trained, method, 'float32'), bits))
        result[name] = np.stack([program(one, images, classes, rows) for one in variables])
    whole = jax.jit(maps_of(trained, method, 'bfloat16'))
    result[WHOLE] = np.stack([whole(one, images, classes, rows) for one in variables])
    return {name: np.asarray(maps, np.float64) for name, maps in result.items()}


def line(method: str, name: str, maps: np.ndarray, exact: np.ndarray) -> str:
    """A row of the table."""
    maps, exact = (a.reshape(-1, a.shape[-2] * a.shape[-1]) for a in (maps, exact))
    shown = np.linalg.norm(exact, axis=1) > 0  # an empty map has no direction
    maps, exact = maps[shown], exact[shown]
    distance = np.linalg.norm(maps - exact, axis=1) / np.linalg.norm(exact, axis=1)
    ranks = [stats.spearmanr(one, other).statistic for one, other in zip(maps, exact, strict=True)]
    moved = np.mean(maps.argmax(1) != exact.argmax(1))
    middle, most = np.quantile(distance, [0.5, 0.95])
    return f'| {method} | {name} | {middle:.1e} | {most:.1e} | {np.nanquantile(ranks, 0.05):.4f} | {moved:.3f} |'


def main() -> None:
    parser = argparse.ArgumentParser(prog='python -m imbalance_jax.analysis.validation.precision', description=__doc__)
    parser.add_argument('workdir', type=Path)
    parser.add_argument('--members', type=int, default=3)
    parser.add_argument('--pairs', type=int, default=24)
    parser.add_argument('--methods', default='', help='names with commas between them; those of the config if none')
    options = parser.parse_args()
    trained = load(options.workdir)
    methods = options.methods.split(',') if options.methods else trained.config.attribution.methods
    print('| method | precision | distance | 95 % below | rank correlation, 95 % above | hottest pixel moved |')
    print('| --- | --- | --- | --- | --- | --- |')
    for method in methods:
        maps = measured(trained, method, min(options.members, len(trained.members)), options.pairs)
        exact = maps.pop('float64')
        for name, one in maps.items():
            print(line(method, name, one, exact), flush=True)


if __name__ == '__main__':
    output.leave(main)

"""Runs simulations and prints their table, which analysis/validation/validation.md keeps."""

import argparse
from types import ModuleType

from imbalance_jax.analysis.validation import design, intervals, maps, predictions, shift, similarity, twins, units
from imbalance_jax.analysis.validation.simulation import Measured
from imbalance_jax.system import output

# each with SIMULATIONS: name -> simulation
MODULES: tuple[ModuleType, ...] = (intervals, predictions, maps, units, similarity, design, twins, shift)


def main() -> None:
    parser = argparse.ArgumentParser(prog='python -m imbalance_jax.analysis.validation', description=__doc__)
    simulations = {name: simulation for module in MODULES for name, simulation in module.SIMULATIONS.items()}
    parser.add_argument('names', nargs='*', choices=[*simulations, []], help='which, all if none is named')
    parser.add_argument('--runs', type=int, default=300, help='simulated studies per regime')
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args()
    print('| simulation | what | planted | share | should be | runs |\n| --- | --- | --- | --- | --- | --- |')
    for name in options.names or simulations:
        for one in simulations[name](options.runs, seed=options.seed):
            print(line(name, one), flush=True)


def line(name: str, one: Measured) -> str:
    """A row of the table."""
    valid = f'{one.lowest:.2f}' if one.lowest == one.highest else f'{one.lowest:.2f}–{one.highest:.2f}'
    share = f'{one.share:.3f} ± {one.error:.3f}{"" if one.holds else " (!)"}'
    return f'| {name} | {one.what} | {one.regime} | {share} | {valid} | {one.runs} |'


if __name__ == '__main__':
    output.leave(main)

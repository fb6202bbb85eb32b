"""The arms of a study beside chance, as one picture: performance, maps and units, each less what knows nothing has.

    python -m imbalance_jax.analysis.report.beside_chance WORKDIR --out=transfer.png

Made for arms that differ by more than a loss, such as networks that began with other weights: the picture of the report
shows differences to the reference arm, and this one where each arm stands.
"""

import argparse
import sys
from pathlib import Path

from matplotlib import rc_context

from imbalance_jax.analysis.report.first_picture import Column, Mark, drawn
from imbalance_jax.analysis.report.study import PRIMARY, Study, load
from imbalance_jax.analysis.report.style import RC, excludes_zero, label, looks
from imbalance_jax.results.alignment import SHUFFLED
from imbalance_jax.results.rows import MACRO
from imbalance_jax.results.units import ALL_CONCEPTS, PERMUTED_PATIENTS
from imbalance_jax.system import output
from imbalance_jax.system.files import atomic

CHANCE = 0.5  # AUROC of scores that know nothing
DOTS = 110  # per inch


def of_performance(study: Study) -> Column:
    """Macro AUROC on the test split above 1/2, with its interval; every seed is a tick."""
    auroc = study.ranked('auroc', MACRO)
    marks = {arm: [_mark([end - CHANCE for end in auroc.interval(arm)])] for arm in study.arms}
    seeds = {arm: [auroc.of_member(row) - CHANCE for row in study.living(arm)] for arm in study.arms}
    return Column('Performance: macro AUROC', 'above 1/2', marks, classes=seeds)


def of_maps(study: Study) -> Column | None:
    """The primary measure of every method's maps above what they score on other patients' regions."""
    if study.alignment is None:
        return None
    where = {'kind': 'arm', 'against': SHUFFLED, 'statistic': 'mean'}
    there = study.alignment.distinct('metric', **where)
    methods = [method for method in study.methods if method in study.alignment.distinct('method', **where)]
    measure = next((one for one in PRIMARY if one in there), '')
    if not (methods and measure):
        return None
    marks = {
        arm: [_mark(study.aligned(method, measure).interval(arm, SHUFFLED), label(method)) for method in methods]
        for arm in study.arms
    }
    return Column(f'Maps: {label(measure)}', "above other patients' regions", marks)


def of_units(study: Study) -> Column | None:
    """Mean IoU of the ten best units above permuted patients; as a second mark, what ten best have there by chance."""
    if not study.dissected:
        return None
    excess, marks = study.encoded('top_excess', concept=ALL_CONCEPTS), {}
    for arm in study.arms:
        of_null = {'kind': 'null level', 'arm': arm, 'against': PERMUTED_PATIENTS}
        null = [excess(seed=str(row['seed']), **of_null) for row in study.living(arm)]
        marks[arm] = [_mark(excess.interval(arm), 'ten best units'), _mark([sum(null) / len(null)] * 3, 'by chance')]
    return Column(f'Units of {study.layer}: IoU with a region', 'above permuted patients', marks)


def _mark(ends, kind: str = '') -> Mark:
    """An estimate and its interval, filled where the interval has no 0 in it."""
    estimate, low, high = ends
    return Mark(estimate, low, high, low < high and excludes_zero(low, high), kind)


def write(workdir: Path, out: Path) -> Path:
    """Writes the picture as PNG. Raises OSError or ValueError as `study.load`."""
    study = load(workdir)
    columns = [one for one in (of_performance(study), of_maps(study), of_units(study)) if one is not None]
    figure = drawn(study.arms, looks(study.arms), columns)
    with rc_context(RC):
        atomic(out, lambda file: figure.savefig(file, format='png', dpi=DOTS, metadata={'Software': None}))
    return out


def main() -> None:
    """Entry point; exit status 2 for a directory that holds no finished training, or a damaged one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('workdir', type=Path, metavar='WORKDIR', help='what imbalance-jax train and explain wrote')
    parser.add_argument('--out', type=Path, required=True, help='the PNG to write')
    flags = parser.parse_args()
    try:
        print(write(flags.workdir, flags.out))
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)


if __name__ == '__main__':
    output.leave(main)

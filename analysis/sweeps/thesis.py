"""One study on one page, as a referee reads it: question, design, n, and every claim with its interval and verdict.

    python -m imbalance_jax.analysis.sweeps.thesis WORKDIR

Writes WORKDIR/thesis.html from the tables of WORKDIR and of its kept weights: those matched to the reference in AUROC,
and those at shares of training.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from imbalance_jax.analysis.report import design, pages, trust
from imbalance_jax.analysis.report.design import Block
from imbalance_jax.analysis.report.style import number, percent, whole
from imbalance_jax.analysis.report.unit_tables import read, rows_of
from imbalance_jax.config.file import completed
from imbalance_jax.configs import base
from imbalance_jax.results.rows import by_arm
from imbalance_jax.results.schema import read_table
from imbalance_jax.system import layout, output, records
from imbalance_jax.system.workdir import write_text
from imbalance_jax.training.kept import MATCHED, share_name
from imbalance_jax.training.trained import check_trained

PAGE = 'thesis.html'


def main() -> None:
    """Entry point; exit status 2 for a directory that holds no finished training, or a damaged one."""
    parser = argparse.ArgumentParser(
        prog='python -m imbalance_jax.analysis.sweeps.thesis', description=__doc__.splitlines()[0]
    )
    parser.add_argument('workdir', type=Path, metavar='WORKDIR', help='trained and explained')
    try:
        print(write(parser.parse_args().workdir))
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)


def write(workdir: Path) -> Path:
    """Makes the page and returns its path. Equal tables give an equal page."""
    check_trained(workdir)
    path, said = Path(workdir) / PAGE, trust.told_of([Path(workdir)])
    write_text(path, render(workdir, said))
    return path


def render(workdir: Path, said: Sequence[str] = ()) -> str:
    """The page; everything that comes from data or config is escaped by the template. said: of what is not as it was
    written."""
    config = completed(records.config(workdir), base.get_config().to_dict())
    smallest = config['evaluate']['smallest_effect']
    blocks = [*design.blocks(workdir, smallest), *of_kept(workdir, config, smallest)]
    return pages.render(
        'thesis.html',
        config=config,
        info=records.data(workdir),
        arms=list(by_arm(records.members(workdir))),
        counts=counts(workdir),
        convergence=convergence(workdir),
        answers=answers(blocks),
        design=blocks,
        trust=said,
    )


def counts(workdir: Path) -> list[tuple[str, str, str]]:
    """(class, positive test images, positive test patients), and all images and patients last."""
    table = rows_of(read_table(workdir, 'performance'), kind='data', split='test', metric='positive_patients')
    images = rows_of(read_table(workdir, 'performance'), kind='data', split='test', metric='positives')
    by_class = dict(zip(images['class'], images['value'], strict=True))
    of_class = [
        (name, whole(by_class.get(name, float('nan'))), whole(value))
        for name, value in zip(table['class'], table['value'], strict=True)
    ]
    everyone = ('all', whole(images['n'].max()), whole(table['n'].max())) if len(table) else ()
    return [*of_class, everyone] if everyone else of_class


def convergence(workdir: Path) -> dict[str, Any]:
    """Of how many members the last epoch is the best, and the mean change of validation AUROC per epoch at the end."""
    table = read(workdir, 'convergence')
    members = rows_of(table, kind='member') if table is not None else pd.DataFrame(columns=['metric', 'value'])
    last, slope = (members[members['metric'] == metric]['value'] for metric in ('best_is_last', 'final_slope'))
    return {
        'members': len(last),
        'last': whole(last.sum()),
        'share': percent(last.mean()),
        'slope': number(slope.mean(), 4),
        'steepest': number(slope.max(), 4),
    }


def of_kept(workdir: Path, config: dict, smallest: float) -> list[Block]:
    """The claims about maps and ranking with matched weights, and at shares of training."""
    shares = {share_name(share): share for share in config['train'].get('kept_shares', ())}
    found = []
    for name in (MATCHED, *shares):
        folder, source = layout.weights(workdir, name), f'weights/{name}/results'
        if name == MATCHED:
            question = 'And at equal AUROC, by weights that are matched?'
            how = (
                'Of every member the weights of the epoch whose validation AUROC is nearest to the best of the '
                'reference with the same seed.'
            )
        else:
            question = f'Was it so after {shares[name]:.0%} of training?'
            how = 'The weights at that epoch, under the learning rate of that moment.'
        found.append(Block(name, question, how, maps_of(folder, smallest), f'{source}/conditional'))
        ranked = design.ranking(read(folder, 'performance'))
        rest = f'How far do arms differ in discrimination then (weights: {name.replace("_", " ")})?'
        found.append(Block(f'{name}-ranking', rest, '', ranked, f'{source}/performance'))
    return [block for block in found if block.claims]


def answers(blocks: list[Block]) -> list[tuple[str, str]]:
    """(question, how many claims got which verdict) of every block, the most frequent first."""
    result = []
    for block in blocks:
        counted = Counter(claim.verdict for claim in block.claims).most_common()
        said = ', '.join(f'{number} {verdict}' for verdict, number in counted)
        result.append((block.question, f'of {len(block.claims)}: {said}.'))
    return result


def maps_of(folder: Path, smallest: float) -> list[design.Claim]:
    """Differences of maps above shuffled regions."""
    return design.maps(read(folder, 'conditional'), '', design.MEASURE, smallest)


if __name__ == '__main__':
    output.leave(main)

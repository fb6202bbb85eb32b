"""The report: one HTML file that says what a working directory holds, and needs nothing else to be read.

imbalance-jax report WORKDIR
"""

import argparse
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from imbalance_jax.analysis.report import (
    alignment,
    answer,
    arm_effect,
    audit,
    beyond,
    calibration,
    data,
    design,
    failures,
    faithfulness,
    findings,
    further,
    multi_class,
    pages,
    performance,
    provenance,
    seeds,
    shift,
    stages,
    starts,
    trust,
    twins,
    units,
)
from imbalance_jax.analysis.report.study import Study, load
from imbalance_jax.analysis.report.style import HEAT_STOPS, looks
from imbalance_jax.explain.run import STAGES
from imbalance_jax.names import some
from imbalance_jax.system import layout, output, records
from imbalance_jax.system.workdir import write_text
from imbalance_jax.training import other_sets
from imbalance_jax.training.trained import Stage

SHOWN = 3  # files that an error names


def main() -> None:
    """Entry point; exit status 2 for a directory that holds no finished training, or a damaged one."""
    parser = argparse.ArgumentParser(prog='imbalance-jax report', description='Writes WORKDIR/report.html.')
    parser.add_argument('workdir', type=Path, metavar='WORKDIR', help='what imbalance-jax train and explain wrote')
    try:
        print(write(parser.parse_args().workdir))
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)


def write(workdir: Path, *, known: Mapping[str, Stage] = STAGES) -> Path:
    """Makes WORKDIR/report.html and returns its path. Equal files give an equal report, byte for byte.

    known: the stages whose further tables are shown. Raises ValueError naming the file that is damaged, or the files
    that were accepted as they are and make no report.
    """
    try:
        study = load(workdir)
        path = study.folder / layout.REPORT
        write_text(path, starts.worded(study, partial(render, study, known=known)))
        failures.write(study)
        _say_lost(study)
    except Exception as error:
        said = isinstance(error, (OSError, ValueError)) and str(workdir) in str(error)
        if said or not (changed := records.accepted(workdir)):
            raise
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        what = f'files that were accepted as they are, {some(changed, SHOWN)}, make no report'
        raise ValueError(f'{workdir}: {what}: {reason}. Bring them back from a copy.') from error
    return path


def _say_lost(study: Study) -> None:
    for folder in (study.folder, *sorted((study.folder / layout.ON).glob('*/'))):
        for sentence in trust.lost(folder):
            print(sentence, file=sys.stderr)
    if said := other_sets.lost(study.folder, study.config):
        print(said, file=sys.stderr)


def render(study: Study, *, known: Mapping[str, Stage] = STAGES) -> str:
    """The page. Everything that comes from data or config is escaped by the template."""
    look, found = looks(study.arms), answer.shown(study)
    return pages.render(
        'report.html',
        study=study,
        look=look,
        answer=answer.section(study, look, found),
        findings=findings.findings(study, found),
        every_arm=findings.every_arm(study, found),
        data=data.section(study),
        performance=performance.section(study, look),
        calibration=calibration.section(study, look),
        multi_class=multi_class.section(study),
        bands=multi_class.bands(study),
        noise=seeds.section(study, look),
        alignment=alignment.section(study, look),
        faithfulness=faithfulness.section(study),
        failures=failures.known(study),
        concepts=units.section(study, look),
        effect=arm_effect.section(study, look, found.units),
        beyond=beyond.section(study, look),
        design=design.section(study.folder, study.config['evaluate']['smallest_effect']),
        mistakes=audit.tables(study),
        topics=further.sections(study, look),
        twins=twins.section(study, look),
        elsewhere=shift.sections(study),
        further=stages.sections(study, known),
        provenance=provenance.section(study),
        starts=starts.section(study),
        heat=HEAT_STOPS,
    )


if __name__ == '__main__':
    output.leave(main)

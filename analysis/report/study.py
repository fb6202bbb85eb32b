"""A working directory in memory: everything the report reads."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imbalance_jax.analysis.report.values import Outcome, Values, read_values
from imbalance_jax.config.file import completed
from imbalance_jax.configs import base
from imbalance_jax.results.alignment import SHUFFLED
from imbalance_jax.results.performance import IMAGE
from imbalance_jax.results.rows import MACRO, by_arm, is_null
from imbalance_jax.results.units import ALL_CONCEPTS, BEYOND_NULL
from imbalance_jax.system import layout, records
from imbalance_jax.system.workdir import read_arrays
from imbalance_jax.training.members import has_features, has_predictions, is_adopted, without_networks
from imbalance_jax.training.trained import check_members

TRAIN = 'imbalance-jax train --config=CONFIG --workdir={}'
EXPLAIN = 'imbalance-jax explain --workdir={}'
PRIMARY = ('signed_hit_share', 'hit_share')  # the measure of maps that findings are about: the first that there is
# Of configs of before these fields.
MARGIN = {'auroc': 0.01, 'average_precision': 0.02}
SMALLEST_EFFECT, SMALLEST_COUNT = 0.02, 5


class Study(NamedTuple):
    """What training left, and what explaining left: `alignment`, `concepts` and `audit` are None before that.

    `seeds` is None unless an arm has many. methods: of attribution, held against regions, as they come in the config;
    measured: method -> the measures of its maps that arms are compared by above shuffled regions; starts: facts of the
    weights that members began with, by what their rows call them.
    """

    folder: Path
    config: dict
    members: list[dict]
    info: dict
    provenance: dict
    lines: list[dict]
    sheet: dict[str, np.ndarray]
    data: Values
    performance: Values
    alignment: Values | None
    concepts: Values | None
    audit: Values | None
    seeds: Values | None
    faithfulness: Values | None = None
    shortcut: Values | None = None
    roar: Values | None = None
    starts: Mapping[str, dict] = {}
    methods: Sequence[str] = ()
    measured: Mapping[str, list[str]] = {}

    @property
    def reference(self) -> str:
        """The arm that all others are compared with."""
        return self.config['reference']

    @property
    def adopted(self) -> bool:
        """Whether the networks were trained elsewhere."""
        return is_adopted(self.members)

    @property
    def not_here(self) -> bool:
        """Whether there are predictions or features only, of networks that are not here."""
        return without_networks(self.members)

    @property
    def has_features(self) -> bool:
        """Whether features take the place of the networks."""
        return has_features(self.members)

    @property
    def predicted(self) -> bool:
        """Whether it is known what the networks say of an image."""
        return has_predictions(self.members)

    @property
    def paired(self) -> bool:
        """Whether members with one seed are pairs."""
        return all(row.get('paired', True) for row in self.members)

    @property
    def arms(self) -> list[str]:
        """All arms, the reference first."""
        return list(by_arm(self.members))

    @property
    def others(self) -> list[str]:
        """The arms that are compared with the reference: all others but for those with permuted labels."""
        return [arm for arm in self.arms if arm != self.reference and arm not in self.permuted]

    @property
    def permuted(self) -> list[str]:
        """The arms that were trained on the labels of other images: a null, in no comparison between arms."""
        return [arm for arm in self.arms if is_null(self.rows(arm)[0])]

    @property
    def margin(self) -> dict[str, float]:
        """Metric of performance -> the largest difference that still counts as none."""
        return dict(self.config['evaluate'].get('margin', MARGIN))

    @property
    def smallest_effect(self) -> float:
        """The smallest difference in a measure of maps that is a finding."""
        return float(self.config['evaluate'].get('smallest_effect', SMALLEST_EFFECT))

    @property
    def smallest_count(self) -> int:
        """The number of patients below which a finding gets no interval."""
        return int(self.config['evaluate'].get('smallest_count', SMALLEST_COUNT))

    @property
    def classes(self) -> list[str]:
        """The findings."""
        return self.info['classes']

    @property
    def concept_names(self) -> list[str]:
        """The findings, then the other annotated concepts."""
        return self.info['concepts']

    @property
    def layer(self) -> str:
        """The dissected layer, '' if there is none."""
        return next(iter(self.concepts.distinct('layer')), '') if self.concepts else ''

    @property
    def dissected(self) -> bool:
        """Whether units were held against annotated regions."""
        return bool(self.concepts and 'detector_units' in self.concepts.distinct('metric'))

    def ranked(self, metric: str, name: str = MACRO) -> Outcome:
        """A metric of performance."""
        return Outcome(self.performance, metric, name)

    def aligned(self, method: str, measure: str, name: str = MACRO) -> Outcome:
        """A measure of how well a method's maps align."""
        assert self.alignment is not None
        return Outcome(self.alignment, measure, name, {'method': method})

    def contrasted(self, method: str, measure: str, name: str = MACRO) -> Outcome | None:
        """A measure above that of the same maps on other patients' regions; None where the table has none of it."""
        if self.alignment is None or 'above' not in self.alignment.columns:
            return None
        return Outcome(self.alignment, measure, name, {'method': method, 'above': SHUFFLED})

    def measures(self, method: str) -> list[str]:
        """The measures of a method's maps that arms are compared by above shuffled regions."""
        return self.measured.get(method, [])

    def primary(self, method: str) -> str:
        """The measure of a method's maps that the findings are about; '' where arms are compared by none."""
        there = self.measures(method)
        return next((measure for measure in PRIMARY if measure in there), '')

    def table(self, name: str) -> Values | None:
        """results/<name>, None if it is not there or empty."""
        found = optional(layout.table(self.folder, name), read_values)
        return found if found and found.value else None

    def encoded(self, metric: str, name: str = '', **where: str) -> Outcome:
        """A figure of the dissected layer."""
        assert self.concepts is not None
        return Outcome(self.concepts, metric, name, {'layer': self.layer, **where})

    def counted(self, metric: str) -> Outcome:
        """A count of units: detectors by the null, the concepts that they detect, dead or too sparse units."""
        method = {'method': BEYOND_NULL} if metric in ('detector_units', 'unique_concepts') else {}
        return self.encoded(metric, concept=ALL_CONCEPTS, **method)

    def shared_count(self, outcome: Outcome) -> int:
        """The n beside a figure, which is the same for all members: units, or probe images."""
        first = self.members[0]
        return outcome.over(arm=first['arm'], seed=str(first['seed']))

    def rows(self, arm: str) -> list[dict]:
        """The members of an arm."""
        return [row for row in self.members if row['arm'] == arm]

    def alive(self, member: Mapping) -> bool:
        """Whether a member's loss stayed finite."""
        return self.ranked('alive', IMAGE).of_member(member) != 0

    def living(self, arm: str) -> list[dict]:
        """The living members of an arm."""
        return [row for row in self.rows(arm) if self.alive(row)]

    def arrays(self, name: str) -> dict[str, np.ndarray] | None:
        """explain/<name>.npz, None if it is not there."""
        path = layout.explained(self.folder, name)
        return read(path, read_arrays) if path.exists() else None


def load(folder: Path) -> Study:
    """Reads a working directory in which training is finished.

    Raises FileNotFoundError naming the first missing file and the command that makes it, ValueError for a damaged file.
    """
    folder = Path(folder)
    readers = {
        layout.CONFIG: records.config,
        layout.MEMBERS: records.members,
        layout.DATA: records.data,
        layout.PROVENANCE: records.provenance,
    }
    config, members, info, provenance = (
        needed(folder / name, lambda path, reader=reader: reader(path.parent)) for name, reader in readers.items()
    )
    lost = is_lost(folder, layout.METRICS)
    lines = [] if lost else needed(folder / layout.METRICS, lambda path: [*records.metrics(path.parent)])
    check_members(folder, config, members)
    config = completed(config, base.get_config().to_dict())  # of before some fields
    of_training = {name: needed(layout.table(folder, name), read_values) for name in ('data', 'performance')}
    later = ('alignment', 'concepts', 'audit', 'seeds', 'faithfulness', 'shortcut', 'roar')
    tables = {name: optional(layout.table(folder, name), read_values) for name in later}
    methods, measured = methods_of(config, tables['alignment'])
    return Study(
        methods=methods,
        measured=measured,
        folder=folder,
        config=config,
        members=members,
        info=info,
        provenance=provenance,
        lines=lines,
        sheet=needed(folder / layout.CONTACT_SHEET, read_arrays),
        starts=starts_of(folder),
        **of_training,
        **tables,
    )


def is_lost(folder: Path, name: str) -> bool:
    """Whether a file is not there, and that was accepted."""
    return not (folder / name).exists() and name in records.accepted(folder)


def starts_of(folder: Path) -> dict[str, dict]:
    """Facts of the weights that training began with: of the folder itself, or of the one whose weights it is about."""
    for place in (folder, folder.absolute().parents[1]):
        if (place / layout.STARTS).exists():
            return read(place / layout.STARTS, lambda path: records.starts(path.parent))
    return {}


def methods_of(config: Mapping, alignment: Values | None) -> tuple[list[str], dict[str, list[str]]]:
    """The attribution methods whose maps a table holds against regions, and by method the measures that arms are
    compared by."""
    if not alignment:
        return [], {}
    there = set(alignment.distinct('method', kind='arm', metric='iou'))
    methods = [method for method in config['attribution']['methods'] if method in there]
    if 'above' not in alignment.columns:
        return methods, {}
    where = {'kind': 'arm', 'against': config['reference'], 'above': SHUFFLED, 'statistic': 'mean'}
    return methods, {method: alignment.distinct('metric', method=method, **where) for method in methods}


def needed(path: Path, reader: Callable[[Path], Any]) -> Any:
    """What `reader` makes of a file that training leaves."""
    if not path.exists():
        folder = path.parent.parent if path.parent.name == layout.RESULTS else path.parent
        command = TRAIN.format(layout.maker(folder))
        raise FileNotFoundError(f'{path} is missing: training is not finished. Make it with: {command}')
    return read(path, reader)


def optional(path: Path, reader: Callable[[Path], Any]) -> Any:
    """What `reader` makes of a file that explaining leaves, None where it is not there."""
    return read(path, reader) if path.exists() else None


def read(path: Path, reader: Callable[[Path], Any]) -> Any:
    """`reader(path)`, and ValueError naming the file for whatever is wrong in it."""
    try:
        return reader(path)
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f'{path} cannot be read: {error}') from error
    except Exception as error:  # readers of four formats, each with errors of its own
        raise ValueError(f'{path} cannot be read: {error}') from error

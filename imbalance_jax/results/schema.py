"""The tables of results/: which columns each has, what a column means, and how a table is written.

One row holds one number. A column has one meaning, so that nothing has to be read out of the spelling of a name:

    pandas.read_parquet('WORKDIR/results/performance.parquet').query("kind == 'arm' and metric == 'auroc'")
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from imbalance_jax.system import workdir as workdir_files
from imbalance_jax.system.workdir import write_frame, write_frames

TEXT, WHOLE, REAL = 'object', 'Int64', 'float64'
AT_ONCE = 2**18  # rows of a long table that are in memory together
Block = Mapping[str, Any]  # rows that share most columns: column -> one value for all of them, or an array [n]


class Column(NamedTuple):
    """The pandas type of a column and what it says. Text that does not apply is '', a number that does not is empty."""

    dtype: str
    meaning: str


KINDS = {
    'member': 'one member: one arm with one seed',
    'pair': 'a member beside another one, which `other_arm` and `other_seed` name',
    'ensemble': 'the mean probability of several seeds of an arm',
    'arm': 'the living seeds of an arm together',
    'population': 'all living members together',
    'null level': 'what `against` names: the level of something that knows nothing, in place of a member or an arm',
    'data': 'the data set',
}

OLD_KINDS = {'null': 'null level'}  # of older versions; pandas reads the word in a CSV as an empty cell

STATISTICS = {
    'value': 'the figure itself',
    'mean': 'mean over seeds (of pairs of members: over the pairs)',
    'sd': 'standard deviation over seeds, n - 1 in the denominator',
    'low': 'lower end of the 95 % interval of the value or the mean beside it',
    'high': 'upper end of that interval',
    'p': 'two-sided p of the value or the mean beside it',
    'p_adjusted': 'the same p, corrected for the number of tests',
    'p_equivalent': 'p that the difference lies beyond the margin of equivalence (two one-sided tests); small: equal',
    'p_equivalent_adjusted': 'the same p, corrected over the macro mean and all classes of the arm (Holm)',
    'variance_seeds': 'what seeds add to the variance of the mean beside it',
    'variance_patients': 'what patients add to that variance',
    'variance_interaction': 'what seeds that err on patients of their own add to that variance',
    'p_smallest': 'the smallest p_adjusted that the number of seeds allows',
    'p_pooled': 'p from the nulls of all units together, finer than p',
    'p_mean': 'mean over seeds of their p',
    'p_sd': 'standard deviation over seeds of their p',
    'relative': 'the difference beside it, in units of what it is a difference to',
    'r2': 'share of the sum of squared distances that lies between arms',
    'r2_seeds': 'share of it that lies between seeds',
    'r2_chance': 'r2 where arms are exchanged within seeds, mean over exchanges',
    'share': 'share of the detectors of all pairs of members together',
    'median': 'median over seeds, those that are censored above all others; empty if more than half are',
    'censored': 'number of seeds in which more units than were tried would be needed',
    'seeds_found': 'number of seeds in which p_adjusted is at most 0.05',
}

COLUMNS = {
    'kind': Column(TEXT, 'who the number is of: ' + ', '.join(KINDS)),
    'arm': Column(TEXT, "the arm, '' for what is of no arm"),
    'loss': Column(TEXT, "the arm's loss"),
    'sampler': Column(TEXT, "the arm's sampler"),
    'seed': Column(WHOLE, "the member's seed, empty for what is of no single member"),
    'member': Column(WHOLE, "the member's number in members.json"),
    'class': Column(
        TEXT, "a finding; 'macro': mean over findings; 'micro': all entries as one class; 'all ...': as said"
    ),
    'split': Column(TEXT, 'train, validation or test'),
    'method': Column(TEXT, 'how it was measured: an attribution method, or a variant of the metric'),
    'metric': Column(TEXT, 'what was measured'),
    'statistic': Column(TEXT, 'which figure of it: ' + ', '.join(STATISTICS)),
    'against': Column(
        TEXT, "'': the metric itself; else what it is the difference to (an arm, a null) or the relation"
    ),
    'value': Column(REAL, 'the number'),
    'n': Column(WHOLE, 'over how many images, pairs, units or seeds'),
}

CONCEPT = Column(TEXT, "an annotated concept, or 'all concepts'")
LAYER = Column(TEXT, 'the layer of the network')
UNIT = Column(WHOLE, 'number of the unit in its layer')
OVER_IMAGES = Column(TEXT, 'what was taken over images first: mean, sd, min, max')
ABOVE = Column(TEXT, "'': nothing; 'shuffled regions': what has been taken off both sides of a difference")
OTHER_ARM = Column(TEXT, 'the arm of the other member of a pair')
OTHER_SEED = Column(WHOLE, 'the seed of the other member of a pair')

ARM_EFFECT = {
    'layer': LAYER,
    'pairs': Column(TEXT, "of members with different seeds: between arms or within arms; members to the arm's centre"),
    'given': Column(TEXT, "'': as it is; 'AUROC by class': what distances of AUROC do not explain"),
}

PLACE = Column(
    TEXT,
    "internal: the training set's test split; external: the other data set; shift: external minus internal; of classes "
    'that both have',
)

# table -> the columns that it has beside those of all tables
TABLES: dict[str, dict[str, Column]] = {
    'data': {
        'concept': CONCEPT,
        'labels': Column(TEXT, "the label policy; '': the labels that everything is judged by"),
        'grouping': Column(TEXT, 'by what images are grouped, such as sex'),
        'group': Column(TEXT, 'the group'),
    },
    'performance': {'subset': Column(TEXT, "'': all images; 'images with a finding'")},
    'seeds': {'size': Column(WHOLE, 'number of seeds in the ensemble')},
    'calibration': {
        'recalibration': Column(
            TEXT, 'how recalibrated probabilities were made: exact, exact and draws, Platt; or as the network says'
        ),
        'threshold': Column(REAL, 'the probability from which on a finding is called, of net_benefit'),
        'bin': Column(WHOLE, 'of a curve: which bin of equally many images, by probability'),
    },
    'shift': {
        'place': PLACE,
        'above': Column(TEXT, "'': as it is; 'perfect calibration': less what right probabilities would score"),
    },
    'map_shift': {'place': PLACE, 'above': ABOVE},
    'groups': {
        'grouping': Column(TEXT, 'by what images are grouped, such as sex'),
        'group': Column(TEXT, "the group; 'worst group'; 'gap': largest minus smallest over the groups"),
    },
    'multi_class': {},
    'confusion': {'predicted': Column(TEXT, 'the class that images of `class` were called; what is not listed is 0')},
    'bands': {'band': Column(TEXT, 'head, medium or tail: by the number of training images of a class')},
    'stability': {'other_arm': Column(TEXT, "the arm of the other members of pairs; '': the arm itself")},
    'alignment': {
        'subset': Column(
            TEXT,
            "'': all pairs of an image and a finding; else a part of them; 'no region': by label, of other findings",
        ),
        'above': Column(TEXT, "'': as it is; 'shuffled regions': both sides less what other patients' regions score"),
    },
    'faithfulness': {
        'part': Column(TEXT, 'the network is randomised from the head down to this part'),
        'depth': Column(WHOLE, 'how many parts that are'),
    },
    'shortcut': {
        'version': Column(TEXT, 'of the test split: confounded or clean'),
        'group': Column(TEXT, "films that AUROC is over, by drain: '' for all; 'worst' for the lowest of the groups"),
        'region': Column(TEXT, 'where the heat lies: tube or finding'),
    },
    'twins': {
        'concept': Column(TEXT, 'what one twin shows and the other does not'),
        'layer': LAYER,
        'unit': UNIT,
        'above': Column(TEXT, "what has been taken off both sides of a difference, '' where nothing has"),
    },
    'roar': {'share': Column(REAL, 'share of the pixels that were removed')},
    'concepts': {
        'concept': CONCEPT,
        'layer': LAYER,
        'over_images': OVER_IMAGES,
        'removed': Column(WHOLE, 'number of units that were taken away'),
    },
    'units': {'concept': CONCEPT, 'layer': LAYER, 'unit': UNIT},
    'layers': {'concept': CONCEPT, 'layer': LAYER},
    'directions': {'concept': CONCEPT, 'layer': LAYER},
    'similarity': {
        'concept': CONCEPT,
        'layer': LAYER,
        'other_layer': Column(TEXT, 'the layer that it is compared with'),
        'above': Column(TEXT, "'': as it is; 'rotated units', 'permuted images': less what layers share by chance"),
        'other_arm': OTHER_ARM,
        'other_seed': OTHER_SEED,
    },
    'arm_effect': ARM_EFFECT,
    'map_effect': ARM_EFFECT,
    'features': {},
    'convergence': {},
    'trend': {
        'above': ABOVE,
        'option': Column(TEXT, 'the option of the loss that was varied; the mean is the slope per unit of it'),
    },
    'mediation': {
        'above': ABOVE,
        'through': Column(TEXT, 'total, or the part of it through features or head, or their interaction'),
    },
    'conditional': {
        'above': ABOVE,
        'given': Column(TEXT, "what is held equal between arms: '' nothing, auroc"),
    },
    'rank_agreement': {
        'above': Column(TEXT, 'as above, of other_metric'),
        'other_metric': Column(TEXT, 'the figure whose ranks of arms are compared with those of `metric`'),
        'other_method': Column(TEXT, 'how that was measured'),
        'ranks': Column(TEXT, 'arm_means: of the means over seeds; single_seeds: of every seed, then averaged'),
    },
    'audit': {
        'mistake': Column(TEXT, 'the mistake of the published code'),
        'version': Column(TEXT, 'published: with the mistake; corrected: without'),
        'interval_over': Column(TEXT, 'what the interval is over: seeds and patients, or seeds alone'),
        'concept': CONCEPT,
        'layer': LAYER,
        'over_images': OVER_IMAGES,
    },
}

# What tells two rows of a table apart is everything but these.
DESCRIPTIVE = ('loss', 'sampler', 'member', 'value', 'n', 'interval_over')


def columns_of(name: str) -> dict[str, Column]:
    """The columns of a table, in order; those that all tables have for a table of a user's own."""
    return {**COLUMNS, **TABLES.get(name, {})}


def keys_of(columns: Iterable[str]) -> list[str]:
    """Those of the columns that together tell the rows of a table apart."""
    return [name for name in columns if name not in DESCRIPTIVE]


def frame(name: str, rows: Iterable[Mapping]) -> pd.DataFrame:
    """The table of some rows: `columns_of(name)`, and further columns of a user's own table as they come.

    Raises ValueError for a column that a table of ours does not have.
    """
    rows = list(rows)
    columns = columns_of(name)
    further = list(dict.fromkeys(key for row in rows for key in row if key not in columns))
    if further and name in TABLES:
        raise ValueError(f'results/{name} has no column {further[0]!r}; it has {", ".join(columns)}.')
    table = pd.DataFrame(rows, columns=[*columns, *further])
    return typed(table, columns)


def frame_of_blocks(name: str, blocks: Iterable[Block]) -> pd.DataFrame:
    """The table of blocks of rows one after the other, each as many as its array `value` is long: what `frame` gives,
    without a dictionary per row. Raises ValueError for a column that the table does not have."""
    columns = columns_of(name)
    parts: dict[str, list[np.ndarray]] = {column: [] for column in columns}
    for block in blocks:
        if unknown := set(block) - set(columns):
            raise ValueError(f'results/{name} has no column {min(unknown)!r}; it has {", ".join(columns)}.')
        number = len(block['value'])
        for column, (dtype, _) in columns.items():
            text = dtype == TEXT
            value = block.get(column, '' if text else np.nan)
            parts[column].append(np.broadcast_to(np.asarray(value, object if text else np.float64), number))
    joined = {column: np.concatenate(part) if part else np.zeros(0) for column, part in parts.items()}
    return typed(pd.DataFrame(joined), columns)


def typed(table: pd.DataFrame, columns: Mapping[str, Column]) -> pd.DataFrame:
    """The table with the types of its columns, text that is missing being ''."""
    here = {name: column.dtype for name, column in columns.items() if name in table}
    texts = {name: '' for name, dtype in here.items() if dtype == TEXT}
    empty = {name: object for name in texts if table[name].dtype.kind == 'f'}  # of which all is missing
    return table.astype(empty).fillna(texts).astype(here)


def write_blocks_of(workdir: Path, name: str, blocks: Iterable[Block]) -> None:
    """Writes results/<name>.parquet and .csv of blocks of rows, about `AT_ONCE` rows at a time."""

    def parts() -> Iterator[pd.DataFrame]:
        held: list[Block] = []
        done = False
        for block in blocks:
            held.append(block)
            if sum(len(one['value']) for one in held) >= AT_ONCE:
                yield frame_of_blocks(name, held)
                held, done = [], True
        if held or not done:
            yield frame_of_blocks(name, held)

    write_frames(workdir, name, parts())


def read_table(workdir: Path, name: str) -> pd.DataFrame:
    """results/<name>.parquet; FileNotFoundError where there is none, ValueError where it is damaged."""
    table = workdir_files.read_table(workdir, name)
    if 'kind' in table and table['kind'].isin(OLD_KINDS).any():
        table['kind'] = table['kind'].replace(OLD_KINDS)
    return table


def write_table(workdir: Path, name: str, rows: Iterable[Mapping]) -> None:
    """Writes results/<name>.parquet and .csv; fields that a row lacks stay empty."""
    write_frame(workdir, name, frame(name, rows))

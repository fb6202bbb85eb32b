"""The files of a working directory by name; quick to import, for what must answer at once."""

from pathlib import Path

# From training, in the order in which they appear.
LOCK = '.lock'
MANIFEST = 'manifest.json'
CONFIG = 'config.json'
MEMBERS = 'members.json'
DATA = 'data.json'
CONTACT_SHEET = 'contact_sheet.npz'
STARTS = 'start.json'  # the weights that training begins with, if any
START = 'start'  # these weights
BACKBONES = 'backbones'  # what trained heads stand on, if features are cached
PLAN = 'plan.json'
PROFILE = 'profile'
CHECKPOINTS = 'checkpoints'
METRICS = 'metrics.jsonl'
WEIGHTS = 'weights'
ON = 'on'
PROVENANCE = 'provenance.json'
FEATURES = 'features.npz'  # of test images, where networks trained elsewhere are not here but their features
PREDICTIONS = 'predictions.npz'  # the last: what has it is trained
# From explaining, and from both.
EXPLAIN = 'explain'
RESULTS = 'results'
# From `report`.
REPORT = 'report.html'

FILES = (CONFIG, MEMBERS, DATA, CONTACT_SHEET, STARTS, PLAN, METRICS, PROVENANCE, PREDICTIONS)
PARTS = (START, BACKBONES, f'{CHECKPOINTS}/kept', EXPLAIN, RESULTS)  # folders of more files

FOLDERS = (START, BACKBONES, CHECKPOINTS, WEIGHTS, ON, EXPLAIN, RESULTS)


def checkpoints(workdir: Path, wave: int) -> Path:
    """The folder of the checkpoints of a wave, counted from 0."""
    return Path(workdir) / CHECKPOINTS / f'wave_{wave + 1}'


def start(workdir: Path, number: int) -> Path:
    """Weights that training begins with, of the number `number` in STARTS."""
    return Path(workdir) / START / f'{number}.npz'


def backbone(workdir: Path, number: int) -> Path:
    """A network without its head, of the number `number` among those that a population of heads stands on."""
    return Path(workdir) / BACKBONES / f'{number}.npz'


def kept(workdir: Path) -> Path:
    """The folder of weights that are kept beside each member's best."""
    return Path(workdir) / CHECKPOINTS / 'kept'


def weights(workdir: Path, name: str) -> Path:
    """The folder of kept weights: a working directory of its own, whose weights are in that of `workdir`."""
    return Path(workdir) / WEIGHTS / name


def kept_weights(workdir: Path, name: str) -> Path:
    """`weights` of a training that kept them; ValueError, with the names that there are, for others."""
    there = sorted(path.name for path in (Path(workdir) / WEIGHTS).glob('*') if path.is_dir())
    if name not in there:
        known = f'it has {", ".join(there)}' if there else 'it has kept none (config.train.matched, kept_shares)'
        raise ValueError(f'{workdir} has no weights {name!r}; {known}.')
    return weights(workdir, name)


def maker(workdir: Path) -> Path:
    """The working directory whose training makes this one: itself, or of one in WEIGHTS or ON that which holds it."""
    inside = workdir.parent.name in (WEIGHTS, ON) and (workdir.parent.parent / CONFIG).exists()
    return workdir.parent.parent if inside else workdir


def tested_name(name: str) -> str:
    """The name of a data set as that of a folder."""
    return ''.join(c if c.isalnum() or c in '-_.' else '_' for c in name)


def tested(workdir: Path, name: str) -> Path:
    """The folder of another data set that was tested on: a working directory of its own, with the weights of
    `workdir`."""
    return Path(workdir) / ON / tested_name(name)


def tested_on(workdir: Path, name: str) -> Path:
    """`tested` of a data set that was tested on; ValueError, with those that were, for others."""
    there = sorted(path.parent.name for path in (Path(workdir) / ON).glob(f'*/{PREDICTIONS}'))
    if tested_name(name) not in there:
        known = f'it was tested on {", ".join(there)}' if there else 'it was on none (config.data.test_on)'
        raise ValueError(f'{workdir} was not tested on {name!r}; {known}.')
    return tested(workdir, name)


def explained(workdir: Path, name: str) -> Path:
    """The arrays that explaining keeps under `name`."""
    return Path(workdir) / EXPLAIN / f'{name}.npz'


def table(workdir: Path, name: str, suffix: str = 'parquet') -> Path:
    """A table of results."""
    return Path(workdir) / RESULTS / f'{name}.{suffix}'


def home(path: Path) -> Path:
    """The working directory that a file belongs to, if it belongs to any, by its name and those of folders."""
    folder = Path(path).parent
    if Path(path).name in FILES:
        return folder
    depth = (len(Path(part).parts) for part in PARTS if folder.parts[-len(Path(part).parts) :] == Path(part).parts)
    return Path(path).parents[next(depth, 0)]


def inside(workdir: Path) -> list[Path]:
    """The working directories in one: of kept weights, and of other data sets."""
    return sorted(path.parent for name in (WEIGHTS, ON) for path in (Path(workdir) / name).glob(f'*/{MANIFEST}'))

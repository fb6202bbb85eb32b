"""The floor plan of the README, kept: which part of the package may import which."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / 'imbalance_jax'
KNOW_EVERYONE = {'experiment', 'explain', 'roar'}
LEAVES = {'files', 'names'}
ALLOWED = {
    'alignment': set(),
    'attribution': set(),
    'audit': {'statistics', 'tables'},
    'cache': set(),
    'calibration': {'data', 'losses', 'population', 'samplers'},
    'checkpoint': {'stopping'},
    'checks': {'data', 'datasets', 'processes', 'writer'},
    'cli': {
        'cluster', 'collect', 'experiment', 'explain', 'fields', 'hyper', 'inspection', 'jobs', 'plans', 'roar',
        'stopping', 'sweep',
    },
    'cluster': set(),
    'collect': {'plans', 'provenance', 'writer'},
    'concepts': set(),
    'crew': {'data', 'placement', 'population'},
    'data': {'datasets'},
    'datasets': {'locks'},
    'encoding': {'concepts', 'statistics', 'tables'},
    'ensembles': {'metrics', 'tables'},
    'estimate': set(),
    'faithfulness': {'attribution'},
    'fields': {'writer'},
    'files': set(),
    'hyper': set(),
    'inspection': {'datasets', 'tables'},
    'interventions': {'attribution', 'concepts', 'data', 'probing', 'ranking'},
    'jobs': {'locks', 'plans', 'stopping'},
    'kinship': {'concepts', 'probing', 'progress', 'statistics', 'tables'},
    'localisation': {'metrics', 'regions', 'statistics', 'tables'},
    'locks': set(),
    'mapping': {'alignment', 'attribution', 'data', 'progress', 'regions'},
    'loop': {
        'checkpoint', 'crew', 'metrics', 'planning', 'processes', 'profiling', 'progress', 'stopping', 'train',
        'writer',
    },
    'losses': set(),
    'metrics': set(),
    'models': set(),
    'names': set(),
    'performance': {'metrics', 'statistics', 'tables'},
    'placement': {'population'},
    'planning': {'cache', 'crew', 'placement', 'processes'},
    'plans': {'estimate', 'sweep'},
    'population': set(),
    'probing': {'concepts', 'datasets', 'placement', 'progress', 'regions'},
    'processes': {'cluster'},
    'profiling': set(),
    'progress': {'processes'},
    'provenance': {'writer'},
    'ranking': set(),
    'regions': {'alignment', 'datasets'},
    'samplers': set(),
    'scrutiny': {'attribution', 'faithfulness', 'mapping', 'progress', 'regions', 'tables'},
    'shortcut': {'alignment', 'data', 'datasets', 'mapping', 'metrics', 'progress', 'regions', 'tables'},
    'statistics': set(),
    'stopping': set(),
    'sweep': set(),
    'tables': {'statistics'},
    'train': {'losses'},
    'unit_study': {'concepts', 'encoding', 'interventions', 'kinship', 'probing', 'statistics', 'writer'},
    'writer': {'locks', 'processes'},
}


def imports(path: Path) -> set[str]:
    """The parts of the package that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('imbalance_jax'):
            parts = node.module.split('.')
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split('.')[1] for alias in node.names if alias.name.startswith('imbalance_jax.')}
    return found


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


@pytest.mark.parametrize('path', sorted(PACKAGE.rglob('*.py')), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_of_the_floor_plan(path):
    own = part(path)
    if own in KNOW_EVERYONE | {'__init__'}:
        return
    assert imports(path) - {own} <= ALLOWED[own] | LEAVES


def test_every_part_is_in_the_readme():
    text = (ROOT / 'README.md').read_text()
    parts = {part(path) for path in PACKAGE.rglob('*.py')} - {'__init__'}
    assert not {name for name in parts if not re.search(rf'`{name}(/|\.py)?`', text)}


def test_nothing_names_a_machine():
    files = (p for p in ROOT.rglob('*') if p.suffix in {'.py', '.sh', '.md', '.txt', '.toml', '.html'})
    kept = [p for p in files if not {'.venv', 'runs', 'data', 'build'} & set(p.relative_to(ROOT).parts)]
    pattern = re.compile(r'(?<![\w.])/(work|root|home|farm)/|https?://(pypi|files\.pythonhosted)')
    assert not {str(p) for p in kept if p != Path(__file__) and pattern.search(p.read_text())}

"""The levels of the README, kept: a file imports from its own folder and from lower levels only."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / 'imbalance_jax'
LEVELS = (
    {'names'},
    {'system'},
    {'data', 'losses', 'models', 'weights', 'metrics', 'attribution', 'alignment', 'concepts', 'config'},
    {'results', 'sweep'},
    {'training'},
    {'explain'},
    {'cli'},
)
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def imported(path: Path) -> set[str]:
    """Folders of the package, and other folders of the repository, that a file imports, also inside functions."""
    folders = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split('.')
            if parts[0] == 'imbalance_jax':
                folders |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
            elif parts[0] in ('analysis', 'configs', 'launch', 'tests'):
                folders.add(parts[0])
    return folders


@pytest.mark.parametrize('path', sorted(PACKAGE.rglob('*.py')), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    folder = part(path)
    if folder not in ('__init__', '__main__'):
        assert all(LEVEL.get(name, 9) < LEVEL[folder] for name in imported(path) - {folder})


def test_nothing_names_a_machine():
    files = (p for p in PACKAGE.parent.rglob('*') if p.suffix in {'.py', '.sh', '.md', '.txt', '.toml', '.html'})
    kept = [p for p in files if not {'.venv', 'runs', 'data', 'build'} & set(p.relative_to(PACKAGE.parent).parts)]
    pattern = re.compile(r'(?<![\w.])/(work|root|home|farm)/|https?://(pypi|files\.pythonhosted)')
    assert not {str(p) for p in kept if p != Path(__file__) and pattern.search(p.read_text())}


def signatures(path: Path):
    """Public functions of a file, and public methods of its public classes."""
    for node in ast.parse(path.read_text()).body:
        inside = node.body if isinstance(node, ast.ClassDef) and not node.name.startswith('_') else [node]
        yield from (f for f in inside if isinstance(f, ast.FunctionDef) and not f.name.startswith('_'))


@pytest.mark.parametrize('path', sorted(PACKAGE.rglob('*.py')), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_public_signatures_are_typed(path):
    for function in signatures(path):
        arguments = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
        bare = [one.arg for one in arguments if one.annotation is None and one.arg not in ('self', 'cls')]
        assert not bare, f'{function.name}: {bare} have no type'
        assert function.returns is not None, f'{function.name} has no return type'


def test_every_folder_is_packaged():
    root = PACKAGE.parent
    table = tomllib.loads((root / 'pyproject.toml').read_text())['tool']['setuptools']
    places = {name: root / folder for name, folder in table['package-dir'].items()}
    inside = [
        '.'.join((name, *path.parent.relative_to(folder).parts))
        for name, folder in places.items()
        for path in folder.rglob('__init__.py')
    ]
    assert sorted(table['packages']) == sorted(inside)
    assert len(set(inside)) == len(inside)

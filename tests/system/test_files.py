"""What lies in a working directory and is damaged or missing is named, with what to do."""

from types import SimpleNamespace

import numpy as np
import pytest

from imbalance_jax.cli import loading
from imbalance_jax.system import files, layout, workdir


@pytest.mark.parametrize('content', [b'{"a":', b'', b'\xff\xfe\x00'])
def test_damaged_json_is_named(tmp_path, content):
    path = tmp_path / 'config.json'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'config\.json is damaged'):
        files.read_json(path)


def test_a_missing_or_damaged_table_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'performance\.parquet is missing: run train'):
        workdir.read_table(tmp_path, 'performance')
    (tmp_path / 'results').mkdir()
    (tmp_path / 'results' / 'performance.parquet').write_bytes(np.arange(40).tobytes())
    with pytest.raises(ValueError, match=r'performance\.parquet is damaged'):
        workdir.read_table(tmp_path, 'performance')


@pytest.mark.parametrize('name', ['', *layout.FOLDERS])
def test_a_folder_that_is_a_dead_link_or_a_file_is_refused_before_work(tmp_path, name):
    place = tmp_path / 'run' / name
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(tmp_path / 'purged')
    with pytest.raises(ValueError, match=r'is a link to .*purged, which is not there'), workdir.lock(tmp_path / 'run'):
        pass
    place.unlink()
    place.write_text('')
    with pytest.raises(ValueError, match='is a file, not a folder'), workdir.lock(tmp_path / 'run'):
        pass


@pytest.mark.parametrize('name', layout.FOLDERS)
def test_a_folder_that_is_a_dead_link_is_named(tmp_path, name):
    files.check_parts(tmp_path, layout.FOLDERS)
    (tmp_path / name).symlink_to(tmp_path / 'gone')
    with pytest.raises(ValueError, match=f'{name} is a link to .*gone, which is not there; bring that back'):
        files.check_parts(tmp_path, layout.FOLDERS)


def test_verbs_that_read_look_for_dead_links(tmp_path):
    (tmp_path / 'on').symlink_to(tmp_path / 'gone')
    command = SimpleNamespace(flags=SimpleNamespace(workdir=str(tmp_path)))
    with pytest.raises(ValueError, match='on is a link to'):
        loading.trained(command, dict)

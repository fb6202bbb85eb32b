"""What there is no room for: images larger than the memory or the disk, a folder that is a file."""

from pathlib import Path

import pytest

from imbalance_jax.data import dataset, sources
from imbalance_jax.data.sources import room


def test_images_that_the_memory_cannot_hold_are_refused_with_what_it_can(monkeypatch, tmp_path):
    monkeypatch.setattr(room.limits, 'free_memory', lambda: 2 * room.PER_PIXEL * 1000**2)
    monkeypatch.setattr(room.limits, 'cores', lambda: 2)
    room.check_image_size(1000, 'config.data.image_size')
    said = r'^config\.data\.image_size is 1000000: .* 0\.0 GB are free; expected 1000 or less\.$'
    with pytest.raises(ValueError, match=said):
        sources.load('phantom', tmp_path, {'image_size': 1_000_000})
    assert not any(tmp_path.iterdir())


def test_images_that_the_disk_cannot_hold_are_refused(tmp_path):
    said = r'images .*, 1\] would take 1,000,000\.0 GB, .* expected a smaller config\.data\.image_size'
    with pytest.raises(OSError, match=said):
        dataset.allocate(tmp_path, 'images', (100_000, 100_000, 100_000, 1))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize('below', ['', 'sub', 'phantom'])
def test_a_prepared_folder_that_is_a_file_is_said(tmp_path, below):
    (tmp_path / 'kept').mkdir()
    folder = tmp_path / 'kept' if below == 'phantom' else tmp_path / 'file' / below
    (folder / 'phantom' if below == 'phantom' else tmp_path / 'file').write_text('x')
    with pytest.raises(
        ValueError, match=r"^config\.data\.folder is '.*', and .* is a file; a folder, or nothing"
    ) as caught:
        sources.load('phantom', Path(folder), {'image_size': 16})
    assert '\n' not in str(caught.value)

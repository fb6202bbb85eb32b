"""What is wrong is said before anything is compiled: also what a stage of `explain` would trip over."""

import pytest

from imbalance_jax.training import loop, network, run
from imbalance_jax.training.trained import Stage


def test_stages_check_their_options_before_training(tiny_config, tmp_path, monkeypatch):
    seen = []

    def check(config, untrained, image_shape, num_images):
        seen.append((config.data.image_size, untrained.model.apply, image_shape, num_images))
        raise ValueError('config.mine.rounds is 0; it must be 1 or more.')

    monkeypatch.setattr(loop, 'fit', lambda *_, **__: pytest.fail('training started'))
    stages = {'silent': Stage(lambda trained, workdir: None), 'mine': Stage(lambda trained, workdir: None, check)}
    with pytest.raises(ValueError, match=r'config\.mine\.rounds is 0'):
        run.run(tiny_config, tmp_path / 'run', stages=stages)
    assert not (tmp_path / 'run').exists()
    [(size, _, image_shape, num_images)] = seen
    assert image_shape == (size, size, 1)
    assert num_images == len(network.load_dataset(tiny_config).rows('test'))

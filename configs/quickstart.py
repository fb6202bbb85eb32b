"""The whole study in about nine minutes on two CPU cores: 5 approaches x 3 seeds on the embedded phantom data set.

bash launch/quickstart.sh
"""

from imbalance_jax.configs import base


def get_config():
    config = base.get_config()
    config.question = 'On chest phantoms whose findings are known exactly: what does each approach to imbalance learn?'
    with config.unlocked():
        config.arms = {
            'bce': {},
            'focal': {},
            'asymmetric': {},
            'class_balanced_focal': {},
            'weighted_sampling': {'loss': 'bce', 'sampler': 'weighted_sampling'},
        }
    config.model.cnn.widths = (16, 32, 64, 64)
    config.model.cnn.stem_stride = 2
    config.train.epochs = 20
    config.train.batch_size = 32
    config.train.learning_rate = 1e-2
    config.train.rate_floor = 0.1
    config.train.warmup_steps = 50
    config.train.steps_per_dispatch = 16
    config.attribution.integrated_gradients.steps = 8
    config.attribution.max_pairs = 320
    config.attribution.faithfulness_pairs = 8
    config.twins = {'patients': 32, 'pairs': 4}
    config.concepts.max_images = 384
    config.concepts.layers = ()
    config.concepts.rounds = 50
    config.concepts.greedy_steps = 6
    config.concepts.tcav_directions = 200
    return config

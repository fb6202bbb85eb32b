"""The whole study in five minutes on two CPU cores: 8 approaches x 3 seeds on the embedded phantom data set.

    bash launch/quickstart.sh
"""

from configs import base


def get_config():
    config = base.get_config()
    config.question = 'On chest phantoms whose findings are known exactly: what does each approach to imbalance learn?'
    config.train.epochs = 6
    config.train.batch_size = 64
    config.train.learning_rate = 2e-3
    config.train.warmup_steps = 20
    config.attribution.integrated_gradients.steps = 16
    return config

"""How much is seed noise? One approach, 64 seeds: spread, the gain of ensembles, and how many seeds a difference needs.

    bash launch/study.sh configs/seeds.py runs/seeds

About a quarter of an hour on two CPU cores. Of another arm: --config.reference and `arms` in a copy of this file.
"""

from imbalance_jax.configs import quickstart


def get_config():
    config = quickstart.get_config()
    config.question = 'How far do 64 seeds of one approach spread, and how many are needed to see a difference?'
    config.seeds = tuple(range(64))
    with config.unlocked():
        config.arms = {'bce': {}}
    config.attribution.methods = ('grad_cam',)
    return config

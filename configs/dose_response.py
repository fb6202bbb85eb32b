"""How do the approaches answer as a class becomes rarer? Effusion is thinned, everything else stays.

    bash launch/dose_response.sh runs/dose_response

Five working directories, one per dose (`configs/dose_response.py:0.045` is one of them), each 4 arms x 5 seeds on the
phantom data set; about twenty minutes on two CPU cores. `python -m imbalance_jax.analysis.sweeps.dose_response` draws
AUROC, average precision, alignment and detector units against the prevalence.
"""

from imbalance_jax.configs import quickstart

CLASS = 'Effusion'


def get_config(prevalence='natural'):
    """prevalence: the share of training images with an effusion, as text; 'natural' leaves it as it is, about 0.19."""
    config = quickstart.get_config()
    config.question = 'What does each approach to imbalance learn of a class as it becomes rarer?'
    config.seeds = (0, 1, 2, 3, 4)
    config.attribution.methods = ('saliency', 'grad_cam')
    with config.unlocked():
        config.arms = {
            'bce': {},
            'weighted_bce': {'cap': 20.0},
            'asymmetric': {},
            'weighted_sampling': {'loss': 'bce', 'sampler': 'weighted_sampling'},
        }
        if prevalence != 'natural':
            config.data.imbalance[CLASS] = float(prevalence)
    return config

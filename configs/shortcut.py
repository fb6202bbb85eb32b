"""What the metrics hide and the maps show: a chest drain that comes with a rare finding with probability rho.

    bash launch/shortcut.sh runs/shortcut                      # rho 0.02 (its background), 0.3, 0.6, 0.9
    imbalance-jax train --config=configs/shortcut.py:0.6 ...   # one of them

Per rho and arm: AUROC on the confounded test split and on a clean one, whose films are the same but for the drain, and
the share of each map on the drain and on the finding. About seven minutes per rho on two CPU cores.
"""

from imbalance_jax.configs import quickstart


def get_config(rho: str = '0.9'):
    config = quickstart.get_config()
    config.question = f'With a drain on {float(rho):.0%} of the films with pneumothorax: who looks at the drain?'
    with config.unlocked():
        config.arms = {
            'bce': {},
            'inverse_class_weighted_bce': {},
            'class_balanced_focal': {},
            'asymmetric': {},
            'weighted_sampling': {'loss': 'bce', 'sampler': 'weighted_sampling'},
            'permuted_labels': {'loss': 'bce', 'labels': 'permuted'},
        }
    config.data.phantom.shortcut_class = 'Pneumothorax'
    config.data.phantom.shortcut_probability = float(rho)
    config.data.phantom.num_patients = 2500
    config.attribution.regions = 'exact'
    return config

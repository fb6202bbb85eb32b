"""Does a loss change where a network looks, beyond what it changes in AUROC? One population that asks it six ways.

    bash launch/thesis.sh runs/thesis

Twelve arms x 12 seeds on the phantom data set; every seed trains on a bootstrap sample of the training patients. Doses
of the positive weight at constant data (`weighted_bce`, power 0 to 1, of which 0 is cross-entropy and the reference);
features x head, 2 x 2; three other approaches; weights matched to the reference in validation AUROC, and at a quarter
and a half of training. About an hour on two CPU cores, and one page at the end: runs/thesis/thesis.html.
"""

from imbalance_jax.configs import quickstart

DOSES = {'weight_0.25': 0.25, 'weight_0.5': 0.5, 'weight_0.75': 0.75, 'weight_1': 1.0}
HEAD_FROM = 0.7  # of training: then the features are frozen and a new head begins


def get_config(seeds='12'):
    """seeds: their number, as text."""
    config = quickstart.get_config()
    config.question = 'Does a loss against class imbalance change where a network looks, beyond its AUROC?'
    config.seeds = tuple(range(int(seeds)))
    config.reference = 'weight_0'
    with config.unlocked():
        config.arms = {
            'weight_0': {'loss': 'weighted_bce', 'power': 0.0},
            **{name.replace('.', '_'): {'loss': 'weighted_bce', 'power': power} for name, power in DOSES.items()},
            'features_bce_head_bce': retrained('bce', 'bce'),
            'features_bce_head_weighted': retrained('bce', 'weighted_bce'),
            'features_weighted_head_bce': retrained('weighted_bce', 'bce'),
            'features_weighted_head_weighted': retrained('weighted_bce', 'weighted_bce'),
            'focal': {},
            'asymmetric': {},
            'weighted_sampling': {'loss': 'weighted_bce', 'power': 0.0, 'sampler': 'weighted_sampling'},
        }
    config.data.resample = True
    config.train.epochs = 20
    config.train.matched = True
    config.train.kept_shares = (0.25, 0.5)
    config.evaluate.bootstrap_rounds = 500
    config.attribution.methods = ('saliency', 'grad_cam')
    config.attribution.metrics = ('relevance_rank', 'pixel_auroc')
    config.attribution.faithfulness_pairs = 0
    config.concepts.greedy_steps = 0
    return config


def retrained(loss, head_loss):
    """An arm whose features are trained with one loss and whose head is retrained with another, or the same."""
    return {'loss': loss, 'head_loss': head_loss, 'retrain_head_from': HEAD_FROM}

"""What do the mistakes in the study's published code do to its results? Each beside its correction, paired by seed.

    bash launch/study.sh configs/audit.py runs/audit

Seven arms x 5 seeds on the phantom data set, about a quarter of an hour on two CPU cores. The report's section
"Published and corrected" has the table.
"""

from imbalance_jax.configs import quickstart


def get_config():
    config = quickstart.get_config()
    config.question = "What do the mistakes of the study's published code do to AUROC, alignment and concepts?"
    config.seeds = (0, 1, 2, 3, 4)
    with config.unlocked():
        config.arms = {
            'bce': {},
            'weighted_sampling_published': {'loss': 'bce', 'sampler': 'weighted_sampling_published'},
            'weighted_sampling': {'loss': 'bce', 'sampler': 'weighted_sampling'},
            'inter_class_weighted_bce': {},
            'inverse_class_weighted_bce': {},
            'multi_task': {},
            'multi_task_consistent': {},
        }
    return config

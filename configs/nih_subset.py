"""The study on 1,000 real images of NIH ChestX-ray14: too few for published figures, enough to see it whole.

All of the sample's images in the official test list have pneumonia, so the split is a random one of its patients,
but for those with a box, which are all test as in the official one.

    bash launch/study.sh configs/nih_subset.py runs/nih_subset --config.data.nih_chest_xray14.manual_dir=FOLDER
"""

from imbalance_jax.configs import base


def get_config():
    config = base.get_config()
    config.question = 'Does the whole study hold together on real radiographs?'
    config.data.name = 'nih_chest_xray14'
    config.data.nih_chest_xray14.manual_dir = '../shared/data/nih'
    config.data.nih_chest_xray14.split = 'by_patient'
    config.model.cnn.widths = (16, 32, 64, 64)
    config.model.cnn.stem_stride = 2
    config.train.epochs = 12
    config.train.batch_size = 32
    config.train.learning_rate = 2e-3
    config.train.warmup_steps = 30
    return config

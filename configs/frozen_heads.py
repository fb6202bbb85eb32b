"""A first answer about losses in minutes: heads on frozen networks, on 1,000 radiographs of NIH at 224 pixels.

Every image passes each network once; the population trains on these features. WEIGHTS is torchvision's
`mobilenet_v2-b0353104.pth`.

    bash launch/study.sh configs/frozen_heads.py runs/frozen_heads \
        --config.data.nih_chest_xray14.manual_dir=FOLDER --config.model.weights=WEIGHTS
"""

from imbalance_jax.configs import nih_subset

LOSSES = {'bce': 'bce', 'focal': 'focal', 'weighted': 'intra_class_weighted_bce'}


def get_config():
    config = nih_subset.get_config()
    config.question = 'On frozen features: do losses or starting weights make the difference?'
    config.reference = 'random_bce'
    with config.unlocked():
        config.arms = {
            **{f'random_{name}': {'loss': loss, 'frozen': 1.0, 'weights': 'random'} for name, loss in LOSSES.items()},
            **{f'imagenet_{name}': {'loss': loss, 'frozen': 1.0} for name, loss in LOSSES.items()},
        }
    config.data.image_size = 224
    config.model.name = 'mobilenet_v2'
    config.model.weights = 'mobilenet_v2-b0353104.pth'  # of all arms that do not say otherwise
    config.augment.update(dict.fromkeys(('shift', 'rotation', 'scale', 'brightness', 'contrast'), 0.0))
    config.train.features = 'cached'
    config.train.epochs = 40
    config.train.batch_size = 50
    config.evaluate.bootstrap_rounds = 200
    # Members of one network share its units, so little of each is enough.
    config.attribution.methods = ('saliency', 'grad_cam')
    config.attribution.layer = config.concepts.layer = 'stage5'  # 7 x 7 positions
    config.attribution.max_pairs = 12
    config.attribution.faithfulness_pairs = 0
    config.concepts.layers = ()
    config.concepts.quantile = 0.02
    config.concepts.max_images = 64
    config.concepts.rounds = 20
    config.concepts.greedy_steps = 2
    config.concepts.probe_controls = 19
    config.concepts.tcav_directions = 50
    return config

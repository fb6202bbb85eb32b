"""What do weights from photographs give, against random ones? MobileNetV2 on a folder of images, two losses each.

WEIGHTS is torchvision's `mobilenet_v2-b0353104.pth`. The images are the breast ultrasounds of Al-Dhabyani et al. 2020,
a folder per class, with a mask beside each image; any other folder of images, or published set, does as well.

    bash launch/study.sh configs/transfer.py runs/transfer --config.data.busi.path=FOLDER --config.model.weights=WEIGHTS
"""

from imbalance_jax.configs import base


def get_config():
    config = base.get_config()
    config.question = 'Pretrained or random: where do maps and units of a network on ultrasounds come from?'
    config.reference = 'random'
    drawn, begun = {'weights': 'random', 'learning_rate': 2e-3}, {'learning_rate': 5e-4}
    with config.unlocked():
        config.arms = {
            'random': {'loss': 'cross_entropy', **drawn},
            'random_weighted': {'loss': 'weighted_cross_entropy', **drawn},
            'imagenet': {'loss': 'cross_entropy', **begun},
            'imagenet_weighted': {'loss': 'weighted_cross_entropy', **begun},
        }
        config.data.busi = {
            'reader': 'folder',
            'path': '../shared/data/busi',
            'images': {'exclude': ('*_mask*.png',), 'resize': 'pad'},
            'modality': 'ultrasound',
            'labels': {'path': 'parent', 'classes': ('benign', 'malignant', 'normal'), 'none': ()},
            'task': 'multi_class',
            'regions': {'files': '{stem}_mask*.png', 'concept': 'label'},
        }
    config.seeds = (0, 1)
    config.data.name = 'busi'
    config.data.image_size = 96
    config.model.name = 'mobilenet_v2'
    config.model.weights = 'mobilenet_v2-b0353104.pth'  # of all arms that do not say otherwise
    config.augment.flip = 'horizontal'
    config.train.epochs = 8
    config.train.batch_size = 16
    config.train.warmup_steps = 10
    config.train.steps_per_dispatch = 4
    config.evaluate.bootstrap_rounds = 400
    config.attribution.methods = ('saliency', 'grad_cam')
    config.attribution.layer = 'stage4'  # 6 x 6 positions; the last stages have 3 x 3
    config.attribution.max_pairs = 24
    config.attribution.faithfulness_pairs = 4
    config.concepts.layer = 'stage4'
    config.concepts.quantile = 0.02
    config.concepts.max_images = 64
    config.concepts.layers = ()
    config.concepts.rounds = 50
    config.concepts.greedy_steps = 2
    config.concepts.tcav_directions = 100
    return config

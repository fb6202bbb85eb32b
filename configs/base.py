"""Every field of an experiment, once, with the defaults of Khakzar, Li et al. 2022 where the study states them."""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.question = 'Which differences between approaches to class imbalance are more than seed noise?'
    config.seeds = (0, 1, 2)
    config.reference = 'bce'  # the arm that all others are compared with
    # An arm is a loss and a sampler, with options of either (gamma=2., ...). What is left out: loss = the arm's name,
    # sampler = 'natural', learning_rate and weight_decay = those of `train`, head = 'linear', labels = 'own'. With
    # retrain_head_from = 0.7 the last 0.3 train a new head alone, with the arm's sampler and, if set, its head_loss.
    # Fields of fine-tuning (frozen, layer_decay, optimizer, ema, ...): imbalance_jax/training/README.md.
    config.arms = {
        'bce': {},
        'intra_class_weighted_bce': {},
        'inter_class_weighted_bce': {},
        'focal': {},
        'class_balanced_focal': {},
        'asymmetric': {},
        'multi_task': {},
        'weighted_sampling': {'loss': 'bce', 'sampler': 'weighted_sampling'},
    }

    # Modules or .py files with losses, models, methods, ... of your own: imbalance_jax/README.md.
    config.plugins = ()
    config.plugin_folders = ()  # where they were found; filled in when the config is loaded

    config.data = ConfigDict()
    config.data.name = 'phantom'
    config.data.folder = 'data'  # where prepared data sets are kept
    config.data.image_size = 64
    # Training images that would take more than half of a device's memory come to it part by part, while it works;
    # 'always' and 'never' do so whatever their size. Results are the same.
    config.data.stream = 'auto'
    # 'multi_label', each class a question of its own, or 'multi_class', one class per image; '' is as the data say.
    config.data.task = ''
    config.data.order = 'own'  # 'own': each seed its own batches; 'shared': one order for all
    # Class -> prevalence that the training split is thinned to, by leaving out whole patients; empty: as it is.
    config.data.imbalance = ConfigDict()
    config.data.imbalance_seed = 0  # who leaves first
    # What uncertain, empty and differing cells of a label table become, where a set has them: 'own', as its source does
    # it, or a policy ('u_ones', 'majority', ...), for all that is trained and judged; an arm may train on others, such
    # as labels='u_zeros'. Policies of your own: {'mine': {'uncertain': {'Edema': 'ones', '*': 'zeros'}}}.
    config.data.labels = 'own'
    config.data.policies = ConfigDict()
    # Other data sets that the trained population is tested and explained on: names as in `data.name`, each alone (its
    # test split) or with a split, such as ('chexpert', 'my_folder:all'). Their classes are matched by name and exact
    # synonyms; label_maps says what else is the same, {'chexpert': {'Effusion': 'Pleural Effusion', 'Mass': ''}}.
    config.data.test_on = ()
    config.data.label_maps = ConfigDict()
    # Every seed trains on a bootstrap sample of the training patients, so that intervals cover the training sample too.
    config.data.resample = False
    # One block per data set: options of its `make` in imbalance_jax/data/sources. An option that is not listed here has
    # the default of its signature and can be set all the same; so can those of models, methods, losses and samplers.
    config.data.phantom = {
        'num_patients': 1500,
        'seed': 0,
        'common_prevalence': 0.25,
        'imbalance_ratio': 16.0,
        'shortcut_class': '',
        'shortcut_probability': 0.0,
        'shortcut_background': 0.02,
        'validation_fraction': 0.15,
        'test_fraction': 0.25,
    }
    config.data.nih_chest_xray14 = {'manual_dir': '', 'split': 'official', 'validation_fraction': 0.1}

    # Half-widths of uniform ranges: shift in image sizes, rotation in degrees, brightness in grey ranges.
    config.augment = {'shift': 0.04, 'rotation': 5.0, 'scale': 0.06, 'brightness': 0.05, 'contrast': 0.1}
    # 'auto' is by what the images are, and changes nothing of radiographs: a mirrored chest is another anatomy. flip:
    # 'none', 'horizontal' or 'both', each with probability 1/2; colour: 'none' or 'jitter', with the half-widths of
    # saturation (a share) and hue (a share of the colour circle), of images with three channels.
    config.augment.update({'flip': 'auto', 'colour': 'auto', 'saturation': 0.1, 'hue': 0.02})

    config.model = ConfigDict()
    config.model.name = 'cnn'
    # A file of weights that training begins with (safetensors or .pth, by the names of torchvision, timm, ...); '' for
    # none: networks are drawn by their seeds. Per arm too: weights='FILE', or weights='random' for none.
    config.model.weights = ''
    config.model.keep_head = False  # also with the head of the weights, which must fit the classes
    config.model.allow_seen_patients = False  # weights that may have seen patients of the test split are flagged only
    # What weights want of an image. name: '' is what is known of published ones; 'imagenet', 'xrv' (torchxrayvision),
    # 'own' (the data set's mean 0 and standard deviation 1), or 'given' by the rest: a grey value v in 0..1 becomes
    # (low + (high - low) v - mean) / std, channel by channel. size: 'set' leaves images as large as the data set has
    # them; 'weights' resizes their shorter side and cuts out the middle, as the weights were trained.
    config.model.preprocessing = {'name': '', 'mean': (), 'std': (), 'low': 0.0, 'high': 1.0, 'size': 'set'}
    config.model.preprocessing.update({'resize': 0, 'crop': 0, 'interpolation': 'bilinear'})
    # One block per model: options of its class in imbalance_jax/models.
    config.model.cnn = {'widths': (16, 32, 64), 'stem_stride': 1, 'pools': 2, 'norm': 'batch', 'dtype': 'float32'}
    config.model.resnet18 = {'width': 64, 'norm': 'batch', 'stem': 'imagenet', 'dtype': 'float32'}

    config.train = ConfigDict()
    config.train.epochs = 50
    config.train.batch_size = 512
    config.train.learning_rate = 4e-4
    config.train.weight_decay = 1e-6
    config.train.warmup_steps = 1000
    config.train.rate_floor = 0.01  # the learning rate starts and ends at this share of its peak
    config.train.steps_per_dispatch = 8
    config.train.patience = 0  # a member stops after so many epochs without a better validation AUROC; 0: never
    # Also keep each member's weights of the epoch whose validation AUROC is nearest to the reference arm's best ...
    config.train.matched = False
    # ... and those at these shares of training, such as (0.25, 0.5, 1.0). Each becomes a folder of WORKDIR/weights.
    config.train.kept_shares = ()
    # Within blocks of the model, compute activations again for the gradient: less memory, a third more time.
    config.train.remat = False
    # 'cached': where every arm has frozen = 1.0, features of images are computed once, without augmentation, and a
    # population of heads is trained on them.
    config.train.features = 'recompute'
    config.train.save_seconds = 300.0  # a checkpoint at least this often, and after every epoch

    # Of products and convolutions on an accelerator, of float32 numbers: 'float32'; 'tensorfloat32' or 'bfloat16', as
    # its factors are rounded; 'default', what it is fastest at, which is tensorfloat32 or bfloat16. A CPU has float32
    # alone. deterministic: the same bits from run to run on an accelerator too, at a price.
    config.precision = {'train': 'default', 'explain': 'float32', 'deterministic': False}

    # 'auto' times what could be fastest here; or vmap, map, unroll, vmap:k, shard:... of each, data:d:shard:...
    # memory_gib: of one device; 0 for what is free. A population that needs more is trained in waves of members.
    config.population = {'strategy': 'auto', 'memory_gib': 0.0}
    config.evaluate = ConfigDict()
    config.evaluate.batch_size = 64
    config.evaluate.bootstrap_rounds = 1000
    config.evaluate.bootstrap_seed = 0
    # Arms are called equal where a difference is shown to lie within these, and not where it merely is not shown.
    config.evaluate.margin = {'auroc': 0.01, 'average_precision': 0.02}
    config.evaluate.smallest_effect = 0.02  # a smaller difference in a measure of maps (0..1) is no finding
    # Training images of a class: below the first it is in the tail, above the second in the head.
    config.evaluate.tail = (20, 100)
    config.evaluate.smallest_count = 5  # patients with a finding, below which its figures get no interval

    config.attribution = ConfigDict()
    config.attribution.methods = ('saliency', 'integrated_gradients', 'grad_cam')
    config.attribution.layer = ''  # for Grad-CAM; '' is the model's last stage
    config.attribution.integrated_gradients = {'steps': 50}  # one block per method: its options
    config.attribution.regions = 'box'  # what maps are held against: 'box', or 'exact' masks where there are any
    # Of regions by several readers, pixels that 'any', a 'majority' or 'all' of those who saw the image chose, or those
    # of one reader, by name. '': the set's own choice, else the majority of three or more, else any.
    config.attribution.readers = ''
    # Around lungs and heart, in image heights: heat beyond that is outside the chest (sets with anatomy).
    config.attribution.anatomy_margin = 0.05
    # Of `alignment.METRICS`, beside the study's own (pointing game, IoBB, IoR, IoU).
    config.attribution.metrics = (
        'pointing_game_torchray',
        'pointing_game_quantus',
        'pointing_game_chexlocalize',
        'relevance_rank',
        'pixel_auroc',
        'effective_heat_ratio',
        'iobb_chestxray8',
        'miou_otsu',
        'miou_tuned',
    )
    config.attribution.batch_size = 64  # pairs per call
    # That a call may hold on one device; it takes fewer pairs, or fewer members, at a time. 0: what the device has.
    config.attribution.memory_mib = 0.0
    config.attribution.faithfulness_pairs = 16  # of them, for insertion, deletion, ROAD, ...; 0: none
    # At most so many (image, class) pairs with a region; 0: all. Of classes without regions pairs are taken by label,
    # at most so many or 256.
    config.attribution.max_pairs = 0

    # Of a source that draws images with and without a concept: test patients, one image of each, that every concept is
    # put into and taken out of; and pairs of each finding that maps are made of.
    config.twins = {'patients': 64, 'pairs': 8}

    config.concepts = ConfigDict()
    config.concepts.layer = ''  # '' is the model's last stage, of which most is asked
    config.concepts.layers = ('all',)  # what else is dissected, compared and probed: names of layers, or 'all'
    config.concepts.regions = 'exact'
    config.concepts.readers = ''  # as in `attribution`
    config.concepts.max_images = 512  # of the test split: one half with regions, one half without, weighted
    config.concepts.quantile = 0.005  # share of positions above a unit's threshold, for dissection
    config.concepts.count_quantile = 0.99  # the study's, for the number of concepts
    # The null a detector is held against: 'image_permutation' exchanges the annotations of images and keeps places,
    # the strict question on radiographs; 'circular_shift' moves them about, and also finds units that prefer a place.
    config.concepts.null = 'image_permutation'
    config.concepts.rounds = 100
    config.concepts.greedy_steps = 12  # units that are taken away for each class, the most harmful first; 0: one
    config.concepts.carrying_share = 0.5  # of AUROC above 0.5 that is left of a class without the units that carry it
    config.concepts.probe_folds = 5  # of patients, for linear probes
    config.concepts.probe_controls = 99  # probes of labels exchanged between patients; the smallest p is 1 / 100
    config.concepts.tcav_layer = ''  # '' is the layer before the main one: before a linear head its sign is 0 or 1
    config.concepts.tcav_directions = 500  # directions fitted to labels exchanged between patients
    config.concepts.logit_steps = 8  # of the path along which a logit is divided among units
    return config

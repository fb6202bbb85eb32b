"""What can be wrong with a config or its data is said here, with what would be valid, before anything is compiled."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ml_collections import ConfigDict

from imbalance_jax import models
from imbalance_jax.config import check_ranges
from imbalance_jax.config.fields import NO_OPTIONS, WITHIN, survives
from imbalance_jax.data import policies, readers, samplers, tasks
from imbalance_jax.data.dataset import Dataset
from imbalance_jax.data.sources.folder import plain
from imbalance_jax.losses import LOSSES, SIGMOID, SOFTMAX, link_of
from imbalance_jax.names import lookup
from imbalance_jax.training import kept, network, other_sets, plugins, start_images, strategies, tuning
from imbalance_jax.training.members import HEADS
from imbalance_jax.training.network import Network
from imbalance_jax.training.trained import Stage

SHORTCUT = ('shortcut_probability', 'shortcut_background')  # options of the phantom
LONGEST = 200  # bytes of an arm's name, by which a folder is called
FORMULA = '=+-@'  # a cell of a spreadsheet that begins so is computed


def check_config(config: ConfigDict) -> None:
    """Raises ValueError for what the config alone shows to be wrong; `build.make_members` checks its arms and seeds."""
    check_ranges(config)
    lookup(models.MODELS, config.model.name, 'model in config.model.name:')
    check_blocks(config)
    other_sets.check(config)
    if config.train.kept_shares and config.train.patience:
        raise ValueError('config.train.kept_shares is for members that train to the end: set train.patience to 0.')
    if config.population.strategy != 'auto':
        check_sharing(config.population.strategy, config.train.batch_size)


def without_effect(config: ConfigDict, base: Mapping[str, Any], channels: int) -> list[str]:
    """What to say of fields that were changed and change nothing: for weights, where no arm begins with weights; of
    colour, for grey images; of a shortcut, for no class. base: every field with its default; channels: of the images.
    """
    said = []
    if fields := _for_weights(config, base):
        named = ', '.join(f'config.model.{name}' for name in fields)
        said.append(f'Without effect, as no arm begins with weights (config.model.weights): {named}.')
    setting, began = config.model.preprocessing, [arm for arm in config.arms.values() if arm.get('weights')]
    if config.model.weights or began:
        arms = config.arms.values() if config.model.weights else began
        said += start_images.without_effect(setting, [arm.get('preprocessing') or setting.name for arm in arms])
    if config.augment.get('colour') == 'jitter' and channels == 1:
        said.append("Without effect, as the images are grey: config.augment.colour = 'jitter'.")
    if config.data.name == 'phantom' and not config.data.phantom.shortcut_class:
        given, usual = config.data.phantom.to_dict(), base.get('data', {}).get('phantom', {})
        changed = [name for name in SHORTCUT if given[name] != usual.get(name, given[name])]
        named = ', '.join(f'config.data.phantom.{name}' for name in changed)
        said += [f'Without effect, as there is no shortcut_class: {named}.'] if changed else []
    return [*said, *_of_equal_shares(config.train.kept_shares, config.train.epochs)]


def _of_equal_shares(shares: Sequence[float], epochs: int) -> list[str]:
    """Sentences about epochs that several shares of training end with, whose weights have their names."""
    by_epoch: dict[int, list[str]] = {}
    for share in shares:
        by_epoch.setdefault(kept.share_epoch(share, epochs), []).append(kept.share_name(share))
    return [
        f'{" and ".join(names)} (config.train.kept_shares) are one: the weights after epoch {epoch} of {epochs}.'
        for epoch, names in by_epoch.items()
        if len(names) > 1
    ]


def _for_weights(config: ConfigDict, base: Mapping[str, Any]) -> list[str]:
    """The changed fields of `config.model` that are for weights, where no arm begins with any."""
    if config.model.weights or any(arm.get('weights') for arm in config.arms.values()):
        return []
    given, usual = (plain(block) for block in (config.model.to_dict(), base.get('model', {})))  # a plan has lists
    changed = [name for name in ('keep_head', 'allow_seen_patients') if given[name] != usual.get(name, given[name])]
    default = usual.get('preprocessing', given['preprocessing'])
    return changed + [
        f'preprocessing.{name}' for name, value in given['preprocessing'].items() if value != default[name]
    ]


def check_before_compiling(
    config: ConfigDict, dataset: Dataset, untrained: Network, *, stages: Mapping[str, Stage]
) -> None:
    """Raises ValueError for what the config and its data show to be wrong, also for what `explain` will ask later."""
    check_batch_size(config.train.batch_size, len(dataset.rows('train')))
    tasks.check_task(dataset)
    check_links(config, tasks.task_of(dataset.info))
    for block in ('attribution', 'concepts'):
        readers.check(dataset, config[block].readers, f'{block}.readers')
    height, width, channels = dataset.images.shape[1:]
    shape, count = (height, width, channels), len(dataset.rows('test'))
    check_questions(config, untrained, shape, count, stages=stages, num_classes=len(dataset.classes))


def check_questions(
    config: ConfigDict,
    untrained: Network,
    image_shape: tuple[int, int, int],
    num_images: int,
    *,
    stages: Mapping[str, Stage],
    num_classes: int = 0,
) -> None:
    """Raises ValueError for a model that breaks its contract, and for options that a stage would refuse later.

    num_images: of the test split; num_classes: 0 if it is not known.
    """
    check_network(config, untrained, image_shape, num_classes)
    for stage in stages.values():
        if stage.check is not None:
            stage.check(config, untrained, image_shape, num_images)


def check_population(arms: Mapping[str, Any], seeds: Sequence[Any], reference: str) -> None:
    """Raises ValueError without seeds, for seeds that are no different whole numbers, or a reference that is no arm."""
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**32 for seed in seeds)
    if not seeds or not whole or len(set(seeds)) != len(seeds):
        raise ValueError(f'config.seeds must be one or more different whole numbers below 2^32, not {tuple(seeds)}.')
    check_names(arms, 'config.arms')
    if reference not in arms:
        raise ValueError(f'config.reference is {reference!r}, which is no arm. Arms: {", ".join(sorted(arms))}.')


def check_names(arms: Iterable[str], where: str) -> None:
    """Raises ValueError for a name of an arm that no table can hold as it is."""
    for name in arms:
        if len(name.encode()) > LONGEST:
            raise ValueError(f'{where} has a name of {len(name.encode())} bytes, {name[:24]!r}...; at most {LONGEST}.')
        if not name.strip() or not name.isprintable() or name != name.strip() or name[0] in f'{FORMULA}#':
            raise ValueError(
                f'{where} has {name!r}; a name has no line breaks or unseen letters, no blanks at its ends, and does '
                f'not begin with {" ".join(FORMULA)}, which a spreadsheet takes for a formula, or #, as a line '
                'that is left out does.'
            )


def check_labels(labels: str, own_policies: Mapping[str, Any]) -> None:
    """Raises ValueError for labels, config.data.labels, or a policy of config.data.policies, that there cannot be."""
    known = {policies.OWN: None, **policies.named(own_policies)}
    lookup(known, labels, 'label policy, config.data.labels:')


def equal_arms(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each two arms that are one under two names. rows: of members.json."""
    found: dict[str, list[str]] = {}
    for row in rows:
        what = {name: value for name, value in row.items() if name not in ('member', 'arm', 'seed')}
        names = found.setdefault(json.dumps(what, sort_keys=True, default=str), [])
        names += [row['arm']] if row['arm'] not in names else []
    return [
        f'Arms {" and ".join(names)} have one setting under several names: networks of a seed are equal, and so is '
        'whatever is compared.'
        for names in found.values()
        if len(names) > 1
    ]


def check_members(rows: Sequence[Mapping[str, Any]], own_policies: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Raises ValueError for the first field of a row of members.json that cannot be; the loss checks its own.

    own_policies: those of `config.data.policies`.
    """
    known = {policies.OWN: None, policies.PERMUTED: None, **policies.named(own_policies)}
    for row in rows:
        name = f'config.arms.{row["arm"]}'
        for field, value in {**row, **row['hyper'], **row['head_hyper'], **row['sampler_options']}.items():
            if not survives(value):
                raise ValueError(f'{name}.{field} is {value!r}; it must be {WITHIN}.')
        for field, least in (('learning_rate', 'more than 0'), ('weight_decay', '0 or more')):
            value = row[field]
            number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
            if not number or value < 0 or (value == 0 and field == 'learning_rate'):
                raise ValueError(f'{name}.{field} is {value!r}; it must be a finite number, {least}.')
        lookup(HEADS, row['head'], f'head of {name}:')
        lookup(known, row['labels'], f'labels of {name}:')
        lookup(samplers.SAMPLERS, row['sampler'], f'sampler of {name}:')
        start = row['retrain_head_from']
        if not isinstance(start, (int, float)) or not 0 < start <= 1:
            raise ValueError(f'{name}.retrain_head_from is {start!r}; it must be more than 0 and at most 1.')
        if row['head_loss'] and start == 1:
            head = f'head_loss is {row["head_loss"]!r}, but no head is retrained'
            raise ValueError(f'{name}.{head}; set retrain_head_from, such as 0.7.')
        tuning.check(row)


def check_sharing(strategy: str, batch_size: int) -> None:
    """Raises ValueError for an unknown strategy, and for one whose devices cannot share a batch evenly."""
    share = strategies.parse(strategy).data
    if batch_size % share:
        valid = ', '.join(f'data:{d}' for d in range(2, batch_size + 1) if batch_size % d == 0)
        raise ValueError(
            f'config.population.strategy is {strategy!r}, and {share} devices cannot have as many each of the '
            f'{batch_size} images of a batch (config.train.batch_size); valid are {valid or "those without data:d"}.'
        )


def check_batch_size(batch_size: int, num_images: int) -> None:
    """Raises ValueError for a batch that the training images cannot fill."""
    if num_images < batch_size:
        raise ValueError(f'config.train.batch_size {batch_size} is more than the {num_images} training images.')


def check_links(config: ConfigDict, task: str) -> None:
    """Raises ValueError for a loss with a softmax where an image may be of several classes or of none (`task`), and for
    an arm whose head is retrained with a loss of the other kind.

    Losses of sigmoids are valid everywhere: of classes that exclude each other they ask for one against the rest.
    """
    sigmoid = sorted(name for name in LOSSES if link_of(name) == SIGMOID)
    for name, arm in config.arms.items():
        used = [loss for loss in (arm.get('loss', name), arm.get('head_loss', '')) if loss]
        of_softmax = [loss for loss in used if link_of(loss) == SOFTMAX]
        if of_softmax and task != tasks.MULTI_CLASS:
            why = f'wants exactly one class per image, and {config.data.name} is {task}'
            raise ValueError(f'config.arms.{name}: loss {of_softmax[0]!r} {why}; valid are {", ".join(sigmoid)}.')
        if of_softmax and len(of_softmax) < len(used):
            both = f'loss {used[0]!r} and head_loss {used[1]!r} make probabilities in two ways'
            raise ValueError(f'config.arms.{name}: {both}, softmax and sigmoid; take two of one kind.')


def check_network(
    config: ConfigDict, untrained: Network, image_shape: tuple[int, int, int], num_classes: int = 0
) -> None:
    """Raises ValueError for options that the model cannot be built with, and for a model that breaks its contract."""
    try:
        network.abstract_variables(untrained.model, image_shape)
    except (TypeError, AttributeError, OverflowError, ValueError) as error:
        options = dict(config.model.get(config.model.name, {}))
        reason = ' '.join(str(error).split())
        raise ValueError(f'config.model.{config.model.name} is {options}: {reason}') from error
    try:
        models.check(untrained.model, image_shape, num_classes)
    except ValueError as error:
        raise ValueError(f'config.model.name is {config.model.name!r}. {error}') from error


def check_blocks(config: ConfigDict) -> None:
    """Raises ValueError for a block of options of a data set, model or attribution method that there is not.

    So it does for an option that the function of that name does not take, in use or not.
    """
    kinds = {'data': 'data set', 'model': 'model', 'attribution': 'attribution method'}
    for block, kind in kinds.items():
        for name, options in config[block].items():
            if isinstance(options, ConfigDict) and f'{block}.{name}' not in NO_OPTIONS:
                known = plugins.options(block, name, options)
                for option in options:
                    lookup(known, option, f'option of {kind} {name!r}:')

"""Networks of torchvision in small, their weights drawn from their names, so that a golden file holds outputs only.

`python tests/torch_models.py` writes tests/golden/torch_models.npz; it needs torch and torchvision.
"""

import zlib
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent / 'golden' / 'torch_models.npz'
IMAGES = (2, 37, 44, 3)  # odd and even sides
CLASSES = 3
EVERY = 4  # of rows, columns and channels of a layer's map, one in so many is kept
STAGES = ('stage1', 'stage2', 'stage3', 'stage4')
# Name -> layers and the modules that they are the output of; a layer of the DenseNet comes after the ReLU.
LAYERS = {
    'basic': {'stem': 'relu', **{stage: f'layer{n}' for n, stage in enumerate(STAGES, 1)}},
    'bottleneck': {'stem': 'relu', **{stage: f'layer{n}' for n, stage in enumerate(STAGES, 1)}},
    'densenet': {
        'stem': 'features.relu0',
        **{stage: f'features.transition{n}.relu' for n, stage in enumerate(STAGES[:3], 1)},
        'stage4': 'features.norm5',
    },
    'mobilenet': {name: f'features.{n}' for name, n in zip(('stem', *STAGES), (0, 1, 3, 6, 13), strict=True)}
    | {'stage5': 'features.17', 'stage6': 'features.18'},
}


def drawn(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor of a state dict: kernels of a sensible size, positive scales and variances, the rest around 0."""
    numbers = np.random.default_rng(zlib.crc32(key.encode())).random(shape)
    if len(shape) > 1:
        return ((2 * numbers - 1) * np.sqrt(6 / np.prod(shape[1:]))).astype(np.float32)
    positive = key.endswith(('weight', 'running_var'))
    return (numbers + 0.5 if positive else 0.4 * numbers - 0.2).astype(np.float32)


def thinned(value: np.ndarray) -> np.ndarray:
    """What is kept of a layer's map [B,h,w,U]; of other arrays, all."""
    return value[:, ::EVERY, ::EVERY, ::EVERY] if value.ndim == 4 else value


def build() -> dict:
    """The networks, as torchvision has them."""
    from torchvision import models
    from torchvision.models.resnet import BasicBlock, Bottleneck

    return {
        'basic': models.ResNet(BasicBlock, [1, 2, 1, 1], num_classes=CLASSES),
        'bottleneck': models.ResNet(Bottleneck, [1, 1, 1, 1], num_classes=CLASSES),
        'densenet': models.DenseNet(8, (2, 3, 2, 2), 16, bn_size=2, num_classes=CLASSES),
        'mobilenet': models.MobileNetV2(CLASSES, width_mult=0.35, dropout=0.0),
    }


def run(name: str, model) -> dict[str, np.ndarray]:
    """Outputs of a network in evaluation and in training mode, and its running statistics after the latter."""
    import torch

    images = torch.from_numpy(drawn('images', IMAGES).transpose(0, 3, 1, 2).copy())
    state = {key: torch.from_numpy(drawn(key, tuple(v.shape))) for key, v in model.state_dict().items() if v.ndim}
    model.load_state_dict(state, strict=False)
    result, modules, seen = {}, dict(model.named_modules()), {}

    def keep(layer: str):
        # The first call counts: a ResNet's `relu` is the stem's at first. The norm that ends a DenseNet has its ReLU
        # outside.
        return lambda module, inputs, output: seen.setdefault(
            layer, torch.relu(output.clone()) if layer == 'stage4' and name == 'densenet' else output.clone()
        )

    for layer, path in LAYERS[name].items():
        modules[path].register_forward_hook(keep(layer))
    for mode in ('eval', 'train'):
        seen.clear()
        model.train(mode == 'train')
        with torch.no_grad():
            seen['logits'] = model(images)
        for layer, value in seen.items():
            value = value.permute(0, 2, 3, 1) if value.ndim == 4 else value
            result[f'{name}/{mode}/{layer}'] = thinned(value.numpy())
    for key, value in model.state_dict().items():
        if 'running' in key:
            result[f'{name}/after/{key}'] = value.numpy()
    return result


if __name__ == '__main__':
    arrays: dict = {}
    for name, model in build().items():
        arrays |= run(name, model)
    np.savez_compressed(GOLDEN, **arrays)
    print(f'{GOLDEN}: {GOLDEN.stat().st_size:,} bytes, {len(arrays)} arrays')

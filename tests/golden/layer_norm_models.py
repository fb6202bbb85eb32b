"""Makes layer_norm_models.npz with torchvision 0.29 and timm 1.0: small ConvNeXts and a ViT, their weights and outputs.

    python tests/golden/layer_norm_models.py [FOLDER]

Keys are 'MODEL/weights/KEY IN THE STATE DICT', 'MODEL/image' [B,H,W,C] and 'MODEL/MODE/LAYER' with the mode 'eval' or
'train' (of the small ones the logits alone), maps as [B,h,w,U]. With a folder it writes there one file per full-size
model, for images of 224 pixels.
"""

import sys
from pathlib import Path

import numpy as np
import timm
import torch
from torchvision.models import convnext

BLOCKS = [(4, 8, 1), (8, 16, 1), (16, 32, 2), (32, None, 1)]


def small_convnext():
    return convnext.ConvNeXt([convnext.CNBlockConfig(*one) for one in BLOCKS], num_classes=5)


def small_nano():
    return timm.models.ConvNeXt(depths=(1, 1, 1, 1), dims=(4, 8, 16, 32), num_classes=5, conv_mlp=True)


def small_vit(size=32):
    return timm.models.VisionTransformer(
        img_size=size, patch_size=8, embed_dim=12, depth=6, num_heads=3, num_classes=5, dynamic_img_size=True
    )


def torchvision_layers(model):
    stages = {f'stage{n}': model.features[2 * n - 1] for n in (1, 2, 3, 4)}
    return {'stem': model.features[0], **stages, 'pooled': model.classifier[:2]}


def timm_layers(model):
    stages = {f'stage{n + 1}': stage for n, stage in enumerate(model.stages)}
    return {'stem': model.stem, **stages, 'pooled': model.head.flatten}


def vit_layers(model):
    depth = len(model.blocks)
    ends = (*(round(depth * n / 4) for n in (1, 2, 3)), depth - 1)
    return {**{f'stage{n}': model.blocks[end - 1] for n, end in enumerate(ends, 1)}, 'pooled': model.fc_norm}


def strewn(model):
    """Weights of which none is 0 or 1, so that one in another's place shows, and which float16 holds exactly."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in model.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            if (value.ndim == 1 and 'bias' not in name) or 'scale' in name or 'gamma' in name:
                value.copy_(0.5 + 0.1 * noise)
            else:
                value.add_(0.1 * noise if value.ndim == 1 else 0.02 * noise)
            value.copy_(value.half())
    return model


def outputs(model, layers, image):
    """Logits and what every layer gives, by name; the tokens of a ViT as a grid without the class token."""
    found = {}

    def keep(name):
        def hook(_, inputs, result):
            if result.ndim == 3:
                side = int((result.shape[1] - 1) ** 0.5)
                result = result[:, 1:].reshape(len(result), side, side, -1).permute(0, 3, 1, 2)
            result = result.flatten(1) if name == 'pooled' else result
            found[name] = (result.permute(0, 2, 3, 1) if result.ndim == 4 else result).detach().numpy()

        return hook

    handles = []
    for name, layer in layers(model).items():
        layer = layer[-1] if isinstance(layer, torch.nn.Sequential) and name == 'pooled' else layer
        handles.append(layer.register_forward_hook(keep(name)))
    with torch.no_grad():
        found['logits'] = model(image).numpy()
    for handle in handles:
        handle.remove()
    return found


def case(name, model, layers, size, *, weights=True):
    image = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1)).half().float()
    result = {f'{name}/weights/{key}': value.half().numpy() for key, value in model.state_dict().items() if weights}
    result[f'{name}/image'] = image.permute(0, 2, 3, 1).half().numpy()
    for mode in ('eval', 'train'):
        model.train(mode == 'train')
        for key, value in outputs(model, layers, image).items():
            if mode == 'eval' or key == 'logits' or size > 64:
                result[f'{name}/{mode}/{key}'] = value
    return result


def without_drop_path(model):
    """A full-size model of torchvision drops blocks in training, as we do not."""
    for module in model.modules():
        if type(module).__name__ == 'StochasticDepth':
            module.p = 0.0
    return model


def main():
    torch.manual_seed(0)
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1])
        tiny = without_drop_path(convnext.convnext_tiny())
        cases = {
            'convnext_tiny': (tiny, torchvision_layers),
            'convnext_tiny.timm': (timm.create_model('convnext_tiny'), timm_layers),
            'convnext_nano': (timm.create_model('convnext_nano'), timm_layers),
            'vit_tiny': (timm.create_model('vit_tiny_patch16_224'), vit_layers),
        }
        for name, (model, layers) in cases.items():
            np.savez(folder / f'{name}.npz', **case(name, strewn(model), layers, 224))
        return
    vit = strewn(small_vit())
    small = {
        **case('torchvision', strewn(without_drop_path(small_convnext())), torchvision_layers, 32),
        **case('timm', strewn(small_nano()), timm_layers, 32),
        **case('vit', vit, vit_layers, 32),
        **case('vit of 48 pixels', vit, vit_layers, 48, weights=False),
    }
    np.savez_compressed(Path(__file__).with_suffix('.npz'), **small)


if __name__ == '__main__':
    main()

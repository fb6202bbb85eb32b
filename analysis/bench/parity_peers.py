"""The peers of `bench.parity`, in an interpreter that has them: FOLDER/given.npz -> FOLDER/peers.npz, versions.json.

Imports nothing of ours, and each peer only where it is asked for: python parity_peers.py FOLDER PEER,...
"""

import importlib
import importlib.metadata
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

CHOSEN, STEPS, WINDOW, STRIDE = 2, 20, 5, 2  # as in `parity_cases`
GAMMA, ALPHA = 2.5, 0.3
Given = dict[str, np.ndarray]


class Network(nn.Module):
    """The network of `parity_cases.network`, each ReLU a module of its own, as captum wants it."""

    def __init__(self, given: Given, *, averaged: bool = False):
        super().__init__()
        tensor = {name: torch.tensor(value) for name, value in given.items()}
        for name in ('stem', 'first', 'second', 'last'):
            kernel = tensor[f'{name}/kernel'].permute(3, 2, 0, 1).contiguous()
            conv = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, stride=2 if name == 'stem' else 1, padding=1)
            conv.weight.data, conv.bias.data = kernel, tensor[f'{name}/bias']
            setattr(self, name, conv)
            setattr(self, f'{name}_relu', nn.ReLU())
        for name in ('stem', 'first', 'second'):
            norm = nn.BatchNorm2d(len(tensor[f'{name}/mean']), eps=1e-5)
            norm.weight.data, norm.bias.data = tensor[f'{name}/scale'], tensor[f'{name}/shift']
            norm.running_mean, norm.running_var = tensor[f'{name}/mean'], tensor[f'{name}/var']
            setattr(self, f'{name}_norm', norm)
        pools = (nn.AvgPool2d(2), nn.AvgPool2d(2)) if averaged else (nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(2))
        self.pool, self.last_pool = pools
        self.head = nn.Linear(*given['head/kernel'].shape)
        self.head.weight.data, self.head.bias.data = tensor['head/kernel'].T.contiguous(), tensor['head/bias']

    def forward(self, x):
        x = self.pool(self.stem_relu(self.stem_norm(self.stem(x))))
        y = self.first_relu(self.first_norm(self.first(x)))
        x = self.second_relu(x + self.second_norm(self.second(y)))
        x = self.last_relu(self.last(self.last_pool(x)))
        return self.head(x.mean((2, 3)))


def images_of(given: Given) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """The network, the images [B,C,H,W] and the baseline [1,C,H,W]."""
    x, baseline = (torch.tensor(given[name]) for name in ('images', 'baseline'))
    return Network(given).eval(), x.permute(0, 3, 1, 2).contiguous(), baseline.permute(2, 0, 1)[None].contiguous()


def captum(given: Given) -> dict[str, torch.Tensor]:
    from captum import attr

    net, x, far = images_of(given)
    layer, own = net.second_relu, {'target': CHOSEN}
    baseline = far.expand_as(x)

    def enlarged(maps: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(maps, x.shape[2:], mode='bilinear', align_corners=False)

    channels = {
        'gradient': attr.Saliency(net).attribute(x, abs=False, **own),
        'input_x_gradient': attr.InputXGradient(net).attribute(x, **own),
        'integrated_gradients': attr.IntegratedGradients(net).attribute(x, baseline, n_steps=STEPS, **own),
        'guided_backprop': attr.GuidedBackprop(net).attribute(x, **own),
        'deconvnet': attr.Deconvolution(net).attribute(x, **own),
        # Through max pools captum's maps do not add up to the rise of the score, and ours do ('deeplift, sum').
        'deeplift': attr.DeepLift(Network(given, averaged=True).eval()).attribute(x, baseline, **own),
        'guided_grad_cam': attr.GuidedGradCam(net, layer).attribute(x, interpolate_mode='nearest', **own),
        'grad_cam': enlarged(attr.LayerGradCam(net, layer).attribute(x, relu_attributions=True, **own)),
    }
    window, strides = (x.shape[1], WINDOW, WINDOW), (x.shape[1], STRIDE, STRIDE)
    covered = attr.Occlusion(net).attribute(x, window, strides=strides, baselines=baseline, **own)
    found = {name: value.sum(1) for name, value in channels.items()} | {'occlusion': covered[:, 0]}
    return found | {'saliency': attr.Saliency(net).attribute(x, **own).max(1).values}


def by_autograd(given: Given) -> dict[str, torch.Tensor]:
    """The logits, and maps of a layer by their authors' formulas from PyTorch's activation and gradient."""
    net, x, far = images_of(given)
    kept = []
    handle = net.second_relu.register_forward_hook(lambda module, inputs, output: kept.append(output))
    logits = net(x)
    handle.remove()
    (activation,), (gradient,) = kept, torch.autograd.grad(logits[:, CHOSEN].sum(), kept)
    squared, cubed = gradient**2, gradient**3
    below = 2 * squared + activation.sum((2, 3), keepdim=True) * cubed
    # Chattopadhyay et al. 2018, equation 19, of a positive gradient; their factor exp(score) is left out.
    alpha = torch.where(gradient > 0, squared / below, torch.zeros_like(below))
    plus = (alpha * gradient.relu()).sum((2, 3), keepdim=True)
    small = {
        'grad_cam_plus_plus': (plus * activation).sum(1).relu(),
        'hires_cam': (gradient * activation).sum(1).relu(),
        'layer_cam': (gradient.relu() * activation).sum(1).relu(),
    }
    size = {'size': x.shape[2:], 'mode': 'bilinear', 'align_corners': False}
    maps = {name: functional.interpolate(value[:, None], **size)[:, 0] for name, value in small.items()}
    labels, z = torch.tensor(given['labels']), torch.tensor(given['logits'], requires_grad=True)
    positive = labels.sum(0)
    weight = (len(labels) - positive) / positive
    values = {
        'bce': functional.binary_cross_entropy_with_logits(z, labels),
        'weighted_bce': functional.binary_cross_entropy_with_logits(z, labels, pos_weight=weight),
        'cross_entropy': functional.cross_entropy(z, labels.argmax(1)),
    }
    rise = (net(x) - net(far))[:, CHOSEN]
    return {'logits': logits, 'deeplift, sum': rise, **maps, **with_gradients(values, z)}


def with_gradients(values: dict[str, torch.Tensor], logits: torch.Tensor) -> dict[str, torch.Tensor]:
    """Losses, and their gradients."""
    slopes = {f'{name}, gradient': torch.autograd.grad(value, logits)[0] for name, value in values.items()}
    return {**values, **slopes}


def torchvision(given: Given) -> dict[str, torch.Tensor]:
    from torchvision.ops import sigmoid_focal_loss

    labels, z = torch.tensor(given['labels']), torch.tensor(given['logits'], requires_grad=True)
    return with_gradients({'focal': sigmoid_focal_loss(z, labels, ALPHA, GAMMA, 'mean')}, z)


def timm(given: Given) -> dict[str, torch.Tensor]:
    from timm.loss import AsymmetricLossMultiLabel

    labels, z = torch.tensor(given['labels']), torch.tensor(given['logits'], requires_grad=True)
    options = {'gamma_neg': 4, 'gamma_pos': 1, 'clip': 0.05, 'disable_torch_grad_focal_loss': False}
    return with_gradients({'asymmetric': AsymmetricLossMultiLabel(**options, reduction='mean')(z, labels)}, z)


def quantus(given: Given) -> dict[str, np.ndarray]:
    import quantus as q

    maps, masks = (given[name][:, None] for name in ('maps', 'masks'))
    x, y = np.zeros_like(maps), np.zeros(len(maps), int)
    common = {'abs': False, 'normalise': False, 'disable_warnings': True, 'display_progressbar': False}
    asked = {
        'pointing_game_quantus': q.PointingGame(**common),
        'relevance_mass': q.RelevanceMassAccuracy(**common),
        'relevance_rank': q.RelevanceRankAccuracy(**common),
        'top_k_intersection': q.TopKIntersection(k=50, **common),
        'pixel_auroc': q.AUC(**common),
    }
    found = {}
    for name, metric in asked.items():
        with_masks = metric(
            model=None, x_batch=x, y_batch=y, a_batch=maps, s_batch=masks.astype(bool), channel_first=True
        )
        found[name] = np.array(with_masks, np.float64).ravel()
    net, images, _ = images_of(given)
    grey = images.mean(1, keepdim=True)  # it takes channels away one by one; of one channel that is the pixels
    heat = grey.abs().numpy()
    step = heat[0].size // 5
    flipping = q.PixelFlipping(features_in_step=step, perturb_baseline=0.25, return_auc_per_sample=False, **common)
    whole, chosen = nn.Sequential(nn.Conv2d(1, 3, 1, bias=False), net).eval(), np.full(len(images), CHOSEN)
    whole[0].weight.data = torch.ones_like(whole[0].weight.data)
    asked_of = {'x_batch': grey.numpy(), 'y_batch': chosen, 'a_batch': heat, 'device': 'cpu', 'softmax': False}
    return {**found, 'deletion, logits': np.array(flipping(model=whole, **asked_of), np.float64)}


def sklearn(given: Given) -> dict[str, list[float]]:
    from sklearn import metrics

    pairs = list(zip(given['labels'].T, probabilities(given).T, strict=True))
    return {
        'auroc': [metrics.roc_auc_score(y, p) for y, p in pairs],
        'average_precision': [metrics.average_precision_score(y, p) for y, p in pairs],
        'brier': [metrics.brier_score_loss(y, p) for y, p in pairs],
        'accuracy': [metrics.accuracy_score(y, p > 0.5) for y, p in pairs],
    }


def torchmetrics(given: Given) -> dict[str, torch.Tensor]:
    from torchmetrics.functional import classification as c

    p, y = torch.tensor(probabilities(given)), torch.tensor(given['labels']).long()
    count = y.shape[1]
    gaps = [c.binary_calibration_error(p[:, k], y[:, k], n_bins=15, norm='l1') for k in range(count)]
    return {
        'auroc': c.multilabel_auroc(p, y, count, average=None),
        'average_precision': c.multilabel_average_precision(p, y, count, average=None),
        'accuracy': c.multilabel_accuracy(p, y, count, average=None),
        'expected_calibration_error': torch.stack(gaps),
    }


def probabilities(given: Given) -> np.ndarray:
    return 1 / (1 + np.exp(-given['logits'].astype(np.float64)))


PEERS: dict[str, Callable[[Given], dict]] = {
    'captum': captum,
    'quantus': quantus,
    'sklearn': sklearn,
    'timm': timm,
    'torch': by_autograd,
    'torchmetrics': torchmetrics,
    'torchvision': torchvision,
}


def main(folder: str, names: str) -> None:
    given = dict(np.load(f'{folder}/given.npz'))
    found, versions = {}, {}
    for name in names.split(','):
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            print(f'{name}: {error}', file=sys.stderr)
            continue
        versions[name] = getattr(module, '__version__', None) or importlib.metadata.version(name)
        for what, value in PEERS[name](given).items():
            found[f'{name}/{what}'] = value.detach().numpy() if isinstance(value, torch.Tensor) else np.array(value)
    np.savez(f'{folder}/peers.npz', **found)
    Path(folder, 'versions.json').write_text(json.dumps(versions))


if __name__ == '__main__':
    main(*sys.argv[1:])

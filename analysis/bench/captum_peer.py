"""The peer of `bench.attribution`: captum on the suite's CNN, with its weights, on its images."""

import numpy as np
import torch
from captum import attr
from torch import nn


class Network(nn.Module):
    """The suite's CNN of convolution, BatchNorm, ReLU and max pooling, in evaluation mode."""

    def __init__(self, variables: dict):
        super().__init__()
        params, statistics = variables['params'], variables['batch_stats']
        self.stages = sorted(name.removesuffix('_conv') for name in params if name.endswith('_conv'))
        for number, stage in enumerate(self.stages, 1):
            kernel = torch.tensor(np.asarray(params[f'{stage}_conv']['kernel'])).permute(3, 2, 0, 1)
            conv = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1, bias=False)
            norm = nn.BatchNorm2d(kernel.shape[0])
            conv.weight.data = kernel.contiguous()
            scale, bias = (params[f'{stage}_norm'][name] for name in ('scale', 'bias'))
            mean, var = (statistics[f'{stage}_norm'][name] for name in ('mean', 'var'))
            tensors = norm.weight, norm.bias, norm.running_mean, norm.running_var
            for tensor, value in zip(tensors, (scale, bias, mean, var), strict=True):
                tensor.data = torch.tensor(np.asarray(value))
            setattr(self, f'conv{number}', conv)
            setattr(self, f'norm{number}', norm)
            setattr(self, f'relu{number}', nn.ReLU())
            setattr(self, f'pool{number}', nn.MaxPool2d(2) if 1 < number <= 3 else nn.Identity())
        head = params['head']
        self.head = nn.Linear(*np.shape(head['kernel']))
        self.head.weight.data = torch.tensor(np.asarray(head['kernel'])).T.contiguous()
        self.head.bias.data = torch.tensor(np.asarray(head['bias']))

    def forward(self, x):
        for number in range(1, len(self.stages) + 1):
            pool, conv, norm, relu = (getattr(self, f'{part}{number}') for part in ('pool', 'conv', 'norm', 'relu'))
            x = relu(norm(conv(pool(x))))
        return self.head(x.mean((2, 3)))

    @property
    def last(self):
        return getattr(self, f'relu{len(self.stages)}')


def grad_cam(net, x, k):
    maps = attr.LayerGradCam(net, net.last).attribute(x, target=k, relu_attributions=True)
    return torch.nn.functional.interpolate(maps, x.shape[2:], mode='bilinear', align_corners=False)


def occlusion(net, x, k):
    return attr.Occlusion(net).attribute(x, (1, 5, 5), strides=(1, 2, 2), target=k, baselines=0)


METHODS = {
    'saliency': lambda net, x, k: attr.Saliency(net).attribute(x, target=k),
    'input_x_gradient': lambda net, x, k: attr.InputXGradient(net).attribute(x, target=k),
    'integrated_gradients': lambda net, x, k: attr.IntegratedGradients(net).attribute(x, target=k, n_steps=20),
    'guided_backprop': lambda net, x, k: attr.GuidedBackprop(net).attribute(x, target=k),
    'deconvnet': lambda net, x, k: attr.Deconvolution(net).attribute(x, target=k),
    'deeplift': lambda net, x, k: attr.DeepLift(net).attribute(x, target=k),
    'grad_cam': grad_cam,
    'guided_grad_cam': lambda net, x, k: attr.GuidedGradCam(net, net.last).attribute(x, target=k),
    'occlusion': occlusion,
    'smooth_grad': lambda net, x, k: attr.NoiseTunnel(attr.Saliency(net)).attribute(
        x, nt_samples=10, stdevs=0.5, target=k, abs=False
    ),
}
WAYS = {'captum, image by image': 1, 'captum, whole batch': 0}  # images per call; 0: all
EXPANDED = 'captum, images x classes'  # all images once per class, in one call


def make(method: str, way: str, members: list[dict], images: np.ndarray, classes: int):
    """Returns `run() -> maps [P,B,K,H,W]`."""
    nets = [Network(variables).eval() for variables in members]
    x = torch.tensor(images).permute(0, 3, 1, 2).contiguous()
    if way == EXPANDED:
        each = x.repeat_interleave(classes, 0)
        targets = torch.arange(classes).repeat(len(x))
        shape = len(x), classes, *x.shape[2:]
        return lambda: np.stack([METHODS[method](net, each, targets).detach().sum(1).reshape(shape) for net in nets])
    parts = x.split(WAYS[way] or len(x))

    def run() -> np.ndarray:
        maps = [
            [[METHODS[method](net, part, k).detach().sum(1) for k in range(classes)] for part in parts] for net in nets
        ]
        return np.stack([np.concatenate([np.stack([m.numpy() for m in one], 1) for one in net]) for net in maps])

    return run

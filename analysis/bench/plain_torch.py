"""The ways to train several models in PyTorch: in a row, in several processes at once, and by `torch.func.vmap`.

On a GPU, float32 products are TF32 as JAX's are, and cuDNN looks for its fastest algorithms.
"""

import contextlib
import copy
import multiprocessing
import os
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from imbalance_jax.analysis.bench.contestants import widths

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
GPU_PROCESSES = 4  # that share a GPU
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.benchmark = True


def conv(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Module:
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


class CNN(nn.Module):
    """`imbalance_jax.models.cnn` with pooling after every stage but the last."""

    def __init__(self, num_classes: int, widths, norm):
        super().__init__()
        inputs = (1, *widths[:-1])
        self.convs = nn.ModuleList(conv(i, o) for i, o in zip(inputs, widths, strict=True))
        self.norms = nn.ModuleList(norm(width) for width in widths)
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(self, x):
        for number, (layer, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = x if number == 0 else functional.max_pool2d(x, 2)
            x = functional.relu(norm(layer(x)))
        return self.head(x.mean((2, 3)))


class Block(nn.Module):
    """A basic or bottleneck block beside its shortcut."""

    def __init__(self, inputs: int, width: int, stride: int, bottleneck: bool, norm):
        super().__init__()
        features = 4 * width if bottleneck else width
        if bottleneck:
            layers = [conv(inputs, width, 1), norm(width), nn.ReLU(), conv(width, width, 3, stride), norm(width)]
            layers += [nn.ReLU(), conv(width, features, 1), norm(features)]
        else:
            layers = [conv(inputs, width, 3, stride), norm(width), nn.ReLU(), conv(width, width), norm(width)]
        self.main = nn.Sequential(*layers)
        changed = stride != 1 or inputs != features
        self.shortcut = nn.Sequential(conv(inputs, features, 1, stride), norm(features)) if changed else nn.Identity()

    def forward(self, x):
        return functional.relu(self.main(x) + self.shortcut(x))


class ResNet(nn.Module):
    """`imbalance_jax.models.resnet`."""

    def __init__(self, num_classes: int, width: int, depths, bottleneck: bool, imagenet: bool, norm):
        super().__init__()
        stem = [conv(1, width, 7, 2) if imagenet else conv(1, width), norm(width), nn.ReLU()]
        layers, inputs = stem + [nn.MaxPool2d(3, 2, 1)] * imagenet, width
        for stage, depth in enumerate(depths):
            for n in range(depth):
                layers.append(Block(inputs, width * 2**stage, 2 if stage and not n else 1, bottleneck, norm))
                inputs = width * 2**stage * (4 if bottleneck else 1)
        self.body, self.head = nn.Sequential(*layers), nn.Linear(inputs, num_classes)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


def make(name: str, num_classes: int, width: int, size: int, running: bool = True) -> nn.Module:
    """The counterpart of the suite's model; `running=False` keeps no running statistics, which vmap cannot update."""

    def norm(channels: int) -> nn.Module:
        return nn.BatchNorm2d(channels, track_running_stats=running)

    if name == 'cnn':
        return CNN(num_classes, widths(width), norm).to(DEVICE)
    depths = (2, 2, 2, 2) if name == 'resnet18' else (3, 4, 6, 3)
    return ResNet(num_classes, width, depths, name == 'resnet50', size > 64, norm).to(DEVICE)


def make_sequential(
    name, num_classes, width, images, labels, order, members: int, half: bool = False
) -> Callable[[], float]:
    """Returns `run() -> seconds`: one model after the other, channels last, fused Adam; `half`: bfloat16 autocast."""
    torch.manual_seed(0)
    images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).to(DEVICE)
    labels, order = torch.from_numpy(labels).to(DEVICE), torch.from_numpy(np.int64(order)).to(DEVICE)
    models = [make(name, num_classes, width, images.shape[2]) for _ in range(members)]
    models = [model.to(memory_format=torch.channels_last) for model in models]
    optimizers = [torch.optim.Adam(model.parameters(), lr=1e-3, fused=True) for model in models]

    def run() -> float:
        begin = time.perf_counter()
        for rows in order:
            for model, optimizer in zip(models, optimizers, strict=True):
                x = ((images[rows].float() / 255 - 0.5) / 0.25).to(memory_format=torch.channels_last)
                with torch.autocast(DEVICE, torch.bfloat16, enabled=half):
                    logits = model(x)
                loss = functional.binary_cross_entropy_with_logits(logits.float(), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        if DEVICE == 'cuda':
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    return run


def _serve(connection, number: int, members: int, half: bool, setting: tuple) -> None:
    torch.set_num_threads(1)
    if DEVICE == 'cpu':
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[number]})
    run = make_sequential(*setting, members, half)
    with contextlib.suppress(EOFError):  # the end of the benchmark
        while connection.recv():
            connection.send(run())


def make_processes(
    name, num_classes, width, images, labels, order, members: int, half: bool = False
) -> Callable[[], float]:
    """Returns `run() -> seconds` of all members, in processes: one pinned to each core, or a few that share a GPU."""
    workers = min(members, len(os.sched_getaffinity(0)) if DEVICE == 'cpu' else GPU_PROCESSES)
    setting, ends = (name, num_classes, width, images, labels, order), []
    for number in range(workers):
        here, there = multiprocessing.get_context('spawn').Pipe()
        count = len(range(number, members, workers))
        args = (there, number, count, half, setting)
        multiprocessing.get_context('spawn').Process(target=_serve, args=args, daemon=True).start()
        ends.append(here)

    def run() -> float:
        begin = time.perf_counter()
        for end in ends:
            end.send(True)
        for end in ends:
            end.recv()
        return time.perf_counter() - begin

    return run


def make_vmap(name, num_classes, width, images, labels, order, members: int) -> Callable[[], float]:
    """Returns `run() -> seconds`: `torch.func.vmap` over stacked parameters, and one Adam for the stack."""
    torch.manual_seed(0)
    images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).to(DEVICE)
    labels, order = torch.from_numpy(labels).to(DEVICE), torch.from_numpy(np.int64(order)).to(DEVICE)
    models = [make(name, num_classes, width, images.shape[2], running=False) for _ in range(members)]
    params, _ = torch.func.stack_module_state(models)
    shell = copy.deepcopy(models[0]).to('meta')

    def loss(one, x, y):
        return functional.binary_cross_entropy_with_logits(torch.func.functional_call(shell, one, (x,)), y)

    gradient = torch.func.vmap(torch.func.grad(loss), in_dims=(0, None, None))
    params = {key: value.detach() for key, value in params.items()}
    optimizer = torch.optim.Adam(list(params.values()), lr=1e-3, fused=True)

    def run() -> float:
        begin = time.perf_counter()
        for rows in order:
            x = (images[rows].float() / 255 - 0.5) / 0.25
            for key, value in gradient(params, x, labels[rows]).items():
                params[key].grad = value
            optimizer.step()
        if DEVICE == 'cuda':
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    return run


WAYS = {
    'torch processes': make_processes,
    'torch processes bf16': partial(make_processes, half=True),
    'torch vmap': make_vmap,
}
if DEVICE == 'cuda':
    WAYS |= {'torch sequential': make_sequential, 'torch sequential bf16': partial(make_sequential, half=True)}

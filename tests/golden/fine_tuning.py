"""Makes fine_tuning.npz: 20 steps of small networks in PyTorch, with timm's parameter groups and means of weights.

pip install torch timm
python tests/golden/fine_tuning.py
"""

import itertools
from pathlib import Path

import numpy as np
import torch
from timm.optim import param_groups_layer_decay
from timm.utils import ModelEmaV2
from torch import nn

STEPS, BATCHES, STAGES = 20, 5, 3
WIDTHS = (1, 4, 6, 8)


class Network(nn.Module):
    """The model `cnn` with widths (4, 6, 8)."""

    def __init__(self) -> None:
        super().__init__()
        for i, (c, u) in enumerate(itertools.pairwise(WIDTHS), 1):
            stage = nn.Sequential(nn.Conv2d(c, u, 3, padding=1, bias=False), nn.BatchNorm2d(u), nn.ReLU())
            self.add_module(f'stage{i}', stage)
        self.head = nn.Linear(WIDTHS[-1], 3)

    def forward(self, x):
        x = self.stage3(nn.functional.max_pool2d(self.stage2(nn.functional.max_pool2d(self.stage1(x), 2)), 2))
        return self.head(x.mean((2, 3)))

    def group_matcher(self, coarse=False):
        """What timm asks a model for the order of its layers."""
        return {'blocks': r'^stage(\d+)'}


def flax(network: nn.Module) -> dict[str, np.ndarray]:
    """Parameters and running means by the names and in the layout of the model `cnn`."""
    arrays = {}
    for i in range(1, STAGES + 1):
        conv, norm = getattr(network, f'stage{i}')[:2]
        arrays[f'params/stage{i}_conv/kernel'] = conv.weight.permute(2, 3, 1, 0)
        arrays[f'params/stage{i}_norm/scale'], arrays[f'params/stage{i}_norm/bias'] = norm.weight, norm.bias
        arrays[f'batch_stats/stage{i}_norm/mean'] = norm.running_mean
    arrays['params/head/kernel'], arrays['params/head/bias'] = network.head.weight.T, network.head.bias
    return {name: a.detach().numpy().copy() for name, a in arrays.items()}


def adamw(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> ModelEmaV2:
    """AdamW, rates by layer, no decay of norms and biases, clipping, smooth labels, means of weights."""
    groups = param_groups_layer_decay(network, weight_decay=0.2, layer_decay=0.6)
    for group in groups:
        group['lr'] = 3e-2 * group['lr_scale']
    optimizer, mean = torch.optim.AdamW(groups), ModelEmaV2(network, decay=0.9)
    for t in range(STEPS):
        step(optimizer, network, x[t % BATCHES], 0.9 * y[t % BATCHES] + 0.05)
        mean.update(network)
    return mean


def stages(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
    """Adam with weight decay in the gradient, and stages that open with steps 5, 10 and 15, the last one first."""
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-2, weight_decay=0.2)
    for t in range(STEPS):
        for i in range(1, STAGES + 1):
            stage, is_open = getattr(network, f'stage{i}'), t >= 5 * (STAGES + 1 - i)
            stage.train(is_open).requires_grad_(is_open)
        step(optimizer, network, x[t % BATCHES], y[t % BATCHES])


def head_only(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
    """A linear probe: everything before the head is frozen and in evaluation mode."""
    network.eval().requires_grad_(False)
    network.head.requires_grad_(True)
    optimizer = torch.optim.AdamW(network.head.parameters(), lr=3e-2, weight_decay=0.2)
    for t in range(STEPS):
        step(optimizer, network, x[t % BATCHES], y[t % BATCHES])


def step(optimizer: torch.optim.Optimizer, network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
    """One step with a gradient of norm 0.3 at most."""
    optimizer.zero_grad()
    nn.functional.binary_cross_entropy_with_logits(network(x), y).backward()
    nn.utils.clip_grad_norm_(network.parameters(), 0.3)
    optimizer.step()


def smooth_softmax(random: np.random.Generator) -> dict[str, np.ndarray]:
    """Weighted cross-entropy of smooth labels, the mean over images, and its gradient."""
    logits = torch.tensor(3 * random.normal(size=(16, 5)), dtype=torch.float32, requires_grad=True)
    classes, weight = torch.tensor(random.integers(0, 5, 16)), torch.tensor([1.0, 2.0, 0.5, 4.0, 1.0])
    loss = nn.functional.cross_entropy(logits, classes, weight, reduction='none', label_smoothing=0.3).mean()
    loss.backward()
    arrays = {'logits': logits, 'classes': classes, 'weight': weight, 'loss': loss, 'gradient': logits.grad}
    return {f'softmax/{name}': a.detach().numpy() for name, a in arrays.items()}


def main() -> None:
    """Writes the file beside this one."""
    torch.manual_seed(3)
    random = np.random.default_rng(3)
    x = random.normal(size=(BATCHES, 8, 1, 12, 12)).astype(np.float32)
    y = (random.random((BATCHES, 8, 3)) < 0.4).astype(np.float32)
    result = {'images': x.transpose(0, 1, 3, 4, 2), 'labels': y, **smooth_softmax(random)}
    start = Network()
    for name in ('stage1', 'stage2', 'stage3'):  # statistics that are not those of the batch
        nn.init.uniform_(getattr(start, name)[1].running_mean, -0.1, 0.1)
    for train in (adamw, stages, head_only):
        network = Network()
        network.load_state_dict(start.state_dict())
        mean = train(network, torch.tensor(x), torch.tensor(y))
        result |= {f'{train.__name__}/{name}': a for name, a in flax(network).items()}
        if mean is not None:
            result |= {f'mean/{name}': a for name, a in flax(mean.module).items()}
    result |= {f'start/{name}': a for name, a in flax(start).items()}
    np.savez_compressed(Path(__file__).with_suffix('.npz'), **result)


if __name__ == '__main__':
    main()

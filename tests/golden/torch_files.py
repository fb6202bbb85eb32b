"""Makes the small files of PyTorch that tests/weights reads, and what is in them: needs torch and safetensors.

python tests/golden/torch_files.py
"""

import io
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from torch import nn


class Small(nn.Module):
    """A module with what weights may be: tied, not contiguous, buffers that last and that do not."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))
        self.classifier = nn.Linear(3, 2)
        self.register_buffer('op_threshs', torch.rand(2))
        self.register_buffer('passing', torch.rand(2), persistent=False)


def saved(value, new):
    """The bytes of `torch.save`."""
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=new)
    return np.frombuffer(file.getvalue(), np.uint8)


def main():
    torch.manual_seed(0)
    model = Small().eval()
    base = torch.randn(4, 5, 6)
    odd = OrderedDict(
        turned=base.permute(2, 0, 1), part=base[1:3, ::2], half=base.half(), brain=base.bfloat16(),
        whole=torch.arange(5), empty=torch.empty(0, 3), scalar=torch.tensor(3.5), spread=torch.randn(3, 1).expand(3, 4),
        tied=base, sparse_steps=base.flatten()[5:20:3], bool=torch.tensor([True, False]), double=base.double()[0],
    )  # fmt: skip
    state = model.state_dict()
    optimizer = torch.optim.Adam(model.parameters())
    checkpoint = {
        'epoch': 3,
        'state_dict': {f'module.{key}': value for key, value in state.items()},
        'ema': {key: 2 * value for key, value in state.items()},
        'optimizer': optimizer.state_dict(),
    }
    arrays = {}
    for name, value in {'odd': odd, 'module': model, 'checkpoint': checkpoint}.items():
        arrays[f'{name}.zip'], arrays[f'{name}.legacy'] = saved(value, True), saved(value, False)
    for name, tensors in {'odd': odd, 'module': state}.items():
        for key, value in tensors.items():
            plain = value.float() if value.dtype == torch.bfloat16 else value
            arrays[f'{name}/{key}'] = plain.detach().numpy()
    np.savez_compressed(Path(__file__).with_suffix('.npz'), **arrays)


if __name__ == '__main__':
    main()

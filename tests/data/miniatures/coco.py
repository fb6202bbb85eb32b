"""COCO's compressed run lengths, written from their definition: the opposite of what the package reads."""

import numpy as np


def compressed(mask: np.ndarray) -> str:
    """A mask [H, W] as runs of 0 and 1 in turn, column by column, in groups of five bits from character 48 on."""
    flat = mask.T.reshape(-1).astype(int)
    runs, value, length = [], 0, 0
    for bit in flat:
        if bit != value:
            runs.append(length)
            value, length = bit, 0
        length += 1
    runs.append(length)
    text = []
    for index, run in enumerate(runs):
        number = run - runs[index - 2] if index > 2 else run
        while True:
            group = number & 31
            number >>= 5
            done = number == (-1 if group & 16 else 0)
            text.append(chr(48 + (group | (0 if done else 32))))
            if done:
                break
    return ''.join(text)

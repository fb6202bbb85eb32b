"""PyTorch as a contestant of `bench.device`: the seconds of a round for every line that it is given."""

import json
import sys

from imbalance_jax.analysis.bench import plain_torch, ways
from imbalance_jax.analysis.bench.ways import CLASSES, Setting


def main(way: str, text: str) -> None:
    """way: of `plain_torch.WAYS`; text: a `ways.Setting` as JSON."""
    setting = Setting(**json.loads(text))
    data = ways.make_data(setting)
    run = plain_torch.WAYS[way](setting.model, CLASSES, setting.width, *data, setting.members)
    for _ in sys.stdin:
        print(json.dumps(run()), flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])

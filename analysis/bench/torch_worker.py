"""PyTorch as a contestant of `bench_device`: a round's seconds for every line that it is given."""

import json
import sys

from imbalance_jax.analysis.bench import plain_torch
from imbalance_jax.analysis.bench import population as bench_population
from imbalance_jax.analysis.bench.population import CLASSES, Setting


def main(way: str, told: str) -> None:
    setting = Setting(**json.loads(told))
    data = bench_population.make_data(setting)
    run = plain_torch.WAYS[way](setting.model, CLASSES, setting.width, *data, setting.members)
    for _ in sys.stdin:
        print(json.dumps(run()), flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])

"""The shortcut study: a chest drain that comes with one finding of the phantom, and what each arm makes of it.

The test split is drawn twice, film by film the same but for the drain: confounded, as in training, and clean, where the
drain is as frequent with the finding as without. What the metrics hide - a high AUROC from the drain - the clean split
and the maps show.
"""

from functools import partial

import numpy as np

from imbalance_jax.results import rows as tables

TUBE = 'Tube'
SHARES = {'tube': TUBE, 'finding': ''}


def rows(members: list[dict], found: dict, name: str, alive: np.ndarray) -> list[dict]:
    """Rows of the class `name`: members, mean and sd over an arm's seeds, and the areas, which are chance."""
    values = {('member', split): found[split] for split in ('auroc_confounded', 'auroc_clean')}
    values[('member', 'auroc_drop')] = found['auroc_confounded'] - found['auroc_clean']
    images = len(found['area_tube'])
    for key, value in found.items():
        method, mark, metric = key.partition(': ')
        if mark:
            values[(method, metric)] = np.nanmean(value, axis=1)
    made = [
        tables.of_nobody(**{'class': name, 'method': 'chance', 'metric': f'mass_{part}', 'value': area, 'n': images})
        for part, area in ((p, found[f'area_{p}'].mean()) for p in SHARES if images)
    ]
    for (method, metric), value in values.items():
        fields = {'class': name, 'method': method, 'metric': metric}
        made += [tables.of_member(row, **fields, value=value[row['member']], n=images) for row in members]
        living = np.where(alive, value, np.nan)
        for numbers in tables.by_arm(members).values():
            statistics = partial(tables.seed_statistics, members[numbers[0]], living[numbers][:, None])
            made += statistics([name], metric, method=method)
    return made

"""Stages whose programs take as many pairs at a time as fit the memory budget: the same figures within any, and a clear
line below that of a single pair."""

from functools import partial

import numpy as np
import pytest

from imbalance_jax.attribution import all_classes
from imbalance_jax.data import regions
from imbalance_jax.data.twins import Twins
from imbalance_jax.explain import faithfulness, shortcut, twin_maps
from imbalance_jax.training import trained as training_trained

COUNT = 6  # pairs


@pytest.fixture
def sizes(monkeypatch):
    """How many pairs at a time each program takes, in the order in which they are made."""
    taken: list[int] = []
    shrunk = all_classes.shrunk

    def spy(compiled, most, budget):
        tried: list[int] = []
        fitted = shrunk(lambda size: tried.append(size) or compiled(size), most, budget)
        taken.append(tried[-1])
        return fitted

    monkeypatch.setattr(all_classes, 'shrunk', spy)
    return taken


def some_pairs(trained):
    return faithfulness.spread(regions.finding_pairs(trained.dataset, 'test', 'box', 10), COUNT)


def of_faithfulness(trained):
    asked = faithfulness.arguments(trained, some_pairs(trained))
    program = partial(faithfulness.compile_method, trained, asked, 'grad_cam')
    return faithfulness.measure(trained, asked, 'grad_cam', program)._asdict()


def of_twins(trained):
    rows = trained.dataset.rows('test')[:COUNT]
    present = trained.dataset.images[rows]
    return twin_maps.exact_maps(trained, Twins(rows, np.roll(present, 1, axis=0), present), np.zeros(COUNT, int))


def of_shortcut(trained):
    pairs = some_pairs(trained)
    masks = {'tube': pairs.mask, 'finding': np.roll(pairs.mask, 1, axis=0)}
    scorer = shortcut.make_region_scorer(trained, list(masks))
    return {'mass': shortcut.heat_shares(trained, 'saliency', pairs.image, k=0, scorer=scorer, regions=masks)}


@pytest.mark.parametrize('stage', [of_faithfulness, of_twins, of_shortcut])
def test_figures_are_the_same_within_any_budget(stage, study, sizes):
    trained = training_trained.load(study)
    trained.config.attribution.memory_mib = 512.0
    whole, count = stage(trained), len(sizes)
    assert set(sizes) == {COUNT}
    for memory in (0.1, 0.08):
        trained.config.attribution.memory_mib = memory
        try:
            some = stage(trained)
        except ValueError:  # less than a pair of this stage takes
            break
        for name, value in some.items():
            if value.dtype.kind == 'f':
                np.testing.assert_allclose(value, whole[name], rtol=1e-4, atol=1e-5, err_msg=name)
    assert min(sizes[count:]) < COUNT
    trained.config.attribution.memory_mib = 1e-4
    with pytest.raises(ValueError, match=r'^One image needs [\d,]+ bytes, and the memory budget is 104 \(config'):
        stage(trained)

"""Images that two splits of a data set have are named where the data are described, not on the screen alone."""

from squares import make

from imbalance_jax.training import other_sets


def test_images_of_two_splits_are_noted(capsys):
    dataset = make()
    alone = other_sets.warn_of_likeness(dataset).info.get('notes', [])
    test, train = dataset.rows('test')[0], dataset.rows('train')[0]
    dataset.images[test] = dataset.images[train]
    notes = other_sets.warn_of_likeness(dataset).info['notes']
    pair = f'{dataset.image_id[test]} and {dataset.image_id[train]}'
    assert pair in notes[-1]
    assert pair in capsys.readouterr().out
    assert not any(pair in one for one in alone)
    assert 'notes' not in dataset.info

"""Names of data sets: what is the same, what is not, and what a user says."""

import pytest

from imbalance_jax.data import label_map

NIH = ('Effusion', 'Pleural_Thickening', 'Mass', 'Nodule', 'Infiltration')


def test_spellings_and_exact_synonyms_are_matched_and_parts_of_names_never():
    other = ('pleural effusion', 'Pleural Thickening', 'pseudonodule', 'Lung mass', 'infiltrate', 'heart')
    found = label_map.match(NIH, NIH, other)
    assert found.classes == {
        'Effusion': 'pleural effusion',
        'Pleural_Thickening': 'Pleural Thickening',
        'Mass': None,
        'Nodule': None,
        'Infiltration': 'infiltrate',
    }
    assert found.absent == ['Mass', 'Nodule']
    assert found.concepts == {
        'pleural effusion': 'Effusion',
        'Pleural Thickening': 'Pleural_Thickening',
        'pseudonodule': 'pseudonodule',
        'Lung mass': 'Lung mass',
        'infiltrate': 'Infiltration',
        'heart': 'heart',
    }
    assert found.how == {'Effusion': 'synonym', 'Pleural_Thickening': 'same name', 'Infiltration': 'synonym'}
    text = label_map.describe(found, 'other')
    assert 'Effusion = pleural effusion (synonym)' in text
    assert 'does not have them: Mass, Nodule' in text


def test_a_user_s_own_map_comes_first_and_can_say_that_a_class_is_absent():
    own = {'Mass': 'Nodule/Mass', 'Effusion': ''}
    found = label_map.match(NIH, NIH, ('Effusion', 'Nodule/Mass'), own=own)
    assert found.classes['Mass'] == 'Nodule/Mass'
    assert found.classes['Effusion'] is None
    assert found.concepts['Effusion'] == 'Effusion'  # its regions stay a concept of their own
    assert label_map.match(NIH, NIH, ('Effusion',), own={'Effusion': None}).classes['Effusion'] is None


def test_maps_that_cannot_be_are_refused_by_name():
    with pytest.raises(ValueError, match=r"Unknown class of the training set in label_maps.x.*'Efusion'.*Effusion"):
        label_map.match(NIH, NIH, ('Effusion',), own={'Efusion': 'Effusion'}, where='label_maps.x:')
    with pytest.raises(ValueError, match=r"Unknown class or concept.*'Effusions'.*'Effusion'"):
        label_map.match(NIH, NIH, ('Effusion',), own={'Effusion': 'Effusions'})
    with pytest.raises(ValueError, match='one name to two classes'):
        label_map.match(NIH, NIH, ('Nodule/Mass',), own={'Mass': 'Nodule/Mass', 'Nodule': 'Nodule/Mass'})
    with pytest.raises(ValueError, match="'Lung Opacity' and 'lung-opacity' are both 'lung_opacity_'"):
        label_map.match(('lung_opacity_',), ('lung_opacity_',), ('Lung Opacity', 'lung-opacity'))


def test_no_name_has_two_meanings():
    names = [label_map.spelling(name) for group in label_map.SYNONYMS for name in group]
    assert len(set(names)) == len(names)

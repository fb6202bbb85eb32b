"""Stage `faithfulness`: every method beside noise."""

from imbalance_jax.explain.faithfulness import NULL
from imbalance_jax.system import workdir


def test_faithfulness_stands_beside_noise(study, tiny_config):
    table = workdir.read_table(study, 'faithfulness')
    counts = table[table['kind'] == 'data']  # of pairs and patients, of no method
    assert set(counts['metric']) == {'pairs', 'patients'}
    table = table.drop(counts.index)
    assert set(table['method']) == {*tiny_config.attribution.methods, NULL}
    for method in set(table['method']):
        metrics = set(table[table['method'] == method]['metric'])
        assert metrics >= {'deletion', 'insertion', 'road', 'sensitivity_n'}
        assert ('rank_correlation' in metrics) == (method != NULL)
    head = table[(table['metric'] == 'rank_correlation') & (table['depth'] == 1) & (table['method'] == 'grad_cam')]
    assert set(head['part']) == {'head'}
    assert head[head['kind'] == 'member']['value'].between(-1, 1).all()

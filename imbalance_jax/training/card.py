"""A model card: on one page what a model is, what it was trained on, how good it is, and what it is not for."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from imbalance_jax.models import MODELS, NOT_OPTIONS
from imbalance_jax.names import options_of
from imbalance_jax.results.schema import read_table
from imbalance_jax.system import layout, records

SHOWN = ('auroc', 'average_precision', 'brier', 'expected_calibration_error')
CALIBRATION = ('intercept', 'slope')
SAID = re.compile(r'(\w+) (.*?)(?=, [a-z_]\w* |$)')
HARMLESS = {'dtype', 'relu'}  # options of a model that change no tensor
GROUPS = 24  # the most rows of groups
NOT_FOR = (
    'Not for diagnosis, triage or any other care of patients: it is a model of a study of class imbalance, and no'
    ' medical device.',
    'Not for images of other machines, hospitals, ages or views than those of the data set, on which nothing is known'
    ' of it.',
    'Not as a measure of how many have a finding: its probabilities are what its loss and its sampler make of the'
    ' prior of the training set.',
)
PYTORCH = """```python
import json, torch
from safetensors import safe_open

with safe_open('model.safetensors', 'pt') as file:
    about, state = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}
model.load_state_dict(state, strict=True)  # model: {architecture} with {outputs} outputs and {channels} input channels
model.eval()
matrix, offset = (torch.tensor(json.loads(about[name])) for name in ('matrix', 'offset'))


def logits(images):  # [B,H,W,C] uint8, as the data set prepares them
    x = torch.einsum('bhwc,cd->bdhw', images.float() / 255, matrix) + offset[:, None, None]
{geometry}    return model(x)
```"""
JAX = """```python
import jax

logits = jax.export.deserialize(bytearray(open('logits.jaxexport', 'rb').read())).call
explain = jax.export.deserialize(bytearray(open('map.jaxexport', 'rb').read())).call
values, maps = explain(images, jax.numpy.int32(0))  # images [B,H,W,C] uint8; maps [B,H,W] of class 0, by {method}
```"""
NO_PROGRAMS = 'Only tensors: its programs were left out, as flatbuffers was not installed.'
MEAN = """```python
import jax

probabilities = jax.export.deserialize(bytearray(open('ensemble.jaxexport', 'rb').read())).call
values = probabilities(images)  # images [B,H,W,C] uint8 -> the mean [B,K] of probabilities over its {members}
```"""


def options_said(model: Mapping[str, Any]) -> str:
    """The options of a config's model that change its numbers and are not those it has by default, as text."""
    usual = model_options({'name': model['name']})
    return ', '.join(f'{key} {value}' for key, value in model_options(model).items() if usual[key] != value)


def model_options(model: Mapping[str, Any], said: str = '') -> dict[str, str]:
    """All options of a config's model that change its numbers, each as text; or of what `options_said` said of one."""
    known = options_of(MODELS[model['name']], skip=NOT_OPTIONS)
    given = dict(SAID.findall(said)) if said else dict(model.get(model['name'], {}))
    values = {key: given.get(key, value) for key, value in known.items() if key not in HARMLESS}
    return {key: str(list(one) if isinstance(one, tuple) else one) for key, one in values.items()}


def write(workdir: Path, rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any], *, single: bool) -> str:
    """The card of one member, or, unless `single`, of the mean of an arm's rows of members.json, as markdown.

    facts: 'architecture', 'options', 'classes', 'image' (H, W, C), 'keys' (how the tensors are called, or why there
    are none), 'strict' (whether PyTorch's own model takes them), 'method', 'resize' and 'crop', 'outputs', 'channels',
    'link', 'programs' (whether there are any).
    """
    config, info = records.config(workdir), records.data(workdir)
    row, numbers = rows[0], _numbers(rows)
    who = numbers if single else f'mean of the probabilities of {numbers}'
    return '\n'.join(
        [
            f'# {facts["architecture"]}, {row["arm"]}, {who}',
            '',
            *_model(row, facts, numbers),
            *_data(workdir, config, info),
            *_figures(workdir, rows, single),
            '## What it must not be used for',
            '',
            *(f'* {line}' for line in NOT_FOR),
            '',
            *_use(facts, member_word(row), single=single),
            *_provenance(workdir, row, info),
        ]
    )


def member_word(row: Mapping[str, Any]) -> str:
    """What tells members of an arm: their seed, or of networks that are no pairs which network it is."""
    return 'seed' if row.get('paired', True) else 'network'


def _numbers(rows: Sequence[Mapping[str, Any]]) -> str:
    """'seed 0', 'networks 0, 1'."""
    return f'{member_word(rows[0])}{"s" if len(rows) > 1 else ""} {", ".join(str(row["seed"]) for row in rows)}'


def _model(row: Mapping[str, Any], facts: Mapping[str, Any], numbers: str) -> list[str]:
    labels = row.get('labels', 'unknown' if 'adopted' in row else 'own')
    hyper = ', '.join(f'{name} {value}' for name, value in row.get('hyper', {}).items())
    height, width, channels = facts['image']
    return [
        '## Model',
        '',
        f'* Network: {facts["architecture"]}; options: {facts["options"] or "its defaults"}.',
        f'* Images: {height} x {width} pixels, {channels} channel{"s" if channels > 1 else ""}, uint8, resized as the'
        ' data set prepares them.',
        f'* Outputs: {", ".join(facts["classes"])}.',
        f'* Arm: {row["arm"]}; loss: {row["loss"]}{f" ({hyper})" if hyper else ""}; sampler: {row["sampler"]}; head:'
        f' {row.get("head", "linear")}; labels: {labels}; {numbers.replace(" ", ": ", 1)}.',
        _began(row),
        f'* Tensors: {facts["keys"]}',
        '',
    ]


def _began(row: Mapping[str, Any]) -> str:
    """What training began with, of a network that was trained elsewhere the file that it came in."""
    if 'adopted' in row:
        name, sha256 = Path(row['adopted']['file']).name, row['adopted']['sha256']
        return f'* Trained elsewhere: {name}, sha256 {sha256}; what it began with is not known.'
    sha256 = f', sha256 {row["weights_sha256"]}' if row.get('weights_sha256') else ''
    return f'* Began with: {Path(row.get("weights") or "random").name} weights{sha256}.'


def _data(workdir: Path, config: Mapping[str, Any], info: Mapping[str, Any]) -> list[str]:
    table = read_table(workdir, 'data')
    whole = table[table['grouping'].fillna('').eq('') & table['class'].fillna('').eq('')]
    lines = ['## Data', '', f'* Data set: {info["name"]}; source: {info.get("source") or "unknown"}.']
    lines.append(
        f'* Licence: {info.get("licence") or "unknown"}; that of the weights: unknown, ask whoever gives them.'
    )
    lines.append(f'* Labels by: {config["data"].get("labels", "own")}; fingerprint {info["fingerprint"]}.')
    for split in ('train', 'validation', 'test'):
        counts = whole[whole['split'].eq(split) & whole['metric'].isin(['images', 'patients'])]
        said = ', '.join(
            f'{int(value):,} {name}' for name, value in zip(counts['metric'], counts['value'], strict=True)
        )
        lines += [f'* {split}: {said}.'] if said else []
    return [*lines, '']


def _figures(workdir: Path, rows: Sequence[Mapping[str, Any]], single: bool) -> list[str]:
    """Figures of the test split: of what the card is about, and of the arm over its members with intervals."""
    word = member_word(rows[0])
    performance = read_table(workdir, 'performance')
    performance = performance[performance['split'].eq('test') & performance['subset'].fillna('').eq('')]
    arm = performance[performance['kind'].eq('arm') & performance['arm'].eq(rows[0]['arm'])]
    arm = arm[arm['against'].fillna('').eq('')]
    kept = performance['member'].eq(rows[0]['member']) if single else performance['arm'].eq(rows[0]['arm'])
    own = performance[performance['kind'].eq('member' if single else 'ensemble') & kept]
    what = f'this {word}' if single else 'this mean of probabilities'
    heading = [
        '## Figures on the test split',
        '',
        f'{what.capitalize()} is what the files here hold, as they are and not recalibrated. Beside it single'
        f' {word}s of the arm, in the mean, with the 95 % interval of that mean.',
        '',
    ]
    head = f'| class | metric | {what} | mean over {word}s | interval | {word}s |'
    lines = [head, '| --- | --- | --- | --- | --- | --- |']
    for name in dict.fromkeys(arm['class']):
        for metric in SHOWN:
            part = arm[arm['class'].eq(name) & arm['metric'].eq(metric)]
            mean = _value(part, 'mean')
            if mean is None:
                continue
            itself = _value(own[own['class'].eq(name) & own['metric'].eq(metric)], 'value')
            low, high = _value(part, 'low'), _value(part, 'high')
            interval = f'{_shown(low)} to {_shown(high)}' if low is not None and high is not None else ''
            count = int(part[part['statistic'].eq('mean')]['n'].iloc[0])
            lines.append(f'| {name} | {_said(metric)} | {_shown(itself)} | {_shown(mean)} | {interval} | {count} |')
    return [*heading, *lines, '', *_calibration(workdir, rows[0]), *_groups(workdir, rows[0])]


def _calibration(workdir: Path, row: Mapping[str, Any]) -> list[str]:
    if not layout.table(workdir, 'calibration').exists():
        return []
    table = read_table(workdir, 'calibration')
    table = table[table['arm'].eq(row['arm']) & table['class'].eq('macro') & table['against'].fillna('').eq('')]
    lines = []
    for method in dict.fromkeys(table['method'].fillna('')):
        for metric in CALIBRATION:
            part = table[table['metric'].eq(metric) & table['split'].eq('test')]
            mean, low, high = (_value(part, statistic, method) for statistic in ('mean', 'low', 'high'))
            if mean is not None:
                interval = f' ({_shown(low)} to {_shown(high)})' if low is not None and high is not None else ''
                what = f'Calibration {metric}, mean over {member_word(row)}s, {method or "as it is"}'
                lines.append(f'* {what}: {_shown(mean)}{interval}.')
    return [*lines, ''] if lines else []


def _groups(workdir: Path, row: Mapping[str, Any]) -> list[str]:
    if not layout.table(workdir, 'groups').exists():
        return []
    table = read_table(workdir, 'groups')
    kept = table['arm'].eq(row['arm']) & table['class'].eq('macro') & table['metric'].eq('auroc')
    table = table[kept & table['statistic'].eq('mean') & table['against'].fillna('').eq('')]
    table = table[table['value'].notna()]
    columns = zip(table['grouping'], table['group'], table['value'], strict=True)
    lines = [f'| {grouping} | {group} | {_shown(float(value))} |' for grouping, group, value in columns]
    shown = lines[:GROUPS]
    head = f'| grouping | group | macro AUROC, mean over {member_word(row)}s |'
    return [head, '| --- | --- | --- |', *shown, ''] if shown else []


def _use(facts: Mapping[str, Any], word: str, *, single: bool) -> list[str]:
    """How it is loaded; word: what tells members of an arm."""
    program = JAX.replace('{method}', facts['method']) if single else MEAN.replace('{members}', f'{word}s')
    lines = ['## Use', '', program if facts['programs'] else NO_PROGRAMS, '']
    if not single:
        return lines
    if facts['link'] == 'softmax':
        lines += ['The exported logits are log-odds of a class against all others: their sigmoid is the softmax.', '']
    if not facts['strict']:
        return lines
    geometry = ''
    if facts['resize'] or facts['crop']:
        geometry = '    from torchvision.transforms import functional as tv\n'
    if facts['resize']:
        mode = facts['interpolation'].upper()
        size = f"int(about['resize']), tv.InterpolationMode.{mode}, antialias=True"
        geometry += f'    x = tv.resize(x, {size})\n'
    if facts['crop']:
        geometry += "    x = tv.center_crop(x, int(about['crop']))\n"
    text = PYTORCH
    for name, value in {**facts, 'geometry': geometry}.items():
        text = text.replace('{' + name + '}', str(value))
    return [*lines, text, '']


def _provenance(workdir: Path, row: Mapping[str, Any], info: Mapping[str, Any]) -> list[str]:
    """Versions, and whether the weights that it began with may know patients of the test split."""
    record = records.provenance(workdir) if (workdir / layout.PROVENANCE).exists() else {}
    made: dict[str, Any] = record.get('train') or next(iter(record.values()), {})
    done = 'Adopted' if 'adopted' in row else 'Trained'
    versions = ', '.join(f'{name} {value}' for name, value in made.get('versions', {}).items() if value)
    lines = ['## Provenance', '', f'* {done}: {made.get("started", "unknown")}, on {made.get("device", "unknown")}.']
    lines += [f'* Versions: {versions}; code {made.get("source", "unknown")}.'] if versions else []
    what = 'It' if 'adopted' in row else 'Its first weights'
    lines += [f'* {what} may know patients of the test split of {one}.' for one in _seen(workdir, row)]
    return [*lines, '']


def _seen(workdir: Path, row: Mapping[str, Any]) -> list[str]:
    facts = row.get('adopted') or records.starts(workdir).get(row.get('weights', ''), {})
    return [f'{name} (images of {family})' for name, family in facts.get('seen', {}).items()]


def _value(table: pd.DataFrame, statistic: str, method: str = '') -> float | None:
    part = table[table['statistic'].eq(statistic) & table['method'].fillna('').eq(method)]
    return float(part['value'].iloc[0]) if len(part) and pd.notna(part['value'].iloc[0]) else None


def _shown(value: float | None) -> str:
    return '' if value is None else f'{value:.3f}'


def _said(metric: str) -> str:
    plain = {'auroc': 'AUROC', 'brier': 'Brier score'}
    return plain.get(metric, metric.replace('_', ' '))

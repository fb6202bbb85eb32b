"""The section on provenance: commands, versions, config and members."""

import hashlib
import json
from typing import Any

from imbalance_jax.analysis.report.study import Study
from imbalance_jax.system import layout


def section(study: Study) -> dict[str, Any]:
    """What the template lays out."""
    text = (study.folder / layout.CONFIG).read_bytes()
    return {
        'sha256': hashlib.sha256(text).hexdigest(),
        'config': json.dumps(json.loads(text), indent=1, sort_keys=True, ensure_ascii=False),
        'stages': sorted(study.provenance.items(), key=lambda stage: stage[0] != 'train'),
        'members': [
            {**member, 'alive': study.alive(member), 'hyper': json.dumps(member['hyper'])} for member in study.members
        ],
    }

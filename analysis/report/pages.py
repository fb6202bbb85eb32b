"""Templates to pages: one environment for all of them."""

from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from imbalance_jax.analysis.report.style import capital, label, number

FOLDER = Path(__file__).parent


def render(template: str, **values) -> str:
    """The page of a template, of this folder or `sweeps`, which escapes whatever comes from data or config."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([FOLDER, FOLDER.parent / 'sweeps']),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        'breakable': breakable,
        'capital': capital,
        'cssstring': css_string,
        'label': label,
        'number': number,
    }
    return environment.get_template(template).render(**values).strip() + '\n'


def breakable(name: str) -> Markup:
    """A name that may be broken after its underscores."""
    return Markup(str(escape(name)).replace('_', '_<wbr>'))


def css_string(text: str) -> Markup:
    """A text within a CSS string: what could end the string or the element is written by its code."""
    return Markup(''.join(c if c.isalnum() or c in ' -_.,' else f'\\{ord(c):06x} ' for c in text))

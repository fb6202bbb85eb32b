"""Templates to pages: one environment for all of them."""

from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from analysis.style import capital, label, number


def render(template: str, **values) -> str:
    """The page of a template beside this file. Everything that comes from data or config is escaped by it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {'breakable': breakable, 'capital': capital, 'label': label, 'number': number}
    return environment.get_template(template).render(**values).strip() + '\n'


def breakable(name: str) -> Markup:
    """A name that may be broken after its underscores."""
    return Markup(str(escape(name)).replace('_', '_<wbr>'))

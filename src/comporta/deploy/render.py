"""Fills the templates: a kind of deployment and a site in, the text of each file out.

Pure but for reading the templates, which are part of this package. A name that a template does not
know is an error, so that nothing is ever written half filled.
"""

import textwrap
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from comporta.deploy.kinds import Kind, files_of
from comporta.deploy.site import Site
from comporta.i18n import _, speaking

COLUMNS: Final = 90
"""How wide a comment may be: it is read in terminals, beside nothing else."""
_TEMPLATES: Final = Path(__file__).parent / "templates"


def files(kind: Kind, site: Site, language: str) -> Mapping[str, str]:
    """The files of a kind for a site.

    Args:
        kind: which program they are for.
        site: made by `site`, so that its values are safe.
        language: of the comments, one of `comporta.i18n.LANGUAGES`.

    Returns:
        Path below the folder → text, in the order in which they are read best.

    Raises:
        ConfigError: this kind cannot do what the plan asks for.
    """
    servers = {f"{server.name}.env": server for server in site.servers}
    with speaking(language):
        return {
            path: _environment()
            .get_template(template)
            .render(site=site, plan=site.plan, kind=kind, server=servers.get(path))
            for path, template in files_of(kind, site).items()
        }


@cache
def _environment() -> Environment:
    made = Environment(  # noqa: S701  (configuration, not HTML; every value passed a pattern)
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["note"] = _note
    made.globals["_"] = _
    return made


def _note(text: str, indent: int = 0) -> str:
    """A comment of `#` lines; `indent` columns stand before it."""
    lines = textwrap.wrap(
        text, COLUMNS - indent - 2, break_long_words=False, break_on_hyphens=False
    )
    return f"\n{' ' * indent}".join(f"# {line}" for line in lines)

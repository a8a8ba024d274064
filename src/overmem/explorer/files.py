"""The files of the page: plain JavaScript without a build step, its style, and the theme of every page of overmem."""

import re
from functools import cache
from importlib import resources

from overmem.records import REGIMES

SCRIPTS = (
    "text.js",
    "glosses.js",
    "sources.js",
    "rows.js",
    "difference.js",
    "table.js",
    "tokens.js",
    "completions.js",
    "example.js",
    "explorer.js",
)
"""In the order in which they are joined into one script; each may use the declarations of the others."""


@cache
def script() -> str:
    """All scripts in one block, so that only `startExplorer` is visible to other scripts."""
    return '"use strict";\n{\n' + "\n".join(map(_text, SCRIPTS)) + "\n}\n"


@cache
def style() -> str:
    """The style of the explorer, which uses the colour variables of the page."""
    return _text("explorer.css")


@cache
def theme() -> str:
    """Colours, type and tables of every page; one colour per regime in the light scheme, the dark one and print."""
    light, dark = (
        "".join(f"--{r.name}:{colour};" for r, colour in zip(REGIMES.values(), colours, strict=True))
        for colours in ([r.light for r in REGIMES.values()], [r.dark for r in REGIMES.values()])
    )
    schemes = f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}@media print{{:root{{{light}}}}}"
    return _text("theme.css") + schemes + "".join(f".{name}{{background:var(--{name})}}" for name in REGIMES)


@cache
def light_colours() -> dict[str, str]:
    """Name -> colour of every variable of the theme in the light scheme."""
    light = _text("theme.css").partition("}")[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-fA-F]+);", light)) | {r.name: r.light for r in REGIMES.values()}


def _text(name: str) -> str:
    return (resources.files("overmem.explorer") / "page" / name).read_text(encoding="utf-8")

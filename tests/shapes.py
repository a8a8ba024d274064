"""Shapes in annotations are checked at every call of a function that has them. Imported before overmem is."""

from dataclasses import is_dataclass
from functools import partial, wraps
from inspect import isclass
from pathlib import Path

import jaxtyping
from jaxtyping import install_import_hook

SOURCE = Path(__file__).parents[1] / "src"
SHAPED = [
    ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    for path in sorted(SOURCE.glob("overmem/**/*.py"))
    if "from jaxtyping import" in path.read_text(encoding="utf-8")
]
"""Modules with shapes in their annotations. Checking all modules doubles the time."""

_jaxtyped = jaxtyping.jaxtyped
_names_of_dimensions = _jaxtyped("context")


def _checked(item=None, /, *, typechecker):
    """`jaxtyped` for less than half the time: it checks the arguments once, and binds them to no signature.

    Its own decorator does so for better messages, and would take a third of the time of an audit.
    """
    if item is None:
        return partial(_checked, typechecker=typechecker)
    if isclass(item):
        if is_dataclass(item) and "__init__" in vars(item):
            item.__init__ = _checked(item.__init__, typechecker=typechecker)
        return item
    annotations = item.__annotations__.values()
    if any("ForwardRef" in repr(a) or isinstance(a, str) for a in annotations):
        return _jaxtyped(item, typechecker=typechecker)
    function = typechecker(item)
    if not any("jaxtyping." in repr(a) for a in annotations):
        return function

    @wraps(item)
    def with_dimensions(*args, **kwargs):
        with _names_of_dimensions:
            return function(*args, **kwargs)

    return with_dimensions


def check_shapes():
    """Install the import hook."""
    jaxtyping.jaxtyped = _checked
    install_import_hook(SHAPED, "beartype.beartype")

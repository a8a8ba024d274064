"""Terms of the one glossary, explained on hover or focus."""

from markupsafe import Markup

from overmem.explorer.glossary import GLOSSARY

__all__ = ["GLOSSARY", "gloss"]


def gloss(term: str, shown: str = "") -> Markup:
    """The term with its explanation, by mouse and by keyboard."""
    html = '<span class="gloss" tabindex="0" role="note" aria-label="{0}: {1}" data-gloss="{1}">{0}</span>'
    return Markup(html).format(shown or term, GLOSSARY[term])

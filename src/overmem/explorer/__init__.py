"""The explorer: every observed example, with its completions and grades at every checkpoint.

Python reads examples from the run directory into JSON; a page in plain JavaScript shows them. The report embeds as many
examples as fit its size, `overmem view` serves all of them; both use the same page and the same JSON.
"""

from overmem.explorer.choice import by_relevance, compared
from overmem.explorer.details import read_details
from overmem.explorer.embedding import embedded
from overmem.explorer.files import light_colours, script, style, theme
from overmem.explorer.joining import joined_details, joined_tables
from overmem.explorer.page_data import regimes_of, table_json
from overmem.explorer.table import ExampleTable, read_example_table

__all__ = [
    "ExampleTable",
    "by_relevance",
    "compared",
    "embedded",
    "joined_details",
    "joined_tables",
    "light_colours",
    "read_details",
    "read_example_table",
    "regimes_of",
    "script",
    "style",
    "table_json",
    "theme",
]

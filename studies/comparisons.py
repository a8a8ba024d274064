"""What a comparison, a choice among merges, an interval over seeds and an audit that stops can be trusted with.

`python -m studies.comparisons` writes docs/results/compare.md; `--only merges` one of its tables.
"""

import argparse
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from studies.equal_runs import comparison_table
from studies.many_merges import merge_table
from studies.seeds import coverage_table
from studies.until_decided import until_table

TABLES: Mapping[str, tuple[Callable[[int], str], int]] = {
    "compare": (comparison_table, 300),
    "merges": (merge_table, 1000),
    "seeds": (coverage_table, 2000),
    "until": (until_table, 20),
}
"""Section -> its table, and how many runs a row has."""
PAGE = Path("docs/results/compare.md")
TEMPLATE = Path(__file__).with_name("comparisons.template.md")


def written(page: str, section: str, text: str) -> str:
    """The page with the table of a section in its place."""
    return re.sub(rf"<!-- {section} -->.*?<!-- end -->", f"<!-- {section} -->\n{text}\n<!-- end -->", page, flags=re.S)


def main() -> None:
    """Write the page, or one of its tables anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=TABLES, nargs="*", default=list(TABLES))
    parser.add_argument("--runs", type=int, default=None, help="runs of each row; by default as on the page")
    parser.add_argument("--out", type=Path, default=PAGE)
    options = parser.parse_args()
    for section in options.only:
        made, runs = TABLES[section]
        text = made(options.runs or runs)
        page = _with_tables(options.out)
        options.out.write_text(written(page, section, text), encoding="utf-8")


def _with_tables(path: Path) -> str:
    """The template with the tables that the page has already."""
    page = TEMPLATE.read_text(encoding="utf-8")
    if not path.is_file():
        return page
    for section, text in re.findall(r"<!-- (\w+) -->\n(.*?)\n?<!-- end -->", path.read_text(encoding="utf-8"), re.S):
        page = written(page, section, text)
    return page


if __name__ == "__main__":
    main()

"""Text of a run becomes HTML."""

import pytest

from overmem.report.markup import prose


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("run `overmem audit <b>` first", "run <code>overmem audit &lt;b&gt;</code> first"),
        ("`a` and `b`", "<code>a</code> and <code>b</code>"),
        ("a lone ` and <i>", "a lone ` and &lt;i&gt;"),
        ("no code\u202e", "no codeU+202E"),
    ],
)
def test_what_is_between_backticks_is_code_and_everything_is_escaped(text, html):
    assert str(prose(text)) == html

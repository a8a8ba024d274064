"""All text on all pages has a contrast of at least 4.5 to 1 (WCAG AA), in both colour schemes and in print."""

import re

import pytest

from overmem.explorer import script, theme
from overmem.records import REGIMES

TEXTS = ("ink", "quiet", "ship", "onset", "train")
SERIES = tuple(f"series-{i}" for i in range(1, 9))
HEAT = int(re.search(r"STRONGEST = (\d+)", script())[1]) / 100
"""Share of the strongest colour behind a token."""


def schemes():
    """Name of a scheme -> its variables."""
    blocks = re.findall(r":root\s*\{(.*?)\}", theme(), re.S)
    variables = [dict(re.findall(r"--([\w-]+):\s*(#[0-9a-fA-F]+)", block)) for block in blocks]
    light, dark, printed, *regimes = variables
    return {"light": light | regimes[0], "dark": light | dark | regimes[1], "print": light | printed | regimes[2]}


def rgb(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    return tuple(int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def mixed(a, b, share):
    return tuple(share * x + (1 - share) * y for x, y in zip(a, b, strict=True))


@pytest.fixture(params=["light", "dark", "print"])
def colours(request):
    return {name: rgb(value) for name, value in schemes()[request.param].items()}


@pytest.mark.parametrize("background", ["paper", "raised"])
def test_text_stands_out_from_the_page(colours, background):
    low = {text: contrast(colours[text], colours[background]) for text in TEXTS}
    assert {text: round(c, 2) for text, c in low.items() if c < 4.5} == {}


def test_the_name_of_a_regime_stands_out_from_its_colour(colours):
    low = {name: contrast(colours["ink"], colours[name]) for name in REGIMES}
    assert {name: round(c, 2) for name, c in low.items() if c < 4.5} == {}


def test_a_token_stands_out_from_the_strongest_heat(colours):
    for heat in ("onset", "ship"):
        assert contrast(colours["ink"], mixed(colours[heat], colours["paper"], HEAT)) >= 4.5, heat


def test_a_hidden_character_stands_out(colours):
    assert contrast(colours["paper"], colours["train"]) >= 4.5


def test_lines_stand_out_from_the_page_and_from_every_regime_behind_them(colours):
    for line in SERIES:
        assert contrast(colours[line], colours["paper"]) >= 3, line
    for name in REGIMES:
        behind = mixed(colours[name], colours["paper"], 0.6)
        low = {line: contrast(colours[line], behind) for line in SERIES}
        assert {line: round(c, 2) for line, c in low.items() if c < 3} == {}, name


def test_regimes_differ_from_each_other_and_from_the_page(colours):
    shown = [colours[name] for name in REGIMES if name != "undecided"] + [colours["paper"]]
    for i, a in enumerate(shown):
        for b in shown[:i]:
            assert max(abs(x - y) for x, y in zip(a, b, strict=True)) > 0.03

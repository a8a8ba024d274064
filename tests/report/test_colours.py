"""Colours as colour-blind readers see them, and the contrast of all that is read, in both schemes and in print."""

import re
from itertools import combinations, product

import numpy as np
import pytest

from overmem.explorer import light_colours, theme
from overmem.records import REGIMES
from overmem.report.figures import ALIKE, DASHES, LINES, SHAPES, coloured, dash_and_shape

SIGHT = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
"""Machado, Oliveira and Fernandes 2009, severity 1: matrices on linear RGB."""
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


def schemes():
    """Scheme -> name -> colour, as theme.css gives them over each other."""
    css = theme()
    variables = lambda text: dict(re.findall(r"--([\w-]+): ?(#[0-9a-fA-F]{3,6});?", text))  # noqa: E731
    light = light_colours()
    dark = css.partition("prefers-color-scheme: dark")[2].partition("}")[0]
    printed = css.partition("@media print")[2].partition("}")[0]
    of_dark = {name: regime.dark for name, regime in REGIMES.items()}
    return {"light": light, "dark": light | variables(dark) | of_dark, "print": light | variables(printed)}


SCHEMES = schemes()


def linear(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
    values = np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIELAB of linear RGB; a distance of 2.3 is just noticeable."""
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / WHITE
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def closest(colours):
    """The smallest distance of two colours for any of the three kinds of sight, and whose it is."""
    return min(
        (float(np.linalg.norm(lab(matrix @ linear(colours[a])) - lab(matrix @ linear(colours[b])))), a, b, sight)
        for sight, matrix in SIGHT.items()
        for a, b in combinations(colours, 2)
    )


def contrast(a, b):
    """The ratio of WCAG 2."""
    first, second = (float(np.array([0.2126, 0.7152, 0.0722]) @ linear(c)) for c in (a, b))
    return (max(first, second) + 0.05) / (min(first, second) + 0.05)


def test_the_measure_knows_a_pair_that_deuteranopes_confuse():
    assert closest({"green": "#6ba547", "ochre": "#b88f3d"})[0] < 12 < 50
    assert closest({"black": "#000000", "white": "#ffffff"})[0] == pytest.approx(100, abs=0.1)
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_two_regimes_differ_for_every_reader(scheme):
    distance, *pair = closest({name: SCHEMES[scheme][name] for name in REGIMES})
    assert distance > 6.5, pair


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("first", [0, ALIKE])
def test_lines_of_one_dash_differ_in_colour_for_every_reader(scheme, first):
    names = [line[6:-1] for line in LINES[first : first + ALIKE]]
    distance, *pair = closest({name: SCHEMES[scheme][name] for name in names})
    assert distance > 12, pair


@pytest.mark.parametrize("scheme", SCHEMES)
def test_right_wrong_and_ink_differ_for_every_reader(scheme):
    distance, *pair = closest({name: SCHEMES[scheme][name] for name in ("ink", "ship", "onset", "train")})
    assert distance > 12, pair


def test_sixteen_lines_are_all_drawn_differently():
    names = [f"line {i}" for i in range(16)]
    colours = coloured(names)
    dash, shape = dash_and_shape("line", names)
    drawn = list(zip(map(colours.get, names), map(str, dash["scale"]["range"]), shape["scale"]["range"], strict=True))
    assert len(set(drawn)) == 16
    assert len(DASHES) == len(SHAPES)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_has_the_contrast_of_wcag_aa(scheme):
    colours = SCHEMES[scheme]
    grounds = ("paper", "raised")
    pairs = [*product(("ink", "quiet", "ship", "onset", "train"), grounds), *product(("ink",), REGIMES)]
    poor = {pair: round(ratio, 2) for pair in pairs if (ratio := contrast(*map(colours.get, pair))) < 4.5}
    assert poor == {}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_lines_and_marks_have_the_contrast_of_wcag_aa_for_graphics(scheme):
    colours = SCHEMES[scheme]
    pairs = product([line[6:-1] for line in LINES] + ["ship", "onset", "train"], ("paper",))
    on_bands = product(("ink", "ship", "onset"), REGIMES)  # the trajectory is drawn over the regimes
    poor = {pair: round(ratio, 2) for pair in [*pairs, *on_bands] if (ratio := contrast(*map(colours.get, pair))) < 3}
    assert poor == {}

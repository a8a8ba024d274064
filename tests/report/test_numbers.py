import doctest

import pytest

from overmem.records import Estimate
from overmem.report import numbers
from overmem.report.markup import script_json
from overmem.report.numbers import estimate_html, estimate_text, interval_text, perplexity_of, shared_n


def test_doctests_of_the_report_pass():
    result = doctest.testmod(numbers)
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize(
    ("estimate", "unit", "text"),
    [
        (Estimate(0.9, 0.851, 0.934, 200), "percent", "90.0% (85.1–93.4)"),
        (Estimate(-0.005, -0.02, 0.01, 200), "points", "−0.5 points (−2.0 to +1.0)"),
        (Estimate(-0.0001, 0.0, 0.0, 200), "points", "0.0 points (0.0 to 0.0)"),
        (Estimate(0.43, 0.41, 0.45, 200), "ppl", "1.54 (1.51–1.57)"),
        (Estimate(0.35, 0.33, 0.37, 200), "excess", "+0.350 (+0.330 to +0.370)"),
        (Estimate(0.35), "nll", "0.350"),
        (Estimate(None, note="no test split"), "percent", "no value (no test split)"),
        (Estimate(float("nan")), "percent", "no value (not measured)"),
        (Estimate(1000.0), "ppl", "1.01e+304"),
    ],
)
def test_a_number_is_written_with_its_unit_and_interval(estimate, unit, text):
    assert estimate_text(estimate, unit) == text


def test_markup_in_a_reason_is_escaped():
    assert "<b>" not in estimate_html(Estimate(None, note="<b>"), "percent")


def test_n_is_shared_only_where_every_number_has_the_same():
    assert shared_n([Estimate(1.0, n=5), Estimate(2.0, n=5), Estimate(None)]) == 5
    assert shared_n([Estimate(1.0, n=5), Estimate(2.0, n=6)]) is None
    assert shared_n([Estimate(1.0)]) is None
    assert shared_n([]) is None


def test_perplexity_without_a_value_keeps_the_reason():
    assert perplexity_of(Estimate(None, note="why")) == Estimate(None, note="why")


def test_json_in_the_page_cannot_end_its_script():
    text = script_json({"a": "</script><!--\u2028&"})
    assert not set(text) & set("<>&\u2028")


def test_an_interval_with_a_minus_sign_has_no_dash():
    assert interval_text(Estimate(-0.08, low=-0.1, high=-0.07, n=5), "percent").count("to") == 1
    assert "to" not in interval_text(Estimate(0.08, low=0.07, high=0.1, n=5), "percent")

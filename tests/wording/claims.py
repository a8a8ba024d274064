"""What a verdict's sentences claim, read back from their words and held against the verdict's own figures."""

import re

import pytest

NUMBER = r"([+-]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?)"


def value(text):
    return float(text.replace(",", ""))


def check_generic(text, ns):
    """Intervals are in order, percentages are percentages, and every n is one that was measured."""
    for low, high in re.findall(rf"95% interval {NUMBER} to {NUMBER}", text):
        assert value(low) <= value(high), text
    for share in re.findall(rf"{NUMBER}%(?! interval| higher| of what)", text):
        assert 0 <= value(share) <= 100, text
    for n in re.findall(r"n = ([\d,]+)", text):
        assert int(n.replace(",", "")) in ns, text
    assert "nan" not in re.findall(r"[a-z]+", text.lower())
    assert "-0.0 points" not in text
    assert "-0.000" not in text
    assert "  " not in text
    assert not re.search(r" [;,.:]", text), text


def check_severity(sentence, by_name):
    found = re.search(rf"the loss at (\S+) is {NUMBER} nats higher than at (\S+), where it is lowest", sentence)
    if "nats higher than at" not in sentence:
        return
    late, rise, lowest = found[1], value(found[2]), found[3]
    nlls = {name: v.nll.value for name, v in by_name.items() if v.nll.value is not None}
    assert rise == pytest.approx(nlls[late] - nlls[lowest], abs=6e-4)
    assert nlls[lowest] == min(nlls.values())
    assert by_name[late].regime == "over-memorized"
    if ratio := re.search(rf"a perplexity {NUMBER} times as high", sentence):
        assert value(ratio[1]) == pytest.approx(2.718281828 ** (nlls[late] - nlls[lowest]), rel=0.01, abs=0.006)
    else:
        assert rise < 0.005


def check_regret(sentence, verdict):
    found = re.match(r"Shipping (\S+) instead \((.*?)\) would (cost|gain|leave)(?: ([\d.]+) points?)?", sentence)
    if found is None:
        return
    name, rules, verb = found[1], found[2], found[3]
    choice = next(c for c in verdict.choices if c.checkpoint == name and c.regret.value is not None)
    regret = choice.regret.value
    assert verb == ("leave" if abs(regret) < 0.0005 else "cost" if regret > 0 else "gain")
    if verb != "leave":
        assert float(found[4]) == pytest.approx(abs(100 * regret), abs=0.051)
        includes_0 = choice.regret.low is not None and choice.regret.low <= 0 <= choice.regret.high
        assert ("within noise" in sentence) == includes_0
    if "lowest perplexity" in rules:
        assert any(c.rule == "min-nll" and c.checkpoint == name for c in verdict.choices)
    if nll := re.search(rf"its nll is {NUMBER} nats(?: per token)?, against {NUMBER}", sentence):
        assert value(nll[1]) == pytest.approx(choice.nll.value, abs=6e-4)
        assert value(nll[2]) == pytest.approx(verdict.recommended.nll.value, abs=6e-4)


def check_onset(sentence, verdict, by_name):
    found = re.search(r"first shown at ([^\s;]+?)(?:;|\.$)(?: it began near step ([\d,]+))?", sentence)
    if not sentence.startswith("Over-memorization is first shown") or found is None:
        return
    first = by_name[found[1]]
    assert first.regime == "over-memorized"
    later = [v for v in by_name.values() if v.checkpoint.step > first.checkpoint.step]
    assert not any(v.regime.startswith("healthy") for v in later)
    if found[2]:
        assert value(found[2]) <= first.checkpoint.step
        assert verdict.onset.step.low <= verdict.onset.step.value <= verdict.onset.step.high


ENDS = {
    "the run is healthy": ("healthy", "healthy-memorizing"),
    "had not reached its best": ("under-trained",),
    "still rising when the run ended": ("still-learning",),
    "training rows are not memorized": ("risen-not-memorized",),
    "(over-fitted)": ("over-fitted",),
    "cannot tell whether": ("undecided",),
}
"""What a headline says of the end -> the regimes that it may be of."""


def check_headline(verdict, last):
    text = verdict.headline
    for words, regimes in ENDS.items():
        if words in text and "the run is over-memorized" not in text:
            assert last.regime in regimes, text
    if "the run is over-memorized" in text:
        assert verdict.onset is not None
    if "leans to" in text:
        regime, probability = re.search(r"leans to ([\w-]+) \(([\d.]+)\)", text).groups()
        assert (regime, float(probability)) == (last.leaning.regime, round(last.leaning.probability, 2))
        assert 0.5 <= last.leaning.probability <= 1
    if "the last one would do as well" in text:
        regret = next(c.regret for c in verdict.choices if c.checkpoint == last.checkpoint.name)
        assert regret.value < 0.0005 or regret.low is None or regret.low <= 0
    if less := re.search(r"the best healthy one, (\S+), is ([\d.]+) points? less accurate", text):
        healthy = next(c for c in verdict.choices if c.rule == "healthy")
        assert less[1] == healthy.checkpoint
        assert float(less[2]) == pytest.approx(100 * healthy.regret.value, abs=0.051)


def check_reason(v, limits):
    """The one checkpoint's own reason, against its own tests and estimates."""
    text = v.reason
    assert text
    costly = bool(re.search(r"(?<!whether )perplexity is costly:", text, re.IGNORECASE))
    cheap = "perplexity is near" in text
    assert costly == (v.tests.costly and v.tests.choices_at_chance is None)
    if costly:
        assert v.excess.low is None or v.excess.low > 0
    assert not (costly and cheap)
    if cheap:
        assert v.excess.value <= (limits.absolute if v.tests.nll_limit is None else v.tests.nll_limit), text
    kept, lower = (re.search(rf"(?<!whether )accuracy is {w}:", text, re.IGNORECASE) for w in ("kept", "lower"))
    assert not (kept and lower)
    if v.regime in ("healthy", "over-memorized"):
        assert v.tests.kept
    if v.regime == "healthy" and v.checkpoint.step > 0:
        assert not v.tests.costly
    if size := re.search(rf"{NUMBER} nats(?: per token)? above it", text):
        assert value(size[1]) == pytest.approx(v.excess.value, abs=6e-4)
    if own := re.search(rf"{NUMBER}% over its stretch, against {NUMBER}% on the plateau", text):
        assert value(own[1]) == pytest.approx(100 * v.tests.stretch_accuracy, abs=0.051)
        assert value(own[2]) == pytest.approx(100 * v.tests.reference_accuracy, abs=0.051)
    if memory := re.search(r"(\d+)% of what the training rows gained", text):
        assert float(memory[1]) == pytest.approx(max(100 * v.memory.value, 0), abs=0.51)
        assert ("The training rows are memorized" in text) == bool(v.tests.memorized)
        assert ("The training rows are not memorized" in text) == (v.tests.not_memorized and not v.tests.memorized)
    if "which is the best of the run" in text:
        assert v.tests.stretch_accuracy >= v.tests.reference_accuracy - 5e-4


def check(verdict):
    """Everything that a verdict says."""
    by_name = {v.checkpoint.name: v for v in verdict.checkpoints}
    trained = [v for v in verdict.checkpoints if v.checkpoint.step > 0 and not v.checkpoint.merged_from]
    ns = {e.n for v in verdict.checkpoints for e in (v.nll, v.accuracy, v.excess, v.memory)}
    ns |= {e.n for c in (verdict.best, *verdict.choices) if c for e in (c.accuracy, c.nll, c.regret)}
    ns |= {e.n for c in verdict.costs for e in (c.difference,)}
    if verdict.severity is not None:
        ns.add(verdict.severity.excess.n)
    if verdict.onset is not None:
        ns.add(verdict.onset.step.n)
    for text in (verdict.headline, *verdict.sentences, *verdict.warnings, *(v.reason for v in verdict.checkpoints)):
        check_generic(text, ns)
    for sentence in verdict.sentences:
        check_severity(sentence, by_name)
        check_onset(sentence, verdict, by_name)
        if verdict.recommended is not None:
            check_regret(sentence, verdict)
        if found := re.match(r"At its end \((\S+)\) the run is ([\w-]+)\.", sentence):
            assert (found[1], found[2]) == (trained[-1].checkpoint.name, trained[-1].regime)
            assert found[2] == verdict.regime
        if found := re.search(r"(?:Recommended is|best of the run is) (\S+): .* its accuracy is ([\d.]+)%", sentence):
            best = verdict.recommended or verdict.best
            assert found[1] == best.checkpoint
            assert float(found[2]) == pytest.approx(100 * best.accuracy.value, abs=0.051)
    for v in verdict.checkpoints:
        check_reason(v, verdict.limits)
    if trained:
        check_headline(verdict, trained[-1])


def check_turn(sentences, nll, names):
    """The sentences on a loss alone, against the loss."""
    finite = {name: x for name, x in zip(names, nll.tolist(), strict=True) if x == x}
    text = " ".join(sentences)
    if found := re.search(rf"(?:turned at|lowest at) ([\w-]+) \({NUMBER} nats\)", text):
        assert finite[found[1]] == min(finite.values())
        assert value(found[2]) == pytest.approx(finite[found[1]], rel=1e-3)
    for name in re.findall(r"Provisional choice, by the loss alone: ([\w-]+)", text):
        assert finite[name] == min(finite.values())
    last = [*finite][-1]
    if "at the last evaluation" in text:
        assert finite[last] == min(finite.values())
    if "has risen since" in text:
        rise, low = re.search(rf"\({NUMBER} nats, 95% interval {NUMBER} to", text).groups()
        assert value(rise) == pytest.approx(finite[last] - min(finite.values()), abs=6e-4)
        assert value(low) > -5e-4

"""The explorer in a real browser, in the report and on the server alike."""

import re

import polars as pl
import pytest

from overmem import store

A, B = "checkpoint-200", "checkpoint-350"


def greedy(run, checkpoint, split):
    """Example id -> whether its greedy completion is right, straight from the file."""
    path = run.unit_path(checkpoint, split, "grades")
    frame = pl.read_parquet(path if path.is_file() else run.unit_path(checkpoint, split, "samples"))
    frame = frame.filter(pl.col("draw") == 0)
    return dict(zip(frame["example_id"], frame["correct"], strict=True))


def turned(run, was, became, splits=None):
    """The examples whose greedy answer turned so between A and B, as split/id."""
    keys = set()
    for split in splits or [s for s in store.read_plan(run).splits if "~" not in s]:
        before, after = greedy(run, A, split), greedy(run, B, split)
        keys |= {f"{split}/{i}" for i in before if i in after and (before[i], after[i]) == (was, became)}
    return keys


@pytest.mark.parametrize(("change", "was", "became"), [("lost", True, False), ("won", False, True)])
def test_the_filters_find_exactly_the_examples_in_the_files(reader, address, audited, change, was, became):
    reader.open(f"{address}#examples?from={A}&to={B}&change={change}")
    expected = turned(audited, was, became)
    assert len(expected) > 3
    result = reader.ids()
    assert len(result) == len(set(result))
    assert set(result) == expected


def test_choosing_in_the_page_filters_as_the_address_does(reader, address, audited):
    reader.open(address)
    page = reader.page
    page.select_option("[data-key=change]", "lost")
    page.select_option("[data-key=from]", A)
    page.select_option("[data-key=to]", B)
    page.select_option("[data-key=split]", "ood-longer")
    assert set(reader.ids()) == turned(audited, True, False, ["ood-longer"])
    assert "split=ood-longer" in page.url
    page.select_option("[data-key=split]", "")
    page.select_option("[data-key=shift]", "typos")
    assert set(reader.ids()) == turned(audited, True, False, ["test+typos"])


def test_a_search_finds_the_words_of_a_question(reader, address, audited):
    example = store.read_examples(audited, "test")[3]
    reader.open(address)
    reader.page.fill("[type=search]", example.id)
    reader.page.wait_for_function("() => document.querySelectorAll('a.open').length < 4")
    assert f"test/{example.id}" in reader.ids()


def test_the_slider_changes_the_tokens_and_their_words(reader, address, audited):
    example = store.read_examples(audited, "test")[0]
    reader.open(f"{address}#examples?example=test/{example.id}")
    page = reader.page
    page.wait_for_selector(".tokens-line .tk")
    shown = "".join(page.locator(".tokens-line .tk").all_text_contents())
    assert shown.strip().startswith(example.solution)
    scores = {c.name: store.read_scores(audited, c.name, "test") for c in store.read_checkpoints(audited)}
    seen = {}
    slider = page.locator("input[type=range]")
    slider.focus()
    slider.press("Home")
    for _ in scores:
        name = page.inner_text(".scrubber output")
        page.hover(".tokens-line .tk >> nth=2")
        seen[name] = page.inner_text(".pointed")
        nll = -scores[name].logprob[2]
        assert f"{nll:.2f} nats at {name}" in seen[name]
        slider.focus()
        slider.press("ArrowRight")
    assert seen.keys() == scores.keys()
    heats = page.eval_on_selector_all(
        ".tokens-line .tk", "all => all.map(t => t.style.getPropertyValue('--heat')).join()"
    )
    slider.press("Home")
    assert heats != page.eval_on_selector_all(
        ".tokens-line .tk", "all => all.map(t => t.style.getPropertyValue('--heat')).join()"
    )


def test_a_difference_to_another_checkpoint_is_coloured_by_its_sign(reader, address, audited):
    example = store.read_examples(audited, "test")[0]
    reader.open(f"{address}#examples?example=test/{example.id}&at={B}&against={A}")
    reader.page.wait_for_selector(".tokens-line .tk")
    rises = [
        float(b) - float(a)
        for a, b in zip(
            *(
                -store.read_scores(audited, name, "test").logprob[: reader.page.locator(".tokens-line .tk").count()]
                for name in (A, B)
            ),
            strict=True,
        )
    ]
    kinds = reader.page.eval_on_selector_all(".tokens-line .tk", "all => all.map(t => t.classList.contains('less'))")
    clear = [(rise, less) for rise, less in zip(rises, kinds, strict=True) if abs(rise) > 0.001]
    assert clear
    assert all((rise < 0) == less for rise, less in clear)


def test_the_keyboard_alone_reaches_an_example_reads_a_token_and_comes_back(reader, address):
    reader.open(f"{address}#examples?change=lost")
    page = reader.page
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"
    for _ in range(30):  # out of the filters, to the table
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('a.open')"):
            break
    page.keyboard.press("ArrowDown")
    chosen = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    page.wait_for_selector(".tokens-line")
    question = page.inner_text(".whole-question")
    assert question.startswith(chosen.rstrip("…")[:40])
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.tokens-line')"):
            break
    page.keyboard.press("ArrowRight")
    assert "nats at" in page.inner_text(".pointed")
    page.keyboard.press("j")
    page.wait_for_function("q => document.querySelector('.whole-question').innerText !== q", arg=question)
    page.keyboard.press("k")
    page.wait_for_function("q => document.querySelector('.whole-question').innerText === q", arg=question)
    page.keyboard.press("Escape")
    page.wait_for_selector("table.examples")
    assert page.evaluate("document.activeElement.textContent") == chosen


def test_a_shared_link_opens_the_same_example(reader, address):
    reader.open(f"{address}#examples?change=lost&from={A}&to={B}")
    page = reader.page
    page.locator("a.open").nth(1).click()
    page.wait_for_selector(".completion-box")
    link, first = page.url, page.inner_text(".example")
    assert re.search(r"1\d* of \d+|2 of \d+", page.inner_text(".example-bar"))
    reader.open(link)
    page.wait_for_selector(".completion-box")
    assert page.inner_text(".example") == first


def test_both_completions_are_shown_with_their_grades_and_what_differs(reader, address, audited):
    key = min(turned(audited, True, False, ["ood-longer"]))
    reader.open(f"{address}#examples?from={A}&to={B}&example={key}")
    page = reader.page
    page.wait_for_selector(".completion-box")
    samples = [store.read_completions(audited, name, "ood-longer") for name in (A, B)]
    texts = [
        next(t for i, d, t in zip(s.example_ids, s.draw, s.text, strict=True) if i == key.split("/")[1] and d == 0)
        for s in samples
    ]
    shown = page.locator(".completion-box .written").all_text_contents()[:2]
    assert shown == texts
    grades = page.locator(".completion-box .grade").all_inner_texts()[:2]
    assert grades[0].startswith("✓ Right: the answer read from it is")
    assert grades[1].startswith("✗ Wrong:")
    assert page.locator(".completion-box mark").count() > 0


def test_a_link_to_a_missing_example_is_reported(reader, address):
    reader.open(f"{address}#examples?example=test/nothing&from=nowhere&split=nowhere&sort=nothing&page=-4")
    assert "has no example" in reader.page.inner_text("#explorer")

"""Splits by content: stable when rows are added, and no problem in two splits."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from overmem.errors import BadRequest
from overmem.records import Example
from overmem.tasks import Data, LoadedData, load
from overmem.tasks.duplicates import problem_labels
from overmem.tasks.splits import assign_splits, shares_for, take, without_duplicates

THINGS = ["apples", "boats", "cups", "dogs", "eggs", "flags", "goats", "hats", "ink pots", "jars"]


def row(n: int) -> dict[str, Any]:
    rng = random.Random(n)
    first, second = rng.sample(THINGS, 2)
    words = " ".join(rng.choice(["red", "old", "big", "new", "wet", "odd", "shy"]) for _ in range(6))
    return {"question": f"{words}: {n} {first} and {n + 1} {second} make how many?", "answer": f"#### {2 * n + 1}"}


def load_rows(folder: Path, rows: list[dict[str, Any]], **data: Any) -> LoadedData:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load(Data(source=str(path), **data))


def split_by_question(data: LoadedData) -> dict[str, str]:
    return {example.question: name for name, examples in data.splits.items() for example in examples}


def test_the_order_of_the_rows_does_not_matter(tmp_path: Path) -> None:
    rows = [row(n) for n in range(120)]
    assert load_rows(tmp_path, rows).splits == load_rows(tmp_path, rows[::-1]).splits


@pytest.mark.parametrize("counts", [{}, {"val": 25, "test": 20}, {"train": 100, "val": 30, "test": 30}])
def test_more_rows_do_not_move_the_others_between_splits(tmp_path: Path, counts: dict[str, int]) -> None:
    before = split_by_question(load_rows(tmp_path, [row(n) for n in range(300)], **counts))
    after = split_by_question(load_rows(tmp_path, [row(n) for n in range(330)], **counts))
    assert {q: split for q, split in before.items() if after.get(q, split) != split} == {}
    assert len(after) > 150


def test_a_share_that_shrinks_moves_rows_only_towards_training(tmp_path: Path) -> None:
    before = split_by_question(load_rows(tmp_path, [row(n) for n in range(200)], val=20, test=20))
    after = split_by_question(load_rows(tmp_path, [row(n) for n in range(400)], val=20, test=20))
    moves = {(split, after[q]) for q, split in before.items() if after.get(q, split) != split}
    assert moves
    assert moves <= {("test", "val"), ("test", "train"), ("val", "train")}


def test_another_seed_gives_other_splits(tmp_path: Path) -> None:
    rows = [row(n) for n in range(120)]
    assert split_by_question(load_rows(tmp_path, rows, seed=0)) != split_by_question(load_rows(tmp_path, rows, seed=1))


def test_near_duplicates_and_declared_groups_stay_in_one_split(tmp_path: Path) -> None:
    rows = []
    for n in range(60):
        story = " ".join(f"{n} {thing} came on day {n + k}" for k, thing in enumerate(THINGS))
        rows += [{"question": f"{story} and {extra}?", "answer": "1", "group": ""} for extra in ("why", "how", "when")]
    rows += [{**row(n), "group": f"g{n % 20}"} for n in range(200)]
    data = load_rows(tmp_path, rows, fields={"group": "group"})
    split_of = split_by_question(data)
    assert {len({split_of[r["question"]] for r in rows[k : k + 3]}) for k in range(0, 180, 3)} == {1}
    for g in range(20):
        assert len({split_of[r["question"]] for r in rows[180:] if r["group"] == f"g{g}"}) == 1
    assert len(set(split_of.values())) == 3


def test_near_duplicates_of_separate_test_rows_are_removed_from_training(tmp_path: Path) -> None:
    story = "On Monday Ann bought 12 red apples at the market and on Friday she gave 5 of them to her brother Tom"
    train = [*(row(n) for n in range(50)), {"question": f"{story}. How many are left?", "answer": "7"}]
    (tmp_path / "test.json").write_text(json.dumps([{"question": f"{story}. How many remain?", "answer": "7"}]))
    data = load_rows(tmp_path, train, test_source=str(tmp_path / "test.json"))
    assert len(data.splits["train"]) + len(data.splits["val"]) == 50
    assert "train: 1 rows left out that are near-duplicates of evaluation questions" in data.notes


def test_rows_of_an_ood_set_are_removed_from_training_but_may_be_in_test(tmp_path: Path) -> None:
    rows = [row(n) for n in range(60)]
    (tmp_path / "ood.json").write_text(json.dumps(rows[:20]))
    (tmp_path / "test.json").write_text(json.dumps(rows[:5]))
    ood = {"other": Data(source=str(tmp_path / "ood.json"))}
    data = load_rows(tmp_path, rows, test_source=str(tmp_path / "test.json"), ood=ood)
    assert len(data.splits["ood-other"]) == 20
    assert len(data.splits["train"]) + len(data.splits["val"]) == 40
    assert "ood-other: 5 questions are near-duplicates of test questions, and are kept" in data.notes


def test_identical_questions_are_one_example_and_are_counted(tmp_path: Path) -> None:
    rows = [row(n) for n in range(30)]
    twice = [*rows, {**rows[0], "question": rows[0]["question"].upper()}]
    data = load_rows(tmp_path, twice)
    assert sum(map(len, data.splits.values())) == 30
    assert "train: 1 rows with a repeated question left out" in data.notes


def test_questions_that_differ_in_numbers_are_different_problems(tmp_path: Path) -> None:
    examples = [Example(str(n), f"Ann has {n} apples, eats {n + 2} and buys {n + 5}?", "s", "1") for n in range(9)]
    assert len(set(problem_labels(examples).tolist())) == 9


def test_a_similarity_below_the_threshold_does_not_join_questions() -> None:
    words = [f"word{n}" for n in range(20)]
    # One word changed of 20: 15 of 21 shingles shared, a similarity of 0.71.
    examples = [Example(name, " ".join([*words[:9], name, *words[10:]]), "s", "1") for name in ("one", "other")]
    assert len(set(problem_labels(examples, 0.8).tolist())) == 2
    assert len(set(problem_labels(examples, 0.7).tolist())) == 1


def test_of_two_solutions_to_one_question_the_same_one_is_kept_in_any_order() -> None:
    one, other = Example("q", "Q?", "a way\n#### 1", "1"), Example("q", "Q?", "b way\n#### 1", "1")
    assert without_duplicates([one, other]) == without_duplicates([other, one]) == [one]


def test_boilerplate_shared_by_all_questions_is_ignored() -> None:
    rules = "Answer with care. " + " ".join(f"Rule {n} says that you must not do thing {n}." for n in range(30))
    examples = [Example(str(n), f"{rules} {row(n)['question']}", "s", "1") for n in range(60)]
    assert len(set(problem_labels(examples).tolist())) == 60


def test_threshold_one_joins_only_identical_questions() -> None:
    examples = [
        Example("a", "the same long question about a cat", "s", "1"),
        Example("b", "the same long question about a cat!", "s", "1"),
    ]
    assert len(set(problem_labels(examples, 0.8).tolist())) == 1
    assert len(set(problem_labels(examples, 1.0).tolist())) == 2


def test_an_empty_split_is_empty_and_says_so(tmp_path: Path) -> None:
    data = load_rows(tmp_path, [row(n) for n in range(20)], val=0)
    assert data.splits["val"] == ()
    assert "val: empty (0 rows were requested)" in data.notes
    nothing = load_rows(tmp_path, [])
    assert all(examples == () for examples in nothing.splits.values())
    assert "train: empty (no rows remain for it)" in nothing.notes


def test_fewer_rows_than_requested_are_a_note(tmp_path: Path) -> None:
    data = load_rows(tmp_path, [row(n) for n in range(40)], train=5000, val=10, test=10)
    assert any(note.endswith("of 5000 requested rows") for note in data.notes)


def test_larger_counts_extend_the_smaller_splits(tmp_path: Path) -> None:
    rows = [row(n) for n in range(300)]
    few, more = (
        load_rows(tmp_path, rows, train=50, val=10, test=10),
        load_rows(tmp_path, rows, train=60, val=12, test=12),
    )
    assert {name: len(examples) for name, examples in few.splits.items()} == {"train": 50, "val": 10, "test": 10}
    assert set(few.splits["test"]) <= set(more.splits["test"])


def test_impossible_counts_and_an_impossible_threshold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"data\.val: -1 rows; allowed: 0 to 1,000,000,000,000, or null"):
        load(Data(val=-1))
    with pytest.raises(BadRequest, match=r"data\.train: 1000.*\.\.\..*000 rows"):
        load(Data(train=10**400))
    with pytest.raises(BadRequest, match=r"data\.ood\.harder\.test: -5 rows"):
        load(Data(ood={"harder": Data(test=-5)}))
    with pytest.raises(BadRequest, match=r"data\.near_duplicates: 1\.5"):
        load(Data(near_duplicates=1.5))


def test_splits_have_the_requested_rows_and_rarely_change() -> None:
    counts = {"test": 200, "val": 100, "train": None}
    for total in (950, 1000, 2111, 7473, 395_000):
        shares = shares_for(counts, total)
        assert shares["test"] * total >= 200
        assert (1 - shares["test"]) * shares["val"] * total >= 100
    assert shares_for(counts, 7473) == shares_for(counts, 7600)
    assert shares_for({"test": 100, "val": 100, "train": 800}, 10) == pytest.approx({"test": 0.1, "val": 1 / 9})
    assert shares_for({"test": 0, "val": None, "train": None}, 10) == {"test": 0.0, "val": 0.1}


def test_a_cluster_is_never_divided() -> None:
    examples = [Example(f"{n:x}", str(n), "s", "1") for n in range(400)]
    labels = [n // 4 for n in range(400)]
    parts = assign_splits(examples, labels, {"test": 0.3, "val": 0.3}, 0)
    assert sorted(p for part in parts.values() for p in part) == list(range(400))
    assert all(
        len({p // 4 for p in part} & {p // 4 for p in other}) == 0
        for part in parts.values()
        for other in parts.values()
        if part is not other
    )
    assert all(len(part) > 40 for part in parts.values())


def test_a_smaller_count_takes_the_first_of_a_larger_one() -> None:
    examples = [Example(f"{n:x}", str(n), "s", "1") for n in range(50)]
    assert take(examples, 10, 3) == take(examples[::-1], 20, 3)[:10]
    assert take(examples, None, 3) != tuple(examples)
    assert {replace(e, id="") for e in take(examples, None, 3)} == {replace(e, id="") for e in examples}

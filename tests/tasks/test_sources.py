"""Every source of examples: generated, hub, user functions, presets."""

import json
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from overmem import tasks
from overmem.errors import BadData, BadRequest
from overmem.grading.golds import check_gold
from overmem.records import Example
from overmem.tasks import Data, load
from overmem.tasks.presets import PRESETS, with_preset

GENERATED = [
    Data(train=12, val=6, test=6),
    Data(source="reasoning-gym:gsm_symbolic", train=12, val=6, test=6),
    Data(source="reasoning-gym:chain_sum", train=12, val=6, test=6),
    Data(source="reasoning-gym:mini_sudoku", train=12, val=6, test=6),
    Data(source="reasoning-gym:knights_knaves", train=12, val=6, test=6),
]


@pytest.mark.parametrize("data", GENERATED, ids=lambda data: data.source)
def test_references_of_generated_sets_are_graded_right_and_questions_are_unique(data: Data) -> None:
    splits = load(data).splits
    for name in ("train", "val", "test"):
        check_gold(splits[name])
        assert splits[name]
    ids = [example.id for examples in splits.values() for example in examples]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("data", GENERATED[1:], ids=lambda data: data.source)
def test_neighbouring_seeds_share_no_items(data: Data) -> None:
    first, second = load(data).splits, load(Data(data.source, train=12, val=6, test=6, seed=1)).splits
    assert first == load(data).splits
    shared = {e.id for part in first.values() for e in part} & {e.id for part in second.values() for e in part}
    assert len(shared) <= 1


def test_a_generator_without_worked_solutions_is_noted() -> None:
    assert "chain_sum gives no worked solutions: the solution is only the answer" in load(GENERATED[2]).notes
    worked = load(GENERATED[1])
    assert all(len(e.solution) > len(e.answer) + 20 for e in worked.splits["train"])
    assert not any("worked" in note for note in worked.notes)


def test_a_generator_with_few_questions_gives_what_it_has() -> None:
    options = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
    data = load(Data(source="reasoning-gym:chain_sum", train=900, val=5, test=5, options=options))
    assert 0 < len(data.splits["train"]) < 900
    assert any(note.endswith("of 900 requested rows") for note in data.notes)


def test_an_unknown_generator_or_option_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"unknown reasoning-gym generator 'sums'; allowed: .*chain_sum"):
        load(Data(source="reasoning-gym:sums"))
    with pytest.raises(BadRequest, match=r"chain_sum with options .*depth"):
        load(Data(source="reasoning-gym:chain_sum", options={"depth": 3}))


def hub_set(folder: Path) -> str:
    for split, numbers in {"train": range(40), "test": range(40, 50)}.items():
        lines = [json.dumps({"question": f"What is {n} plus {n * n}?", "answer": f"#### {n + n * n}"}) for n in numbers]
        (folder / f"{split}.jsonl").write_text("\n".join(lines))
    return f"hub:{folder}"


def test_a_hub_set_is_read_with_its_own_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    (tmp_path / "set").mkdir()
    source = hub_set(tmp_path / "set")
    data = load(Data(source=source, val=8))
    assert len(data.splits["test"]) == 10
    assert len(data.splits["val"]) == 8
    assert load(Data(source=source, val=8)).splits == data.splits
    only_test = load(Data(source=source, split="test"))
    assert sum(map(len, only_test.splits.values())) == 10
    from_split = load(Data(source=source, split="train", test_source="test"))
    assert from_split.splits["test"] == data.splits["test"]
    with pytest.raises(BadRequest, match=r"unknown split 'dev'.*allowed: test, train"):
        load(Data(source=source, split="dev"))


def test_a_hub_set_that_cannot_be_read_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def unreachable(name: str, subset: str | None) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(BadRequest, match=r"'openai/gsm8k' \(main\) could not be read: no network\. Without a network"):
        load(Data(source="gsm8k"))


def user_rows(data: Data, *, count: int = 3) -> dict[str, list[object]]:
    return {
        "train": [{"question": f"What is {n} and one more?", "answer": str(n + 1)} for n in range(count)],
        "test": [Example("x", "What is two?", "2\n#### 2", "2")],
    }


def wrong_gold(data: Data) -> list[Example]:
    return [Example("x", "What is two?", "2\n#### 2", "3")]


def user_numbers(data: Data) -> list[int]:
    return [1, 2]


def test_a_user_defined_function_can_be_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "own_tasks", sys.modules[__name__])
    data = load(Data(source="own_tasks:user_rows", options={"count": 30}, val=0))
    assert len(data.splits["train"]) == 30
    assert [e.id for e in data.splits["test"]] == ["x"]
    with pytest.raises(BadData, match=r"1 reference solutions.*x: answer '3'"):
        load(Data(source="own_tasks:wrong_gold"))
    with pytest.raises(BadData, match=r"row 1: int where a mapping or an Example"):
        load(Data(source="own_tasks:user_numbers"))
    with pytest.raises(BadRequest, match="could not be imported"):
        load(Data(source="own_tasks:nothing_here"))


def test_ood_sets_become_splits_of_their_own(tmp_path: Path) -> None:
    rows = [{"question": f"What is {n} times seven?", "answer": str(7 * n)} for n in range(20)]
    (tmp_path / "ood.json").write_text(json.dumps(rows))
    data = load(Data(train=10, val=5, test=5, ood={"times": Data(source=str(tmp_path / "ood.json"), test=8)}))
    assert len(data.splits["ood-times"]) == 8
    assert {"ood-longer", "ood-domain"} <= set(data.splits)


def test_an_unknown_source_is_refused_with_the_allowed_ones() -> None:
    with pytest.raises(BadRequest, match=r"unknown option 'odd' in data.options of wordproblems; allowed: ood"):
        load(Data("wordproblems", options={"odd": 3}))
    with pytest.raises(BadRequest, match=r"unknown data source 'gsm9k'; allowed: .*gsm8k.*wordproblems"):
        load(Data(source="gsm9k"))


def test_a_preset_sets_the_fields_that_the_recipe_leaves_out() -> None:
    filled = with_preset(Data(source="GSM8K", val=7))
    assert (filled.source, filled.subset, filled.val) == ("hub:openai/gsm8k", "main", 7)
    assert with_preset(Data(source="gsm8k", subset="socratic")).subset == "socratic"
    assert with_preset(Data(source="a.jsonl")) == Data(source="a.jsonl")


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_has_only_fields_of_data(name: str) -> None:
    assert with_preset(TypeAdapter(Data).validate_python(PRESETS[name])).source.startswith("hub:")


def test_a_recipe_with_an_unknown_key_is_refused_by_name() -> None:
    adapter = TypeAdapter(Data)
    assert adapter.validate_python({"source": "x", "ood": {"far": {"source": "y", "test": 3}}}).ood["far"].test == 3
    for wrong in ({"sauce": "x"}, {"ood": {"far": {"sauce": "y"}}}):
        with pytest.raises(ValidationError, match="sauce"):
            adapter.validate_python(wrong)


def test_a_kind_of_answer_without_a_grader_is_refused_with_the_graders(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"question": "Q?", "answer": "3"}) + "\n")
    with pytest.raises(BadRequest, match=r"unknown kind of answer 'essay'.*auto, choice"):
        load(Data(str(tmp_path / "rows.jsonl"), kind="essay"))


@pytest.mark.parametrize("name", sorted(tasks.SOURCES))
def test_every_source_has_a_first_line_of_documentation(name: str) -> None:
    assert (tasks.SOURCES[name].__doc__ or "").partition("\n")[0].endswith(".")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Data(source=":"), "could not be imported"),
        (Data(source="os:system"), "the data source 'os:system' raised TypeError"),
        (Data(source="wordproblems", test=10**7), r"data\.test is 10000000; allowed: at most 1,000,000"),
    ],
)
def test_a_source_that_cannot_work_is_refused_in_one_line(data: Data, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        load(data)

"""The JSON schemas for editors are those of the code, and accept what the commands accept."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from docs.making.schema import SCHEMAS, as_text, recipe_schema, sweep_schema

ROOT = Path(__file__).parents[1]
SWEEPS = [ROOT / "examples" / "sweep.yaml", *sorted((ROOT / "studies" / "paper" / "sweeps").glob("*.yaml"))]


@pytest.mark.parametrize("file", SCHEMAS)
def test_the_committed_schema_is_current(file):
    committed = (ROOT / "docs" / "schema" / file).read_text(encoding="utf-8")
    assert committed == as_text(SCHEMAS[file]()), "run make docs"


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_sweep_file_of_the_repository_is_valid(path):
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), sweep_schema())


@pytest.mark.parametrize(
    ("recipe", "what"),
    [
        ({"output": "run", "lerning_rate": 1e-3}, "lerning_rate"),
        ({"output": "run", "epochs": "many"}, "many"),
        ({}, "output"),
    ],
)
def test_what_the_command_refuses_is_marked(recipe, what):
    jsonschema.validate({"output": "run", "loss": "mar", "data": {"source": "gsm8k"}}, recipe_schema())
    with pytest.raises(jsonschema.ValidationError, match=what):
        jsonschema.validate(recipe, recipe_schema())


def test_every_key_of_a_recipe_says_what_it_does_and_names_its_choices():
    schema = recipe_schema()
    assert all(entry["description"] for entry in schema["properties"].values())
    assert "mar" in schema["properties"]["loss"]["examples"]
    assert "working-backwards" in schema["$defs"]["Data"]["properties"]["source"]["examples"]

"""YAML files: what is no text, or more than a person would write, is refused in one line."""

import pytest

from overmem.errors import BadRequest
from overmem.yaml_files import read_yaml


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"output": "\\ud800"}', "half of a character"),
        ('{"a\\udfff": 1}', "half of a character"),
        ("a: &a [*a]", "over 100,000 values"),
        ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("- 1", "list where a mapping"),
        ("1: 2", "dict where a mapping of names"),
    ],
)
def test_a_file_that_is_no_mapping_of_text_is_refused(tmp_path, text, words):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(BadRequest, match=words) as refused:
        read_yaml(path)
    assert "\n" not in str(refused.value)


def test_a_character_outside_of_the_basic_plane_is_text(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text('{"a": "\\U0001F600 é"}')
    assert read_yaml(path) == {"a": "\U0001f600 é"}

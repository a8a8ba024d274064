"""What a bug report is given."""

import json

import pytest

from overmem.cli import main
from overmem.cli.env import environment


def test_versions_devices_and_nothing_else(capsys):
    described = environment()
    assert described["numpy"][0].isdigit()
    assert set(described) >= {"python", "system", "cores", "memory", "torch", "accelerator"}
    with pytest.raises(SystemExit) as stopped:
        main(["env", "--json"])
    assert stopped.value.code == 0
    assert json.loads(capsys.readouterr().out) == described

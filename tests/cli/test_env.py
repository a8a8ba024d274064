"""`overmem env`: versions and devices for a bug report."""

import json

import pytest

from overmem.cli import main
from overmem.cli.env import environment


def test_env_prints_versions_and_devices(capsys):
    described = environment()
    assert described["numpy"][0].isdigit()
    assert set(described) >= {"python", "system", "cores", "memory", "torch", "accelerator"}
    with pytest.raises(SystemExit) as stopped:
        main(["env", "--json"])
    assert stopped.value.code == 0
    assert json.loads(capsys.readouterr().out) == described

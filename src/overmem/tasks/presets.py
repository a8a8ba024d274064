"""Presets: short names of well-known data sets, each with its hub id and the options that its rows need."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from overmem.tasks.data import Data

PRESETS: dict[str, dict[str, Any]] = {
    "gsm8k": {"source": "hub:openai/gsm8k", "subset": "main", "kind": "math"},
    "metamathqa": {"source": "hub:meta-math/MetaMathQA", "kind": "math", "drop_broken": True},
    "math": {"source": "hub:DigitalLearningGmbH/MATH-lighteval", "kind": "math", "drop_broken": True},
    "math500": {"source": "hub:HuggingFaceH4/MATH-500", "kind": "math"},
    "numina-math": {"source": "hub:AI-MO/NuminaMath-CoT", "kind": "math", "drop_broken": True},
    "svamp": {"source": "hub:ChilleD/SVAMP", "kind": "math"},
    "multiarith": {"source": "hub:ChilleD/MultiArith", "kind": "math"},
    "gsm-hard": {"source": "hub:reasoning-machines/gsm-hard", "kind": "math", "drop_broken": True},
    "aqua": {"source": "hub:deepmind/aqua_rat", "subset": "raw", "kind": "choice", "drop_broken": True},
    "arc-challenge": {"source": "hub:allenai/ai2_arc", "subset": "ARC-Challenge", "drop_broken": True},
    "openbookqa": {"source": "hub:allenai/openbookqa", "subset": "main", "kind": "choice"},
    "humaneval": {"source": "hub:openai/openai_humaneval", "split": "test", "kind": "code"},
    "mbpp": {"source": "hub:google-research-datasets/mbpp", "subset": "full", "kind": "code"},
    "knights-and-knaves": {
        "source": "hub:K-and-K/knights-and-knaves:train:3ppl",
        "test_source": "hub:K-and-K/knights-and-knaves:test:3ppl",
        "kind": "exact",
    },
}
"""Preset -> fields of Data. Fields that the user sets take precedence."""


def with_preset(data: Data) -> Data:
    """`data` with the fields of the preset that its source names, except those that differ from their default."""
    preset: Mapping[str, Any] = PRESETS.get(data.source.casefold(), {})
    default = Data()
    unset = {f.name for f in fields(Data) if f.name == "source" or getattr(data, f.name) == getattr(default, f.name)}
    return replace(data, **{name: value for name, value in preset.items() if name in unset})

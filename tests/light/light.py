"""The built wheel in an empty environment: logs are read, runs judged, compared and drawn, without torch.

python tests/light/light.py
"""

import email
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT_MB = 450
NOT_OURS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "wheel")
"""What an empty environment has already."""


ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
"""Without the source tree, which would hide what the wheel lacks."""


def main() -> None:
    """Build, install, run, weigh; raises where one of them fails."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", work, ROOT])
        (wheel,) = work.glob("overmem-*.whl")
        check_contents(wheel)
        venv.create(work / "env", with_pip=True)
        python = work / "env" / "bin" / "python"
        run([python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel])
        weigh(python)
        command = work / "env" / "bin" / "overmem"
        logs = work / "logs"
        logs.mkdir()
        history = [
            {"step": s, "epoch": s / 50, "eval_loss": n, "eval_accuracy": 0.8}
            for s, n in zip(range(50, 450, 50), (0.6, 0.5, 0.4, 0.4, 0.5, 0.6, 0.7, 0.8), strict=True)
        ]
        (logs / "trainer_state.json").write_text(json.dumps({"log_history": history}))
        run([command, "diagnose", logs])
        audited = work / "run"
        shutil.copytree(ROOT / "tests" / "golden" / "run", audited)
        run([command, "diagnose", audited])
        run([command, "report", audited])
        run([command, "compare", audited, without_its_last_checkpoint(audited, work / "other")])
        assert (audited / "overmem" / "report.html").stat().st_size > 100_000
        run([python, "-c", f"import overmem; print(overmem.diagnose({str(audited)!r}).headline)"])
        events = work / "events"
        events.mkdir()
        (events / "events.out.tfevents.1").write_bytes(b"")
        recipe = work / "recipe.yaml"
        recipe.write_text("output: trained\nloss: mar\n")
        for extra, *arguments in (
            ("audit", "train", recipe),
            ("audit", "audit", audited, "--data", "wordproblems"),
            ("audit", "audit", audited, "--dry-run"),
            ("audit", "merge", audited),
            ("audit", "demo", "--output", work / "demo"),
            ("tensorboard", "diagnose", events),
        ):
            refuse([command, *arguments], extra)
        for name in ("OvermemCallback", "with_loss"):
            failed = subprocess.run(
                [python, "-c", f"import overmem; overmem.{name}"], capture_output=True, env=ENVIRONMENT, text=True
            )
            assert "pip install 'overmem[audit]'" in failed.stderr.splitlines()[-1], failed.stderr
    print("the light install works")


def without_its_last_checkpoint(audited: Path, other: Path) -> Path:
    """Another run to compare with: a run is not compared with its own copy."""
    shutil.copytree(audited, other)
    path = other / "overmem" / "plan.json"
    plan = json.loads(path.read_text())
    plan["checkpoints"] = plan["checkpoints"][:-2]  # the merge of it too
    path.write_text(json.dumps(plan))
    return other


def run(command: list[object]) -> None:
    """The command, shown; its output is kept back unless it fails."""
    print("$", *[str(part).rpartition("/")[2] if "/" in str(part) else part for part in command], flush=True)
    done = subprocess.run([*map(str, command)], capture_output=True, env=ENVIRONMENT, text=True, check=False)
    if done.returncode:
        sys.exit(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}")


def refuse(command: list[object], extra: str) -> None:
    """The command is refused in a line that says which extra to install."""
    print("$", *[str(part).rpartition("/")[2] for part in command], f"(without {extra})", flush=True)
    done = subprocess.run([*map(str, command)], capture_output=True, env=ENVIRONMENT, text=True, check=False)
    assert done.returncode == 2, done
    assert f"pip install 'overmem[{extra}]'" in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def check_contents(wheel: Path) -> None:
    """The wheel holds the package with its metadata, its licence, and nothing of the studies, benchmarks or tests."""
    archive = zipfile.ZipFile(wheel)
    names = archive.namelist()
    (metadata_path,) = [name for name in names if name.endswith(".dist-info/METADATA")]
    metadata = email.message_from_bytes(archive.read(metadata_path))
    assert metadata["License-Expression"] == "Apache-2.0", metadata.items()
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["Summary"]
    assert len(metadata["Keywords"].split(",")) >= 5
    assert "Programming Language :: Python :: 3.11" in metadata.get_all("Classifier", [])
    extras = metadata.get_all("Provides-Extra", [])
    assert {"audit", "code", "ray", "reasoning-gym", "tensorboard", "vllm"} <= set(extras), extras
    (entry_points,) = [name for name in names if name.endswith("entry_points.txt")]
    assert b"overmem = overmem.cli:main" in archive.read(entry_points)
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name.split("/")[0]}
    assert tops == {"overmem"}, tops
    assert "overmem/py.typed" in names
    assert any(name.endswith("vega/vega-embed.js") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names), names[-5:]


def weigh(python: Path) -> None:
    """The size of everything that the wheel installed, in megabytes, below the limit."""
    where = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        capture_output=True, env=ENVIRONMENT, text=True, check=True,
    )  # fmt: skip
    site = Path(where.stdout.strip())
    files = (p for p in site.rglob("*") if p.is_file() and not p.relative_to(site).parts[0].startswith(NOT_OURS))
    size = sum(p.stat().st_size for p in files) / 1e6
    print(f"installed: {size:.0f} MB, limit {LIMIT_MB}")
    assert size < LIMIT_MB
    has_torch = (
        subprocess.run([python, "-c", "import torch"], capture_output=True, env=ENVIRONMENT, check=False).returncode
        == 0
    )
    assert not has_torch


if __name__ == "__main__":
    main()

"""Sandboxes for model-written code: reference solutions, agreement with unsandboxed execution, and speed.

    python benchmarks/sandboxes.py --humaneval HumanEval.jsonl.gz --mbpp mbpp.jsonl [--mutants 1000] [--json out.json]

Mutants are reference solutions with one operator, comparison or constant changed. They are harmless, so they are also
run plainly, by a Python process each without a sandbox, and the two verdicts (passes or not) are compared one by one.
`--evalplus *eval_results.json` compares with the base tests in EvalPlus's results of HumanEval, in the same way.
"""

import argparse
import ast
import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from overmem.grading.code import add_helpers
from overmem.grading.sandboxes.program import Limits, Program, Sandbox
from overmem.grading.sandboxes.selection import SANDBOXES, run_programs
from overmem.seeds import python_random

LIMITS = Limits(seconds=5.0)
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


def main() -> None:
    """Run every comparison and print one line each; those that are in the JSON file already are not run again."""
    options = _options()
    sets = {"HumanEval": humaneval(options.humaneval), "MBPP test": mbpp(options.mbpp)}
    results = _Results(options.json, {"python": sys.version.split()[0], "limits": vars(LIMITS)})
    mutants = list(mutated([p for programs in sets.values() for p in programs], options.mutants))
    for name, sandbox in SANDBOXES.items():
        if reason := sandbox.missing():
            sys.stdout.write(f"{name}: {reason}\n")
            continue
        for data, programs in sets.items():
            right = results.of(f"{name}: {data}", lambda p=programs, s=sandbox: _right(p, s, first_pass=False))
            failed = [i for i, is_right in enumerate(right) if not is_right]
            sys.stdout.write(f"{name}, {data}: {sum(right)} of {len(right)} right, failed {failed}\n")
    programs, passed = evalplus(options.evalplus, options.humaneval)
    for name, sandbox in SANDBOXES.items():
        if programs and not sandbox.missing():
            label = f"{name}: {len(programs)} programs in EvalPlus's results"
            right = results.of(label, lambda s=sandbox: _right(programs, s, first_pass=False))
            _compare(label, "by EvalPlus", programs, right, passed)
    plain = results.of(f"plainly: {len(mutants)} mutants", lambda: _plain(mutants))
    for name, sandbox in SANDBOXES.items():
        for first_pass in (False, True) if not sandbox.missing() else ():
            label = f"{name}{' after Monty' if first_pass else ''}: {len(mutants)} mutants"
            right = results.of(label, lambda s=sandbox, f=first_pass: _right(mutants, s, first_pass=f))
            _compare(label, "plainly", mutants, right, plain)


def _compare(label: str, other: str, programs: list[Program], right: list[bool], expected: list[bool]) -> None:
    differ = [i for i, pair in enumerate(zip(right, expected, strict=True)) if pair[0] != pair[1]]
    sys.stdout.write(f"{label}, {sum(expected)} right {other}, verdicts that differ: {len(differ)}\n")
    for i in differ[:5]:
        sys.stdout.write(f"--- {i}: in the sandbox {right[i]}, {other} {expected[i]}\n{programs[i].source}\n")


class _Results:
    """Whether each program of a comparison is right, written to a file after each comparison."""

    def __init__(self, path: Path | None, setup: dict[str, Any]) -> None:
        self.path, self.content = path, setup
        if path is not None and path.exists():
            self.content |= json.loads(path.read_text())

    def of(self, name: str, run: Callable[[], list[bool]]) -> list[bool]:
        """The results of a comparison, run now unless they are in the file."""
        if name not in self.content:
            start = time.perf_counter()
            right = run()
            self.content[name] = {"right": right, "seconds": time.perf_counter() - start}
            if self.path is not None:
                self.path.write_text(json.dumps(self.content, indent=2) + "\n")
        sys.stdout.flush()
        result: list[bool] = self.content[name]["right"]
        return result


def _right(programs: list[Program], sandbox: Sandbox, *, first_pass: bool) -> list[bool]:
    return [outcome.status == "right" for outcome in run_programs(programs, sandbox, LIMITS, first_pass=first_pass)]


def _plain(programs: list[Program]) -> list[bool]:
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(passes_plainly, programs))


def humaneval(path: Path) -> list[Program]:
    """HumanEval's reference solutions with their tests."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return [Program(r["prompt"] + r["canonical_solution"], _tests(r)) for r in rows]


def _tests(row: dict[str, str]) -> str:
    """The tests of a row of HumanEval."""
    return add_helpers(f"{row['test']}\ncheck({row['entry_point']})", row["prompt"])


def mbpp(path: Path) -> list[Program]:
    """The reference solutions of MBPP's test rows (task ids 11 to 510) with their tests."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Program(r["code"], "\n".join([r.get("test_setup_code") or "", *r["test_list"]]))
        for r in rows
        if 11 <= r["task_id"] <= 510
    ]


def evalplus(files: Sequence[Path], path: Path) -> tuple[list[Program], list[bool]]:
    """The programs in EvalPlus's results of HumanEval with HumanEval's tests, and whether its base tests passed."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        tests = {row["task_id"]: _tests(row) for row in map(json.loads, file)}
    attempts = [a for f in files for tried in json.loads(f.read_text())["eval"].values() for a in tried]
    programs = [Program(a["solution"], tests[a["task_id"]]) for a in attempts]
    return programs, [a["base_status"] == "pass" for a in attempts]


def mutated(programs: list[Program], count: int) -> Iterator[Program]:
    """`count` programs with one place changed each."""
    random = python_random(0, "mutants")
    made = 0
    while made < count:
        program = random.choice(programs)
        try:
            tree = ast.parse(program.source)
        except SyntaxError:
            continue
        places = [node for node in ast.walk(tree) if _can_change(node)]
        if not places:
            continue
        _change(random.choice(places))
        made += 1
        yield Program(ast.unparse(tree), program.tests)


def _can_change(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp | ast.BoolOp):
        return type(node.op) in SWAPS
    if isinstance(node, ast.Compare):
        return type(node.ops[0]) in SWAPS
    return isinstance(node, ast.Constant) and type(node.value) is int


def _change(node: Any) -> None:
    if isinstance(node, ast.Compare):
        node.ops[0] = SWAPS[type(node.ops[0])]()
    elif isinstance(node, ast.Constant):
        node.value += 1
    else:
        node.op = SWAPS[type(node.op)]()


def passes_plainly(program: Program) -> bool:
    """Whether a Python process of its own runs the program and its tests to their end, without a sandbox.

    The tests have a namespace of their own that starts as the program's, so that they cannot replace its functions.
    """
    code = f"p = {{'__name__': '__main__'}}\nexec({program.source!r}, p)\nexec({program.tests!r}, dict(p))"
    try:
        done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, timeout=LIMITS.max_seconds)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--humaneval", type=Path, required=True)
    parser.add_argument("--mbpp", type=Path, required=True)
    parser.add_argument("--mutants", type=int, default=1000)
    parser.add_argument("--evalplus", type=Path, nargs="*", default=[])
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()

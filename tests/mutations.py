"""Whether the tests notice if a safeguard is gone: `python -m tests.mutations [--minutes N] [--skip N] [PART…]`.

A safeguard is a flush to the disk, a step that signals must not interrupt, a check of bounds or of the form of a file,
or a check of a checksum. Each is removed in turn from a copy of the package, and the tests of its part must fail. What
is printed: how many were noticed in each part, and those that were not.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = {
    "commit": (
        ["initctl/commit"],
        [
            "tests/commit",
            "tests/execution/test_claiming.py",
            "tests/execution/test_patch.py",
            "tests/execution/test_destination.py",
            "tests/protocol",
        ],
    ),
    "locks": (["initctl/locks.py"], ["tests/commit/test_locks.py", "tests/commit/test_leftovers.py"]),
    "patch": (
        ["initctl/execution/journal.py"],
        ["tests/execution/test_patch_stopped.py", "tests/cli/test_resume.py", "tests/protocol"],
    ),
    "unfinished": (
        ["initctl/formats/unfinished.py"],
        ["tests/cli/test_resume.py", "tests/execution/test_patch_stopped.py"],
    ),
    "checksums": (
        ["initctl/checksums.py"],
        ["tests/test_checksums.py", "tests/execution/test_torch_save.py", "tests/execution/test_patch_stopped.py"],
    ),
    "safetensors": (
        ["initctl/formats/safetensors.py"],
        ["tests/formats/test_safetensors.py", "tests/formats/test_safetensors_fuzz.py", "tests/broken/test_corpus.py"],
    ),
    "json": (["initctl/formats/strict_json.py"], ["tests/formats/test_strict_json.py", "tests/broken/test_corpus.py"]),
    "torch": (
        ["initctl/formats/torch_save"],
        [
            "tests/formats/torch_save",
            "tests/broken/test_corpus.py",
            "tests/fuzz",
            "tests/planning/optimizers/test_resets.py",
        ],
    ),
    "distributed": (
        ["initctl/formats/distributed"],
        ["tests/formats/test_distributed.py", "tests/broken/test_corpus.py"],
    ),
    "directories": (
        ["initctl/formats/directories"],
        [
            "tests/formats/directories",
            "tests/formats/test_resolve.py",
            "tests/broken/test_corpus.py",
            "tests/formats/parts",
        ],
    ),
    "reading": (
        [
            *(f"initctl/formats/{name}.py" for name in ("opening", "resolve", "stored", "listed", "checkpoint")),
            "initctl/formats/parts",
        ],
        [
            *(f"tests/formats/test_{name}.py" for name in ("opening", "resolve", "stored", "checkpoint")),
            "tests/formats/parts",
            "tests/stores",
            "tests/broken/test_corpus.py",
        ],
    ),
    "results": (
        [
            f"initctl/execution/{name}.py"
            for name in (
                "claiming",
                "committing",
                "converting",
                "destination",
                "drafting",
                "rewriting",
                "stale_files",
                "writer",
            )
        ],
        ["tests/execution", "tests/cli/test_outputs.py", "tests/distributed/test_job.py"],
    ),
    "several": (["initctl/distributed", "initctl/execution/uploading.py"], ["tests/distributed", "tests/stores"]),
    "documents": (
        ["initctl/planning/saved.py", "initctl/planning/documents.py", "initctl/manifest", "initctl/recipes"],
        ["tests/planning/test_saved.py", "tests/manifest", "tests/recipes", "tests/broken/test_documents.py"],
    ),
    "signals": (
        ["initctl/undisturbed.py", "initctl/cli/output.py", "initctl/cli/main.py", "initctl/cli/streams.py"],
        ["tests/test_undisturbed.py", *(f"tests/cli/test_{name}.py" for name in ("signals", "outputs", "streams"))],
    ),
}
"""The modules of each part, and the tests that must notice."""
_FLUSHES = ("flush", "sync_directory", "sync")
_HELD_BACK = ("undisturbed", "delayed")
_LONGEST = 600
"""Seconds that the tests of a part may take. Without a safeguard they may take three times as long as with it: a check
may be what prevents an endless loop."""


@dataclass(frozen=True)
class Mutant:
    """A module without one safeguard: its new text, and what is gone."""

    path: Path
    text: str
    gone: str


def modules(place: Path) -> list[Path]:
    """The module at `place`, or all in that directory."""
    return sorted(place.rglob("*.py")) if place.is_dir() else [place]


def mutants(path: Path) -> Iterator[Mutant]:
    """The module at `path` without each of its safeguards."""
    text = path.read_text()
    count = len(list(_safeguards(ast.parse(text))))
    for number in range(count):
        tree = ast.parse(text)
        parent, field, index, node, kind = list(_safeguards(tree))[number]
        line = getattr(node, "lineno", getattr(getattr(node, "context_expr", node), "lineno", 0))
        gone = f"{path.relative_to(ROOT)}:{line}: {kind}: {ast.unparse(node).splitlines()[0][:90]}"
        _remove(parent, field, index, node, kind)
        yield Mutant(path, ast.unparse(ast.fix_missing_locations(tree)), gone)


Found = tuple[ast.AST, str, int | None, ast.AST, str]


def _safeguards(tree: ast.AST) -> Iterator[Found]:
    """Each safeguard: where it is, and its kind."""
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if kind := _kind(node):
                    yield parent, field, index, node, kind


def _kind(node: object) -> str | None:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        name = _name(node.value)
        return "flush" if name in _FLUSHES else "signals" if name == "enter_context" and _holds_back(node) else None
    if isinstance(node, ast.withitem):
        return "signals" if _holds_back(node) else None
    if isinstance(node, ast.If | ast.For) and _refuses(node.body[-1]):
        return "check"
    return None


def _holds_back(node: ast.AST) -> bool:
    """Whether `node` calls what holds back signals."""
    return any(isinstance(below, ast.Call) and _name(below) in _HELD_BACK for below in ast.walk(node))


def _refuses(statement: ast.stmt) -> bool:
    """Whether it raises an error, itself or by a function that does nothing else."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return _name(statement.value).lstrip("_").startswith(("refuse", "fail"))
    return isinstance(statement, ast.Raise)


def _name(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def _remove(parent: ast.AST, field: str, index: int | None, node: ast.AST, kind: str) -> None:
    if isinstance(node, ast.If):
        node.test = ast.BoolOp(ast.And(), [ast.Constant(value=False), node.test])
    elif isinstance(node, ast.For):
        node.iter = ast.Tuple([], ast.Load())
    elif isinstance(node, ast.withitem):
        node.context_expr = ast.parse("__import__('contextlib').nullcontext([])", mode="eval").body
    else:
        assert index is not None
        getattr(parent, field)[index] = ast.Pass()


def is_noticed(mutant: Mutant, tests: list[str], copy: Path, longest: float) -> bool:
    """Whether `tests` fail, or take over `longest` seconds, with the mutant in a `copy` of the project."""
    place = copy / mutant.path.relative_to(ROOT)
    before = place.read_text()
    place.write_text(mutant.text)
    try:
        return not passes(tests, copy, longest)
    finally:
        place.write_text(before)


def passes(tests: list[str], copy: Path, longest: float) -> bool:
    """Whether `tests` pass with the package of a `copy` of the project, which programs started by the tests use too."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-cov", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.Popen(
        command, cwd=copy, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        return run.wait(longest) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)  # with the programs that the tests started
        run.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[], help="default: all")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of the order (default: 0)")
    parser.add_argument("--skip", type=int, default=0, help="leave out so many of each part, which another run tried")
    asked = parser.parse_args()
    end = time.monotonic() + 60 * asked.minutes
    unnoticed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", "__pycache__"))
        for part in asked.parts or PARTS:
            places, tests = PARTS[part]
            start = time.monotonic()
            if not passes(tests, copy, _LONGEST):
                sys.exit(f"The tests of {part} fail, or take over {_LONGEST} s, with every safeguard in place.")
            longest = 30 + 3 * (time.monotonic() - start)
            found = [mutant for place in places for path in modules(ROOT / place) for mutant in mutants(path)]
            random.Random(asked.seed).shuffle(found)
            found = found[asked.skip :]
            tried = noticed = 0
            try:
                for mutant in found:
                    if time.monotonic() > end:
                        break
                    if is_noticed(mutant, tests, copy, longest):
                        noticed += 1
                    else:
                        unnoticed.append(mutant.gone)
                        print(f"not noticed: {mutant.gone}", flush=True)
                    tried += 1
            finally:  # if it is interrupted, what was tried until then counts
                print(f"{part:12} {len(found):4} safeguards, {tried:4} removed, {noticed:4} noticed", flush=True)
    return bool(unnoticed)


if __name__ == "__main__":
    sys.exit(main())

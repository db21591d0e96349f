"""`python -m tests.field [LIBRARY…]`: the table of libraries and layouts.

Each library writes its layouts afresh, initctl runs on them as people run it, and the library's own loader loads the
result. The table says how many tensors that loader then has otherwise than before, and whether these are the ones that
must be. Libraries that are not installed are left out. `--json FILE` appends the rows to a file.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import importlib
import importlib.metadata
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tests.field.make import DISTRIBUTIONS
from tests.field.trees import bits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from tests.field.layout import Job, Layout

_HEADS = ("library", "layout", "command", "status", "loaded by", "changed", "as it was", "verdict")


@dataclass(frozen=True)
class Row:
    """One line of the table: a job on a layout, and what came of it."""

    library: str
    layout: str
    job: str
    command: str
    status: int
    loader: str
    changed: str
    kept: str
    verdict: str
    words: str

    @property
    def cells(self) -> tuple[str, ...]:
        return (
            self.library,
            self.layout,
            self.command,
            str(self.status),
            self.loader,
            self.changed,
            self.kept,
            self.verdict,
        )


def rows(library: str) -> Iterator[Row]:
    """The rows of every job on every layout of `library`."""
    module = importlib.import_module(f"tests.field.make.{library}")
    for layout in module.LAYOUTS:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            os.mkdir("made")
            checkpoint = layout.write("made").checkpoint
            before = _loaded(layout, os.path.join("made", checkpoint))
            yield from (_row(library, layout, job, checkpoint, before) for job in layout.jobs)


def _row(library: str, layout: Layout, job: Job, checkpoint: str, before: Mapping[str, Tensor]) -> Row:
    shutil.rmtree("work", ignore_errors=True)
    shutil.copytree("made", "work", symlinks=True)
    given = os.path.join("work", checkpoint) if checkpoint else "work"
    result = given if job.output is None else os.path.join("work" if checkpoint else "", job.output)
    where = ["--in-place"] if job.output is None else ["-o", result]
    if where[0] == "-o":
        shutil.rmtree(result, ignore_errors=True)
    ran = _initctl("apply", given, *where, *job.arguments)
    command = " ".join(["apply", *where, *job.arguments])
    name = f"{library} {_version(library)}" + (" (by hand)" if layout.by_hand else "")
    facts = (name, layout.name, job.title, command, ran.returncode, layout.loader)
    return Row(*facts, *_outcome(layout, job, ran, result, before), ran.stderr)


def _initctl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "initctl", *arguments, "-q"], capture_output=True, text=True, check=False
    )


def _outcome(
    layout: Layout, job: Job, ran: subprocess.CompletedProcess[str], result: str, before: Mapping[str, Tensor]
) -> tuple[str, str, str]:
    """What changed, what did not, and whether that is as it must be."""
    if ran.returncode:
        fits = job.refused is not None and job.refused in ran.stderr
        return "-", "all", "refused, as it must be" if fits else f"FAULT: {ran.stderr.strip().splitlines()[-1]}"
    if job.refused is not None:
        return "?", "?", f"FAULT: not refused for {job.refused}"
    try:
        after = _loaded(layout, result)
    except Exception as error:
        traceback.print_exc()
        return "?", "?", f"FAULT: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return _compared(job, before, after, ran.stderr)


def _compared(job: Job, before: Mapping[str, Tensor], after: Mapping[str, Tensor], words: str) -> tuple[str, str, str]:
    changed = {name for name in before if name not in after or bits(before[name]) != bits(after[name])}
    wanted = {name for name in before if any(fnmatch.fnmatchcase(name, pattern) for pattern in job.changes)}
    wanted -= {name for name in wanted - changed if not before[name].any()}  # zeros that were set to zero
    faults = [f"{name} stayed" for name in sorted(wanted - changed)] + [
        f"{name} changed" for name in sorted(changed - wanted)
    ]
    faults += [f"{name} is new" for name in sorted(set(after) - set(before))]
    if job.warned is not None and job.warned not in words:
        faults.append(f"no warning of {job.warned}")
    if job.warned is None and "warning" in words:
        faults.append("warned: " + words.strip().splitlines()[0])
    verdict = (
        "FAULT: " + ", ".join(faults[:4]) + (f" and {len(faults) - 4} more" if len(faults) > 4 else "")
        if faults
        else "right"
    )
    return f"{len(changed)} tensors" if changed else "none", f"{len(before) - len(changed)} tensors", verdict


def _loaded(layout: Layout, path: str) -> dict[str, Tensor]:
    """Copies of what the library's loader loads; it may print nothing."""
    with contextlib.redirect_stdout(io.StringIO()):
        return {name: tensor.detach().clone() for name, tensor in layout.load(path).items()}


def _version(library: str) -> str:
    return importlib.metadata.version(DISTRIBUTIONS[library])


def table(found: list[Row]) -> str:
    """`found` as a table of Markdown."""
    lines = [_HEADS, tuple("---" for _ in _HEADS), *(row.cells for row in found)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.field", description=__doc__)
    parser.add_argument("libraries", nargs="*", help="those alone")
    parser.add_argument("--json", help="append the rows to this file, a line each")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    found = []
    for library in asked.libraries or DISTRIBUTIONS:
        try:
            importlib.import_module(f"tests.field.make.{library}")
        except ImportError as error:
            print(f"{library}: not installed: {error}", file=sys.stderr)
            continue
        for row in rows(library):
            found.append(row)
            print(f"{row.library} {row.layout}: {row.job}: {row.verdict}", file=sys.stderr)
            if asked.json:
                with open(asked.json, "a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(row)) + "\n")
    print(table(found))
    sys.exit(any(row.verdict.startswith("FAULT") for row in found))


if __name__ == "__main__":
    main()

"""`python -m tests.bench`: the table, on stdout as Markdown, and as JSON where a file is named."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.machine import description
from tests.bench.rows import GIGABYTE, ROWS, Bench, Result, growth

HEADING = "| work | against | ours | theirs | measured | at most |\n|---|---|---|---|---|---|"


def main() -> int:
    """Measure what is asked for; 1 where a limit is not kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure what initctl costs.")
    parser.add_argument(
        "rows", nargs="*", choices=[[], *ROWS], help=f"of {', '.join(ROWS)}; default: all", metavar="ROW"
    )
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each side (default: 7)")
    parser.add_argument("--size", type=float, default=2, help="GB of the large checkpoint (default: 2)")
    parser.add_argument("--growth", action="store_true", help="also a quarter of the size and four times the size")
    parser.add_argument("--folder", type=Path, help="where files go and stay (default: a temporary directory)")
    parser.add_argument("--json", type=Path, help="a file that gets the results as JSON")
    options = parser.parse_args()
    machine = description()
    print(", ".join(f"{name} {value}" for name, value in machine.items()), HEADING, sep="\n\n")
    with TemporaryDirectory(prefix="initctl-bench-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        results = list(
            measured(Bench(folder, options.runs, options.size * GIGABYTE), options.rows, grown=options.growth)
        )
    if options.json:
        content = {"machine": machine, "rows": [{**asdict(result), "met": result.is_met} for result in results]}
        options.json.write_text(json.dumps(content, indent=2) + "\n")
    return int(not all(result.is_met for result in results))


def measured(bench: Bench, names: list[str], *, grown: bool):
    """Each result as soon as it is there, printed."""
    for name in names or ROWS:
        yield told(ROWS[name](bench))
    if grown:
        yield from map(told, growth(bench))


def told(result: Result) -> Result:
    theirs = "" if result.theirs is None else f"{result.theirs:.3g} {result.unit}"
    sign = "" if result.theirs is None else " ×"
    limit = "" if result.limit is None else f"{result.limit:g}{sign}{'' if result.is_met else ' (not met)'}"
    print(
        f"| {result.work} | {result.against} | {result.ours:.3g} {result.unit} | {theirs} "
        f"| {result.measured:.3g}{sign} | {limit} |",
        flush=True,
    )
    return result


if __name__ == "__main__":
    sys.exit(main())

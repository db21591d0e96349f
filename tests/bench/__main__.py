"""`python -m tests.bench`: the table, on stdout as Markdown, and as JSON where a file is named."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.bench import GIGABYTE, Bench
from tests.bench.machine import description
from tests.bench.result import HEADING, Result
from tests.bench.rows import ROWS, growth


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
        content = {"machine": machine, "rows": [result.to_json() for result in results]}
        options.json.write_text(json.dumps(content, indent=2) + "\n")
    return int(not all(result.is_met for result in results))


def measured(bench: Bench, names: list[str], *, grown: bool):
    """Each result as soon as it is there, printed."""
    for name in names or ROWS:
        yield told(ROWS[name](bench))
    if grown:
        yield from map(told, growth(bench))


def told(result: Result) -> Result:
    print(result.row, flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())

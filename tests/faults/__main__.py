"""`python -m tests.faults`: see the package."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.faults.injecting import is_possible
from tests.faults.scenarios import SCENARIOS
from tests.faults.sweeping import Sweep


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="default: all")
    parser.add_argument("--minutes", type=float, default=10, help="the most time to take (default: 10)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="the order of the faults")
    given = parser.parse_args()
    if fault := is_possible():
        print(f"no fault can be injected: {fault}", file=sys.stderr)
        return 2
    chosen = [scenario for scenario in SCENARIOS if not given.scenarios or scenario.name in given.scenarios]
    print(f"seed {given.seed}")
    with tempfile.TemporaryDirectory() as folder:
        sweep = Sweep(chosen, Path(folder) / "work", given.seed)
        try:
            sweep.run(seconds=60 * given.minutes)
        finally:
            print(*sweep.found, *sweep.table(), sep="\n", flush=True)
    return bool(sweep.found)


if __name__ == "__main__":
    sys.exit(main())

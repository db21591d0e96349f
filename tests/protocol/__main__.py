"""`python -m tests.protocol`: every fault at every call of every kind of result; prints a table."""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from pathlib import Path

import initctl
from tests.protocol.faults import KINDS, sweep
from tests.protocol.scenarios import SCENARIOS, Stage


def main() -> int:
    warnings.simplefilter("ignore", initctl.InitctlWarning)
    chosen = sys.argv[1:] or list(SCENARIOS)
    started, total, all_violations = time.monotonic(), 0, []
    print(f"{'':34}" + "".join(f"{kind[:8]:>9}" for kind in KINDS))
    for name in chosen:
        with tempfile.TemporaryDirectory() as folder:
            stage = Stage(SCENARIOS[name], Path(folder) / "play")
            cells = []
            for kind in KINDS:
                runs, violations = sweep(stage, kind)
                total += runs
                all_violations += [f"{name}: {violation}" for violation in violations]
                cells.append(f"{runs}" + (f"!{len(violations)}" if violations else ""))
            print(f"{name:34}" + "".join(f"{cell:>9}" for cell in cells), flush=True)
    print(*all_violations, sep="\n")
    print(f"{total:,} faults, {len(all_violations)} violations, {time.monotonic() - started:.0f} s")
    return bool(all_violations)


if __name__ == "__main__":
    sys.exit(main())

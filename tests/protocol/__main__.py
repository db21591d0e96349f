"""`python -m tests.protocol`: every fault at every call of every kind of result; prints a table.

Then the same on file systems that refuse some of the calls, for results that they can hold.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from pathlib import Path

import initctl
from tests.protocol.faults import KINDS, sweep
from tests.protocol.refusals import PROFILES
from tests.protocol.scenarios import SCENARIOS, Stage


def main() -> int:
    warnings.simplefilter("ignore", initctl.InitctlWarning)
    chosen = sys.argv[1:] or list(SCENARIOS)
    started, total, all_violations = time.monotonic(), 0, []
    print(f"{'':44}" + "".join(f"{kind[:8]:>9}" for kind in KINDS))
    for name in chosen:
        for place in ("", *PROFILES):
            title = f"{name}, {place}".rstrip(", ")
            with tempfile.TemporaryDirectory() as folder:
                stage = Stage(SCENARIOS[name], Path(folder) / "play")
                stage.refusals = PROFILES.get(place, {})
                if not _is_possible(stage):
                    continue
                cells = []
                for kind in KINDS:
                    runs, violations = sweep(stage, kind)
                    total += runs
                    all_violations += [f"{title}: {violation}" for violation in violations]
                    cells.append(f"{runs}" + (f"!{len(violations)}" if violations else ""))
                print(f"{title:44}" + "".join(f"{cell:>9}" for cell in cells), flush=True)
    print(*all_violations, sep="\n")
    print(f"{total:,} faults, {len(all_violations)} violations, {time.monotonic() - started:.0f} s")
    return bool(all_violations)


def _is_possible(stage: Stage) -> bool:
    stage.begin()
    try:
        stage.play()
    except initctl.InitctlError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())

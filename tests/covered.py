"""Whether the tests run every line and branch of what must not fail: `python -m tests.covered [ARGUMENT of pytest…]`.

That is how results are committed, and every reader. It takes twice as long as the tests alone.
"""

from __future__ import annotations

import subprocess
import sys

COVERED = ("commit", "formats")
RUN = ["pytest", "-q", "-n", "auto", "--cov=initctl", "--cov-branch", "--cov-report=", "--cov-fail-under=0"]


def main() -> int:
    """Run the tests, and then list what is missing. Returns 0 if nothing is."""
    status = subprocess.run([sys.executable, "-m", *RUN, *sys.argv[1:]], check=False).returncode
    include = ",".join(f"initctl/{package}/*" for package in COVERED)
    report = ["coverage", "report", "--fail-under=100", "--show-missing", "--skip-covered", f"--include={include}"]
    return subprocess.run([sys.executable, "-m", *report], check=False).returncode or status


if __name__ == "__main__":
    sys.exit(main())

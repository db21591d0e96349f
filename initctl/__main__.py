"""`initctl`, and `python -m initctl`. A signal that comes while the command line is loaded ends it without a word."""

from __future__ import annotations

import gc
import os
import signal
from typing import NoReturn

_COLLECTED_AFTER = 100_000
"""New objects: modules and tables of many tensors hold hardly a cycle, and each collection would walk all of them."""
_SHORTEST_WAIT = "4"
"""The logarithm of what NumPy's threads wait for work in a loop, in clock cycles: by default that is 26, and takes a
processor from the start of every command, long before there is work for them.
"""


def main() -> NoReturn:
    """Run the command line and end the process with its exit status."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.set_threshold(_COLLECTED_AFTER)
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", _SHORTEST_WAIT)
    from initctl.cli.main import main as run

    try:
        run()
    finally:
        gc.freeze()  # nothing that is left needs to be walked before the process ends


if __name__ == "__main__":
    main()

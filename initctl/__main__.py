"""`initctl` and `python -m initctl`. A signal that arrives while the command line loads ends it silently."""

from __future__ import annotations

import gc
import os
import signal

TYPE_CHECKING = False
"""As in `typing`, whose import takes long: until `main` is called, a signal makes Python write a traceback."""

if TYPE_CHECKING:
    from typing import NoReturn

_COLLECTED_AFTER = 100_000
"""New objects: modules and tables of tensors have hardly any cycles, and each collection would walk all of them."""
_SHORTEST_WAIT = "4"
"""The logarithm of the clock cycles that NumPy's threads wait for work in a loop. With the default, 26, they occupy
processors from the start of every command, long before there is work for them.
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
        gc.freeze()  # the process ends: no need to walk what is left


if __name__ == "__main__":
    main()

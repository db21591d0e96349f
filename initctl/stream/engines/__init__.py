"""What computes: the reference, and what gives its bits sooner, one resolver that can say why it chose.

    engine.py         the reference: plain NumPy
    joined.py         the reference for many small tensors at once
    compiled.py       loops that Numba compiled: the same bits, thirty times as fast
    batch.py          runs of laws as the tables that one call of a loop takes
    kernels           those loops
    abi.py            what they and their callers agree on
    object_code.py    their machine code: made once, cached, loaded without Numba
    device.py         torch operations, on a GPU: the same bits
    moments.py        what stored numbers come to
    distances.py      how far apart stored numbers are
    selfcheck.py      an engine held to the reference, before it is used
    choosing.py       which of them does a piece of work, and why

Which engine computes a value never shows in it: all give the same bits, and the tests hold them to it. The QR
decomposition alone is equal to rounding only.
"""

from initctl.stream.engines.choosing import Choice, Work, choose
from initctl.stream.engines.distances import Distance
from initctl.stream.engines.engine import Engine, LawRun, Unusable
from initctl.stream.engines.moments import Moments

__all__ = ["Choice", "Distance", "Engine", "LawRun", "Moments", "Unusable", "Work", "choose"]

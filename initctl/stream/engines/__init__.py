"""Engines: they compute values. The reference, faster engines with the same bits, and the choice between them.

    engine.py         the reference: plain NumPy
    joined.py         the reference for many small tensors at once
    compiled.py       loops that Numba compiled: the same bits, thirty times as fast
    batch.py          runs of laws as tables of numbers for one call of a loop
    kernels           these loops
    abi.py            constants and memory layouts that loops and callers share
    object_code.py    their machine code: made once, cached, loaded without Numba
    device.py         torch operations, on a GPU: the same bits
    moments.py        moments, extremes and counts of stored numbers
    distances.py      distances between stored numbers
    selfcheck.py      comparison of an engine with the reference, before it is used
    choosing.py       which engine does a piece of work, and why

All engines give the same bits, which tests check. Only QR decompositions may differ by rounding.
"""

from initctl.stream.engines.choosing import Choice, Work, choose
from initctl.stream.engines.distances import Distance
from initctl.stream.engines.engine import Engine, LawRun, Unusable
from initctl.stream.engines.moments import Moments

__all__ = ["Choice", "Distance", "Engine", "LawRun", "Moments", "Unusable", "Work", "choose"]

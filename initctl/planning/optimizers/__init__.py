"""Optimizer state of filled tensors: reset, or warned of.

resets.py       the actions that reset the state of filled tensors to its initial values
matching.py     which parameter of an optimizer each tensor is
remembering.py  optimizers and copies that hold old values of filled tensors, in the checkpoint and in files beside it
refusing.py     why an optimizer is not reset
"""

from initctl.planning.optimizers.remembering import old_values_kept, with_optimizers_beside
from initctl.planning.optimizers.resets import Resets, resets

__all__ = ["Resets", "old_values_kept", "resets", "with_optimizers_beside"]

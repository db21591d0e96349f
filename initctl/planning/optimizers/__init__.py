"""What optimizers remember of tensors that are filled: set back, or warned of.

resets.py       the states of filled tensors, set back to where they began
matching.py     which parameter of an optimizer each tensor is
beginnings.py   what a state begins at
other_files.py  optimizers in other files of the checkpoint
old_values.py   what keeps the old values of filled tensors, if nothing is set back
refusing.py     why nothing is set back
"""

from initctl.planning.optimizers.old_values import old_values_kept
from initctl.planning.optimizers.other_files import with_optimizers_beside
from initctl.planning.optimizers.resets import Resets, resets

__all__ = ["Resets", "old_values_kept", "resets", "with_optimizers_beside"]

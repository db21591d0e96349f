"""What optimizers remember of tensors that are filled: set back, or warned of.

resets.py       the states of filled tensors, set back to where they began
matching.py     which parameter of an optimizer each tensor is
beginnings.py   what a state begins at
beside.py       optimizers in other files of the checkpoint
copies.py       copies of parameters that training goes on from
refusing.py     why nothing is set back
"""

from initctl.planning.optimizers.beside import with_optimizers_beside
from initctl.planning.optimizers.copies import old_values_kept
from initctl.planning.optimizers.resets import Resets, resets

__all__ = ["Resets", "old_values_kept", "resets", "with_optimizers_beside"]

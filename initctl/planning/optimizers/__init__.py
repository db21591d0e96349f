"""What optimizers remember of tensors that are filled: set back, or warned of.

resets.py       the states of filled tensors, set back to where they began
matching.py     which parameter of an optimizer each tensor is
remembering.py  what remembers filled tensors as they were, here and in files beside
refusing.py     why nothing is set back
"""

from initctl.planning.optimizers.remembering import old_values_kept, with_optimizers_beside
from initctl.planning.optimizers.resets import Resets, resets

__all__ = ["Resets", "old_values_kept", "resets", "with_optimizers_beside"]

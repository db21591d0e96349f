"""In what two checkpoints differ, whatever their formats, shards and roots are.

checkpoints.py  two checkpoints → all that differs
pairing.py      which tensors, and which other files, are held against each other
metadata.py     what files say beside tensors
comparing.py    pairs → what changed in each: bytes first, then numbers
changes.py      what changed in a run of elements
tensor.py       one tensor that differs
result.py       all that differs, as a table and as data
"""

from initctl.differences.checkpoints import differences
from initctl.differences.result import Differences

__all__ = ["Differences", "differences"]

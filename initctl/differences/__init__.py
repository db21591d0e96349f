"""The differences between two checkpoints, which may have different formats, shards and roots.

checkpoints.py  two checkpoints → all differences
pairing.py      which tensors, and which other files, are compared with each other
metadata.py     metadata and other contents of files
comparing.py    pairs → what changed in each: bytes first, then numbers
changes.py      what changed in a run of elements
tensor.py       one tensor that differs
result.py       all differences, as a table and as data
"""

from initctl.differences.checkpoints import differences
from initctl.differences.result import Differences

__all__ = ["Differences", "differences"]

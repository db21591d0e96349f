"""What checkpoints hold, read as bytes or numbers by several threads.

reader.py  bytes of tensors, by element index
old.py     numbers of the tensors that a plan fills from what is there
"""

from initctl.reading.old import olds
from initctl.reading.reader import TensorReader, read_array, read_tile

__all__ = ["TensorReader", "olds", "read_array", "read_tile"]

"""The bytes of what a plan fills, computed in parts and by several threads, wherever they go from here.

filler.py     spans of a tensor's elements, and who computes them
ranges.py     which bytes of a file are computed, and which are kept
runs.py       where elements follow each other both in a tensor and in its file; tiles
order.py      how the elements of a tile lie in its file
reader.py     what tensors hold, by element index
engines.py    the engines that a plan needs
checksums.py  whether checksums that a file holds of its own content are right
memory.py     whether what must be computed at once fits the memory
workers.py    pieces over threads, with progress
events.py     what is told while it goes on
"""

from initctl.filling.engines import choose_engines
from initctl.filling.events import Chosen, Progress
from initctl.filling.filler import PREPARED, Filler, Span, Target
from initctl.filling.memory import check_memory
from initctl.filling.reader import TensorReader, olds
from initctl.filling.workers import Piece, Workers

__all__ = [
    "PREPARED",
    "Chosen",
    "Filler",
    "Piece",
    "Progress",
    "Span",
    "Target",
    "TensorReader",
    "Workers",
    "check_memory",
    "choose_engines",
    "olds",
]

"""Which bytes of a file hold which elements of a tensor: arithmetic on places, without a file.

ranges.py  ranges of a file's bytes
runs.py    elements that follow each other both in a tensor and in its file; tiles of a block
boxes.py   elements that follow each other in a tensor, as rectangles
order.py   how the elements of a tile follow each other in its file; needs NumPy, and is imported where it is used
"""

from initctl.layout.boxes import Box, boxes
from initctl.layout.ranges import ByteRange, common, covered, joined, overlap, total, uncovered
from initctl.layout.runs import Run, runs, tiles

__all__ = [
    "Box",
    "ByteRange",
    "Run",
    "boxes",
    "common",
    "covered",
    "joined",
    "overlap",
    "runs",
    "tiles",
    "total",
    "uncovered",
]

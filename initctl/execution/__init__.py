"""Plan → bytes in place: kept bytes copied, ruled bytes computed, in pieces, by several threads; then one commit.

execute.py        where to, and by whom
rewriting.py      the input's own format: to a new path, in place, patched
converting.py     another format: new safetensors files
writer.py         what both need
outputs.py        which of both an output path asks for
destination.py    what an output path means for a checkpoint, and when it is refused
memory.py         whether what must be computed at once fits the memory
engines.py        the engines that a plan needs
content.py        what a file of the result is made of
ranges.py         which bytes are computed, and which are kept
runs.py           where elements follow each other both in a tensor and in its file
pieces.py         a file's content as pieces that can be written in any order
strided.py        pieces of tensors that lie in another order, or with gaps
checksums.py      checksums that a file holds of its own content
workers.py        pieces over threads, with progress
events.py         what is told while it goes on
result.py         what it comes to
"""

from initctl.execution.events import Chosen, Committed, Event, Progress
from initctl.execution.execute import execute
from initctl.execution.outputs import Conversion, conversion_to
from initctl.execution.result import Written

__all__ = ["Chosen", "Committed", "Conversion", "Event", "Progress", "Written", "conversion_to", "execute"]

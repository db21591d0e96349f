"""Plan → bytes in place: kept bytes copied, ruled bytes computed, in tasks, by several threads; then one commit.

execute.py        where to, and by whom
rewriting.py      the input's own format: to a new path, in place, patched
converting.py     another format, or other shards: new files
writer.py         what both need
outputs.py        which of both an output path asks for
endings.py        what the ending of a file's name says of its format
destination.py    what an output path means for a checkpoint, and when it is refused
carried.py        which other files of a directory go along
content.py        what a file of the result is made of
tasks.py          a file's content as tasks that can be run in any order
strided.py        tasks for tensors that are in another order, or with gaps
result.py         what was written
"""

from initctl.events import Chosen, Committed, Event, Progress
from initctl.execution.carried import Carried, carried
from initctl.execution.execute import execute
from initctl.execution.outputs import Conversion, outcome_at
from initctl.execution.result import Written

__all__ = [
    "Carried",
    "Chosen",
    "Committed",
    "Conversion",
    "Event",
    "Progress",
    "Written",
    "carried",
    "execute",
    "outcome_at",
]

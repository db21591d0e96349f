"""Plan → bytes in place: kept bytes copied, ruled bytes computed, in tasks, by several threads; then one commit.

execute.py        where to, and by whom
outputs.py        which kind of checkpoint an output path asks for
endings.py        what the ending of a file's name says of its format
destination.py    what an output path means for a checkpoint, and when it is refused
carried.py        which other files of a directory go along
content.py        what the files of a result are made of
rewriting.py      the input's own files, written anew or patched
converting.py     another format, or other shards: new files
writer.py         what writes any of these
tasks.py          a file's content as tasks that can be run in any order
strided.py        tasks for tensors that are in another order, or with gaps
"""

from initctl.events import Chosen, Committed, Event, Progress
from initctl.execution.carried import Carried, carried
from initctl.execution.execute import Written, execute
from initctl.execution.outputs import Conversion, outcome_at

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

"""Carry out a plan: copy what is kept, compute what rules fill, in tasks by several threads; then commit in one step.

delivery.py       a plan, and how its result is delivered
execute.py        starts the workers, and writes the result
drafting.py       what is written, and where
output_format.py  the format of a result, by the ending of its path
destination.py    the real path and the permissions of a result; what must not be replaced
stale_files.py    which other files of a directory are copied too
content.py        what the files of a result are made of
claiming.py       other processes kept out, and what killed ones left
journal.py        the plan of a patch, kept while it overwrites
rewriting.py      the input's own files, written anew or patched
resizing.py       the files of a checkpoint whose tensors get other shapes
converting.py     new files in another format, or in other shards
writer.py         writes any of these
uploading.py      writes any of these to a store
committing.py     writes any of these to a store as one commit
objects.py        which objects a result becomes there, and in which order
parcels.py        in which parts an object is uploaded
sending.py        sends them, while the next ones are made
tasks.py          a file's content as tasks that can run in any order
"""

from initctl.execution.delivery import Delivery
from initctl.execution.execute import execute, would_replace
from initctl.execution.output_format import Conversion, FormatChoice, decide_format
from initctl.execution.resizing import check_resizable
from initctl.execution.stale_files import decide_stale

__all__ = [
    "Conversion",
    "Delivery",
    "FormatChoice",
    "check_resizable",
    "decide_format",
    "decide_stale",
    "execute",
    "would_replace",
]

"""Plan → bytes in place: kept bytes copied, ruled bytes computed, in tasks, by several threads; then one commit.

execute.py        chooses how the result is written, and starts the workers
output_format.py  in which format a result is written, by the ending of its path
destination.py    the real path and the permissions of a result; refuses to replace what must stay
stale_files.py    which other files of a directory are copied too
content.py        what the files of a result are made of
rewriting.py      the input's own files, written anew or patched
converting.py     another format, or other shards: new files
writer.py         what writes any of these
tasks.py          a file's content as tasks that can be run in any order
"""

from initctl.execution.execute import execute
from initctl.execution.output_format import Conversion, FormatChoice, decide_format
from initctl.execution.stale_files import decide_stale

__all__ = ["Conversion", "FormatChoice", "decide_format", "decide_stale", "execute"]

"""A checkpoint that was not there: a table without values, from one of three sources, which rules then fill.

creating.py         the whole way: a source, a plan, the files
sources.py          which source a caller names
target.py           where the result goes, and how it is laid out
template.py         a table to fill, and what goes along with it
from_checkpoint.py  the table of another checkpoint
from_table.py       the table that `inspect --json` writes
from_config.py      the table of the model that a config.json describes
created.py          the result
"""

from initctl.creating.created import Created
from initctl.creating.creating import create
from initctl.creating.sources import Source, source_of
from initctl.creating.target import Target

__all__ = ["Created", "Source", "Target", "create", "source_of"]

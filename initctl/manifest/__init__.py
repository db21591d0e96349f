"""What a plan changes, in numbers.

measuring.py  a plan → what tensors hold before and after
computed.py   what a plan fills, read as if it were in files
changes.py    what each tensor holds before and after, as a table and as data
"""

from initctl.manifest.changes import Change, Changes
from initctl.manifest.measuring import measured_changes

__all__ = ["Change", "Changes", "measured_changes"]

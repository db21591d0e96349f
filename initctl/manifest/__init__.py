"""What a plan changes, in numbers; and a manifest of what was done, by which a result can be checked later.

measuring.py  a plan → what tensors hold before and after
computed.py   what a plan fills, read as if it were in files
changes.py    what each tensor holds before and after, as a table and as data
making.py     what was applied → the manifest's document
digests.py    SHA-256 of tensors and of files
statement.py  the manifest: an in-toto statement, written to a file and checked against a checkpoint
attested.py   what it says of a result that a checkpoint can be compared with
reading.py    a manifest's file → its document, proven
checking.py   whether a checkpoint is as a manifest says
"""

from initctl.manifest.changes import Change, Changes
from initctl.manifest.checking import ManifestCheck
from initctl.manifest.making import manifest_of
from initctl.manifest.measuring import measured_changes
from initctl.manifest.statement import Manifest

__all__ = ["Change", "Changes", "Manifest", "ManifestCheck", "manifest_of", "measured_changes"]

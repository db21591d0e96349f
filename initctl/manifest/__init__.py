"""What a plan changes, in numbers; and a manifest of what was done, with which a result can be checked later.

measuring.py  a plan → statistics of its tensors before and after
computed.py   the values of a plan, read as if they were in files
changes.py    statistics of each tensor before and after, as a table and as data
making.py     what was applied → the manifest's document
digests.py    SHA-256 of tensors and of files
statement.py  the manifest: an in-toto statement, written to a file and checked against a checkpoint
attested.py   the part of a manifest that a checkpoint is compared with
reading.py    a manifest's file → its document, validated
checking.py   whether a checkpoint matches a manifest
"""

from initctl.manifest.changes import Change, Changes
from initctl.manifest.checking import ManifestCheck
from initctl.manifest.making import manifest_of
from initctl.manifest.measuring import measured_changes
from initctl.manifest.statement import Manifest

__all__ = ["Change", "Changes", "Manifest", "ManifestCheck", "manifest_of", "measured_changes"]

"""Check what a checkpoint holds. Nothing is changed.

verify.py         whether it holds exactly what rules give
verification.py   the outcome, and the differences
comparison.py     elements of tensors, compared with the expected ones
result.py         reads a checkpoint in the same way as the one that it was made from
layout.py         compares the layout of its files with the original's, and finds its tensors
untouched.py      bytes that no rule fills
renewed.py        headers, an index and a config.json that are written anew
damage.py         checksums that are wrong although the content is right
"""

from initctl.audit.result import read_result
from initctl.audit.verification import Difference, FileDifference, Lost, Verification
from initctl.audit.verify import verify_plan

__all__ = ["Difference", "FileDifference", "Lost", "Verification", "read_result", "verify_plan"]

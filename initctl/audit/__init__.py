"""What a checkpoint holds, looked at and never changed.

verify.py         whether it holds exactly what rules give
verification.py   the outcome, and what is not as it should be
comparison.py     elements of tensors as they should be and as they are
result.py         a checkpoint that came of another, read as that was
layout.py         how its files are laid out beside those that they were made from, and where its tensors are
untouched.py      what files hold beside what is filled
damage.py         checksums that are wrong though the content is right
"""

from initctl.audit.result import read_result
from initctl.audit.verification import Difference, FileDifference, Lost, Verification
from initctl.audit.verify import verify_plan

__all__ = ["Difference", "FileDifference", "Lost", "Verification", "read_result", "verify_plan"]

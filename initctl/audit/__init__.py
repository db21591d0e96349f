"""What a checkpoint holds, looked at and never changed.

verify.py         whether it holds exactly what rules give
verification.py   what that came to
comparison.py     elements of tensors as they should be and as they are
differences.py    what is not as it should be
layout.py         how its files are laid out beside what they came of
placement.py      where a result holds the tensors of what it came of
untouched.py      what files hold beside what is filled
checksums.py      whether checksums of what is filled are right
"""

from initctl.audit.differences import Difference, FileDifference, Lost
from initctl.audit.verification import Verification
from initctl.audit.verify import verify_plan

__all__ = ["Difference", "FileDifference", "Lost", "Verification", "verify_plan"]

"""What a checkpoint holds, looked at and never changed.

verify.py       whether it holds exactly what rules give
comparison.py   elements of tensors as they should be and as they are
rest.py         what files hold beside tensors, and other files
"""

from initctl.audit.comparison import Difference
from initctl.audit.rest import FileDifference
from initctl.audit.verify import Verification, verify_plan

__all__ = ["Difference", "FileDifference", "Verification", "verify_plan"]

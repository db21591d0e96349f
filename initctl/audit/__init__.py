"""What a checkpoint holds, looked at and never changed.

verify.py     whether it holds exactly what rules give
"""

from initctl.audit.verify import Difference, Verification, verify_plan

__all__ = ["Difference", "Verification", "verify_plan"]

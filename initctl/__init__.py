"""Initialize the weights of a saved checkpoint, reproducibly, and leave everything else as it is.

    import initctl

    plan = initctl.plan("model.safetensors", rules=["*.bias=zeros"], seed=0)
    initctl.apply(plan, "out.safetensors")
    assert initctl.verify(plan, "out.safetensors")

Importing it imports neither torch nor rich.
"""

from initctl.api import Applied, apply, effective_recipe, inspect, load_plan, plan, verify
from initctl.errors import (
    ConflictError,
    FitError,
    InitctlError,
    InputError,
    Problem,
    RuleError,
    StorageError,
    UncertainError,
    UsageError,
)

__version__ = "0.1.0"

__all__ = [
    "Applied",
    "ConflictError",
    "FitError",
    "InitctlError",
    "InputError",
    "Problem",
    "RuleError",
    "StorageError",
    "UncertainError",
    "UsageError",
    "__version__",
    "apply",
    "effective_recipe",
    "inspect",
    "load_plan",
    "plan",
    "verify",
]

"""Initialize the weights of a saved checkpoint, reproducibly, and leave everything else unchanged.

    import initctl

    plan = initctl.plan("model.safetensors", rules=["*.bias=zeros"], seed=0)
    initctl.apply(plan, "out.safetensors")
    assert initctl.verify(plan, "out.safetensors")

    plan, load_plan         what would be done to a checkpoint, tensor by tensor
    apply                   do it
    parts                   do it by several processes, each a part
    new                     the same for a checkpoint that is not there yet
    init_, param_init_fn    do it to a model in memory, in place; or to its modules, one by one
    verify, load_manifest   whether a checkpoint holds what a plan, or a report, says
    inspect, stats, diff    what checkpoints hold
    changes                 what a plan changes, in numbers
    suggest, doctor         how to initialize each tensor, and faults of initialization

Every error is an `InitctlError`, every warning an `InitctlWarning`. `initctl help`, in a shell, explains rules.

`import initctl` does not import torch or rich. The classes of results are imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from initctl.api.judging import doctor, suggest
from initctl.api.models import init_, param_init_fn
from initctl.api.planning import changes, load_plan, plan
from initctl.api.reading import diff, inspect, stats
from initctl.api.verifying import load_manifest, verify
from initctl.api.writing import apply, new, parts
from initctl.errors import (
    ConflictError,
    FitError,
    InitctlError,
    InitctlWarning,
    InputError,
    Problem,
    RuleError,
    StorageError,
    UncertainError,
    UsageError,
)
from initctl.version import __version__

if TYPE_CHECKING:
    from initctl.applied import Applied
    from initctl.audit import Verification
    from initctl.creating import Created
    from initctl.diagnosing import Diagnosis
    from initctl.differences import Differences
    from initctl.distributed.parts import Parts
    from initctl.manifest import Changes, Manifest
    from initctl.planning import Plan
    from initctl.statistics import Statistics
    from initctl.suggesting import Suggestions

__all__ = [
    "Applied",
    "Changes",
    "ConflictError",
    "Created",
    "Diagnosis",
    "Differences",
    "FitError",
    "InitctlError",
    "InitctlWarning",
    "InputError",
    "Manifest",
    "Parts",
    "Plan",
    "Problem",
    "RuleError",
    "Statistics",
    "StorageError",
    "Suggestions",
    "UncertainError",
    "UsageError",
    "Verification",
    "__version__",
    "apply",
    "changes",
    "diff",
    "doctor",
    "init_",
    "inspect",
    "load_manifest",
    "load_plan",
    "new",
    "param_init_fn",
    "parts",
    "plan",
    "stats",
    "suggest",
    "verify",
]

_RESULTS = {
    "Applied": "initctl.applied",
    "Diagnosis": "initctl.diagnosing",
    "Differences": "initctl.differences",
    "Changes": "initctl.manifest",
    "Created": "initctl.creating",
    "Manifest": "initctl.manifest",
    "Parts": "initctl.distributed.parts",
    "Plan": "initctl.planning",
    "Statistics": "initctl.statistics",
    "Suggestions": "initctl.suggesting",
    "Verification": "initctl.audit",
}


def __getattr__(name: str) -> type:
    if name not in _RESULTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: type = getattr(import_module(_RESULTS[name]), name)
    return found

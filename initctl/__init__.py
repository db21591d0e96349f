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

`import initctl` imports nothing else: each function and class is imported on first use. So the command line, too, is
ready for a signal before it loads anything large.
"""

from importlib import import_module

from initctl.version import __version__

TYPE_CHECKING = False
"""As in `typing`, which takes longer to import than all that is imported here."""

if TYPE_CHECKING:
    from initctl.api.judging import doctor, suggest
    from initctl.api.models import init_, param_init_fn
    from initctl.api.planning import changes, load_plan, plan
    from initctl.api.reading import diff, inspect, stats
    from initctl.api.verifying import load_manifest, verify
    from initctl.api.writing import apply, new, parts
    from initctl.applied import Applied
    from initctl.audit import Verification
    from initctl.creating import Created
    from initctl.diagnosing import Diagnosis
    from initctl.differences import Differences
    from initctl.distributed.parts import Parts
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

_HOMES = {
    "initctl.api.judging": ("doctor", "suggest"),
    "initctl.api.models": ("init_", "param_init_fn"),
    "initctl.api.planning": ("changes", "load_plan", "plan"),
    "initctl.api.reading": ("diff", "inspect", "stats"),
    "initctl.api.verifying": ("load_manifest", "verify"),
    "initctl.api.writing": ("apply", "new", "parts"),
    "initctl.applied": ("Applied",),
    "initctl.audit": ("Verification",),
    "initctl.creating": ("Created",),
    "initctl.diagnosing": ("Diagnosis",),
    "initctl.differences": ("Differences",),
    "initctl.distributed.parts": ("Parts",),
    "initctl.errors": (
        "ConflictError",
        "FitError",
        "InitctlError",
        "InitctlWarning",
        "InputError",
        "Problem",
        "RuleError",
        "StorageError",
        "UncertainError",
        "UsageError",
    ),
    "initctl.manifest": ("Changes", "Manifest"),
    "initctl.planning": ("Plan",),
    "initctl.statistics": ("Statistics",),
    "initctl.suggesting": ("Suggestions",),
}
"""The modules that names come from."""
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

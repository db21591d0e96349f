"""The public functions; the command line is a thin layer over them.

arguments.py   arguments that several functions share
judging.py     suggest and doctor: how tensors should start, and faults of initialization
models.py      init_ and param_init_fn: fill models in memory
planning.py    plan, load_plan and changes: what would be done
reading.py     inspect, stats and diff: what checkpoints hold
verifying.py   verify and load_manifest: whether a checkpoint holds what a plan, or a report, says
warning.py     warnings at the line of the caller
writing.py     apply and new: write checkpoints
"""

from initctl.api.judging import doctor, suggest
from initctl.api.models import init_, param_init_fn
from initctl.api.planning import changes, load_plan, plan
from initctl.api.reading import diff, inspect, stats
from initctl.api.verifying import load_manifest, verify
from initctl.api.writing import apply, new

__all__ = [
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
    "plan",
    "stats",
    "suggest",
    "verify",
]

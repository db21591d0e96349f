"""(checkpoint, rules) → plan: what will be done to each tensor, decided before anything is written.

    plan.py        the plan itself: frozen, ordered, as JSON
    action.py      what it says of each tensor
    overview.py    that as a table that people read
    options.py     what is asked besides rules and seed
    planner.py     from a checkpoint's table and bound rules to a plan, or to every fault at once
    deciding.py    which rule decides which tensor, or which of its rows
    lookup.py      what the names in a rule's expressions stand for
    unfits.py      tensors that rules do not fit
    advice/        what is probably not meant
    actions.py     one rule's initializer on one tensor
    sources.py     other tensors that one is filled from
    sharing.py     what decides one of several tensors that share memory
    optimizers/    what optimizers remember of tensors that are filled
    torch_init.py  actions as torch.nn.init would carry them out
    devices.py     which device computes which action
    quantization/  which tensors make up quantized weights
    computed.py    tensors that a model computes or measures, and does not learn
    documents.py   what is in the file of a saved plan
    saved.py       a saved plan, to be carried out later
    digests.py     what tells a checkpoint's table, or just its tensors, from any other's
    nearest.py     what a pattern that matches nothing may have meant

Nothing is written here.
"""

from initctl.planning.action import Action, Kept, Totals
from initctl.planning.deciding import BoundRule, bind
from initctl.planning.options import Options
from initctl.planning.plan import Plan
from initctl.planning.planner import make_plan

__all__ = ["Action", "BoundRule", "Kept", "Options", "Plan", "Totals", "bind", "make_plan"]

"""(checkpoint, rules) → plan: what will be done to each tensor, decided before anything is written.

    bound_rule.py            a rule whose every word has a meaning
    planner.py               from a checkpoint's table and bound rules to a plan, or to every fault at once
    surroundings.py          what is the same for all rules and tensors: names, config.json, other checkpoints
    deciding.py              which rule decides which tensor, or which of its rows
    likeness.py              which tensors look the same to the rules, and are decided once
    claims.py                what a rule covers, and which rows of a tensor it may decide
    lookup.py                what the names in a rule's expressions stand for
    fits.py                  one rule's initializer on one tensor: an action, or a problem
    tied.py                  tensors that a file leaves out, since others hold the same
    sharing.py               what decides one of several tensors that share memory
    computed.py              tensors that a model computes or measures, and does not learn
    quantized_weights.py     which tensors make up quantized weights
    quantization_schemes.py  the layouts of quantized weights that are known: one table
    optimizers/              what optimizers remember of tensors that are filled
    advice/                  warnings about probable mistakes
    near_misses.py           what a pattern that matches nothing may have meant
    chosen_device.py         which device computes which action
    torch_init.py            actions as torch.nn.init would carry them out
    action.py                what a plan says of each tensor
    plan.py                  the plan itself: frozen, ordered, as JSON
    overview.py              a plan as a table that people read
    documents.py             the contents of a saved plan, and the digests that identify its checkpoint
    saved.py                 a saved plan, to be carried out later

A rule is text until `rules` reads it. `bind` gives each of its words a meaning: a `BoundRule`. `decide` tests every
rule on every tensor (tensors that look the same to the rules only once). The last rule that claims a row decides it.
What it decides is an `Action`: a tensor or some of its rows, the law that fills it, and the device that computes this.
`with_devices` then sets devices, and `all_by_torch` may replace laws. Actions, and what is kept, are the `Plan`.

No checkpoint is written here.
"""

from initctl.planning.action import Action, Kept
from initctl.planning.bound_rule import BoundRule, bind
from initctl.planning.plan import Plan
from initctl.planning.planner import Options, make_plan

__all__ = ["Action", "BoundRule", "Kept", "Options", "Plan", "bind", "make_plan"]

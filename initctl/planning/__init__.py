"""(checkpoint, rules) → plan: what happens to each tensor, decided before anything is written.

    bound_rule.py            a rule whose initializer and names are known
    planner.py               from a checkpoint's table and bound rules to a plan, or to an error with all faults
    resizing.py              from new sizes by patterns to a table with new shapes
    surroundings.py          what is the same for all rules and tensors: names, config.json, other checkpoints
    deciding.py              which rule decides which tensor, or which of its rows
    likeness.py              which tensors look the same to the rules, and are decided once
    claims.py                what a rule covers, and which rows of a tensor it may decide
    lookup.py                the values of the names in a rule's expressions
    fits.py                  one rule's initializer on one tensor: an action, or a problem
    averaged_rows.py         rows that a rule averages, and may not fill
    blank_rows.py            rows that have no value yet, and that no rule fills
    tied.py                  tensors that a file leaves out because others hold the same values
    sharing.py               tensors that share memory, and must be decided alike
    computed.py              tensors that a model computes or measures, and does not learn
    quantized_weights.py     which tensors make up quantized weights
    quantization_schemes.py  the known layouts of quantized weights: one table
    optimizers/              optimizer state of filled tensors
    advice/                  warnings about probable mistakes
    near_misses.py           proposals for a pattern that matches nothing
    chosen_device.py         which device computes which action
    torch_init.py            actions as torch.nn.init would do them
    action.py                what a plan does to each tensor
    plan.py                  the plan itself: frozen, ordered, as JSON
    overview.py              a plan as a table to read
    documents.py             the contents of a saved plan, and the digests that identify its checkpoint
    saved.py                 a saved plan, to be applied later

A rule is text until `rules` parses it. `bind` looks up its initializer and its names: a `BoundRule`. `decide` tests
every rule on every tensor (tensors that look the same to the rules only once). The last rule that claims a row decides
it. A decision is an `Action`: a tensor or some of its rows, the law that fills it, and the device that computes it.
`with_devices` then sets devices, and `all_by_torch` may replace laws. The `Plan` holds the actions and what is kept.

No checkpoint is written here.
"""

from initctl.planning.action import Action, Kept
from initctl.planning.bound_rule import BoundRule, bind
from initctl.planning.plan import Plan
from initctl.planning.planner import Options, make_plan

__all__ = ["Action", "BoundRule", "Kept", "Options", "Plan", "bind", "make_plan"]

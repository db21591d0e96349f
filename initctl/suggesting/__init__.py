"""What each tensor of a checkpoint is for, and the law that it should start from: the model family's, or by role.

neighbors.py     a tensor among the others: its name in words, what is in its module, who takes its outputs
criteria.py      what shows the role of one tensor
roles.py         what the roles are, and which each tensor has
arrangement.py   how a weight is laid out: which dim is out, which is in, how many it fuses
activations.py   activations, and the law that each asks of layers
laws.py          the law that each role asks for, with the reason and the source
families.py      the rule of the preset that is for the model
suggestion.py    what is suggested for one tensor
suggesting.py    a checkpoint → suggestions for all of its floating-point tensors
patterns.py      names → globs that match them, and nothing else
recipe.py        suggestions → a recipe with reasons
result.py        all suggestions, as a recipe and as data
"""

from initctl.suggesting.result import Suggestions
from initctl.suggesting.roles import ROLES
from initctl.suggesting.suggesting import suggestions
from initctl.suggesting.suggestion import Suggestion

__all__ = ["ROLES", "Suggestion", "Suggestions", "suggestions"]

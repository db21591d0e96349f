"""The role of each tensor of a checkpoint, and the law that it should start from: the model family's, or its role's.

neighbors.py     a tensor among the others: the words of its name, its module, the inputs of other layers
criteria.py      the tests that show the role of one tensor
roles.py         the roles, and the role of each tensor
arrangement.py   the layout of a weight: which dim is out, which is in, how many weights it fuses
activations.py   activations, and the law that layers need for each
laws.py          the law for each role, with the reason and the source
families.py      the decisions of the preset for the model
suggestion.py    the suggestion for one tensor
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

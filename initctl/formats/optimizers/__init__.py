"""Optimizers' states in a checkpoint. They are not part of the state dict.

optimizer.py   an optimizer's state: tensors for each parameter, and how it names parameters
kinds.py       kinds of state that optimizers keep for a parameter, and their initial values
masters.py     copies of parameters that training continues from
spellings.py   finding states by the names of tensors
"""

from initctl.formats.optimizers.optimizer import Group, Optimizer, OptimizerFacts, ParameterKey
from initctl.formats.optimizers.spellings import optimizers

__all__ = ["Group", "Optimizer", "OptimizerFacts", "ParameterKey", "optimizers"]

"""Optimizers' states in a checkpoint, in whatever spelling: they are not part of the state dict.

optimizer.py   an optimizer's state: what is kept for each parameter, and how parameters are called
kinds.py       what optimizers keep for a parameter, and what each kind of it begins at
masters.py     copies of parameters that training goes on from
spellings.py   finding states by the names of tensors
"""

from initctl.formats.optimizers.optimizer import Group, Optimizer, OptimizerFacts, ParameterKey
from initctl.formats.optimizers.spellings import optimizers

__all__ = ["Group", "Optimizer", "OptimizerFacts", "ParameterKey", "optimizers"]

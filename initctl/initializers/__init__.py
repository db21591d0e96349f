"""The initializers that a rule can fill a tensor with.

registry.py       initializers by name: the built-in table, plugins, binding a call's arguments
initializer.py    an initializer, and one with its arguments
parameters.py     parameters and their types
fans.py           fan-in and fan-out from a shape and its arrangement: layout, groups, parts
deterministic.py  constant, ones, zeros, nan, bias_from_prob, eye, dirac, zero_hadamard, sinusoid, arange_log, lstm_bias
random.py         uniform, normal, trunc_normal, log_uniform, inv_softplus_log_uniform, uniform_log
scaling.py        xavier, kaiming, lecun, variance_scaling, spectral
complex.py        laws on complex tensors
structured.py     orthogonal, delta_orthogonal, sparse: their values depend on the whole tensor
revising.py       scale, perturb, reinit, copy, mean_rows, match_stats, permute_rows: they start from old values
builtin.py        the table of built-in initializers, with parameters, formulas and sources
"""

from initctl.initializers.initializer import BoundCall, Initializer, Resolved, Unfit
from initctl.initializers.parameters import Number, Parameter, Refused, Whole, Word
from initctl.initializers.registry import KEEP, REGISTRY, Registry

__all__ = [
    "KEEP",
    "REGISTRY",
    "BoundCall",
    "Initializer",
    "Number",
    "Parameter",
    "Refused",
    "Registry",
    "Resolved",
    "Unfit",
    "Whole",
    "Word",
]

"""Faults of initialization in a checkpoint, each with the reason why it matters and the rule that fixes it.

check.py        a kind of fault, and one that was found
selection.py    which checks run
examining.py    a checkpoint → what checks find in it
examination.py  the data that checks look at
expected.py     the numbers that laws give: the suggested laws, and those of torch's own layers
training.py     whether weights are fresh or trained
rows.py         rows and columns of weights that are equal or zero
values.py       checks for numbers that no weight should have
symmetry.py     checks for units that are equal
spread.py       checks for standard deviations and means
constants.py    checks for norms, biases and running variances
embeddings.py   checks for embeddings: ties, padding, spread
quantized.py    checks for codes and scales
remedies.py     rules that fix findings
diagnosis.py    all findings, as a report and as data
github.py       findings as annotations of GitHub Actions
junit.py        findings as a JUnit report
sarif.py        findings as a SARIF log

A check looks for one kind of fault, and reports it under its own code. Some faults are faults of fresh weights only;
they are not looked for in trained weights.
"""

from initctl.diagnosing.constants import CONSTANTS
from initctl.diagnosing.diagnosis import Diagnosis
from initctl.diagnosing.embeddings import EMBEDDINGS
from initctl.diagnosing.examining import diagnosed
from initctl.diagnosing.quantized import QUANTIZED
from initctl.diagnosing.spread import SPREAD
from initctl.diagnosing.symmetry import SYMMETRY
from initctl.diagnosing.values import VALUES

CHECKS = (*VALUES, *SYMMETRY, *SPREAD, *CONSTANTS, *EMBEDDINGS, *QUANTIZED)
"""All checks, in the order in which their findings are listed."""

__all__ = ["CHECKS", "Diagnosis", "diagnosed"]

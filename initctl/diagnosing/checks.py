"""All checks, in the order in which their findings are listed."""

from __future__ import annotations

from initctl.diagnosing.constants import CONSTANTS
from initctl.diagnosing.embeddings import EMBEDDINGS
from initctl.diagnosing.quantized import QUANTIZED
from initctl.diagnosing.spread import SPREAD
from initctl.diagnosing.symmetry import SYMMETRY
from initctl.diagnosing.values import VALUES

CHECKS = (*VALUES, *SYMMETRY, *SPREAD, *CONSTANTS, *EMBEDDINGS, *QUANTIZED)

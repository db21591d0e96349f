"""Statistics of tensors, measured piece by piece, so that memory does not grow with them.

measuring.py    tensors → statistics of each
tensor.py       statistics of one tensor: moments, counts, a histogram, a digest
histogram.py    histograms, also drawn as blocks
result.py       statistics of all tensors, as a table, by layer, and as data
"""

from initctl.statistics.measuring import measured
from initctl.statistics.result import Statistics
from initctl.statistics.tensor import TensorStatistics

__all__ = ["Statistics", "TensorStatistics", "measured"]

"""What tensors hold, in numbers: measured piece by piece, in memory that does not grow with them.

measuring.py    tensors → what each holds
tensor.py       what one holds: moments, counts, a histogram, a digest
histogram.py    how many numbers are where, and that as blocks
result.py       what all hold, as a table, as layers, and as data
"""

from initctl.statistics.measuring import measured
from initctl.statistics.result import Statistics
from initctl.statistics.tensor import TensorStatistics

__all__ = ["Statistics", "TensorStatistics", "measured"]

"""Matrices with orthonormal rows or columns, uniformly distributed, from matrices of normal draws.

F. Mezzadri: How to generate random matrices from the classical compact groups (2007). As in torch, the signs of R's
diagonal are moved into Q, which makes the decomposition unique. LAPACK's rounding still depends on the library, the
processor and the number of threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


def orthonormal(gaussian: Floats) -> Floats:
    """Orthonormal rows or columns, whichever are fewer, for each matrix of a stack [batch, rows, columns]."""
    import numpy as np

    is_wide = gaussian.shape[-2] < gaussian.shape[-1]
    q, r = np.linalg.qr(gaussian.swapaxes(-1, -2) if is_wide else gaussian)
    signs = np.where(np.diagonal(r, axis1=-2, axis2=-1) < 0, np.float32(-1), np.float32(1))
    q = q * signs[..., np.newaxis, :]
    return q.swapaxes(-1, -2) if is_wide else q


def flops(batch: int, rows: int, columns: int) -> float:
    """The floating-point operations of the decomposition and of forming Q: 4 (m n² - n³ / 3) for m ≥ n."""
    short, long = sorted((rows, columns))
    return 4.0 * batch * (long * short**2 - short**3 / 3)

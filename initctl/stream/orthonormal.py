"""Matrices with orthonormal rows or columns, uniform over all such, from matrices of normal draws.

F. Mezzadri: How to generate random matrices from the classical compact groups (2007). The sign of R's diagonal is
moved into Q, as torch does it, which makes the decomposition unique; LAPACK's rounding remains, and differs from one
library, processor and number of threads to the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


def orthonormal(gaussian: Floats) -> Floats:
    """Orthonormal rows or columns, whichever are fewer, for each matrix of a stack [batch, rows, columns]."""
    is_wide = gaussian.shape[-2] < gaussian.shape[-1]
    q, r = np.linalg.qr(gaussian.swapaxes(-1, -2) if is_wide else gaussian)
    signs = np.where(np.diagonal(r, axis1=-2, axis2=-1) < 0, np.float32(-1), np.float32(1))
    q = q * signs[..., np.newaxis, :]
    return q.swapaxes(-1, -2) if is_wide else q


def orthonormal_on(gaussian: Floats, device: str, *, threads: int | None = None) -> Floats:
    """The same by torch's LAPACK on `device`, with `threads` of the processor's where that is the device."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        matrices = torch.from_numpy(np.ascontiguousarray(gaussian)).to(device)
        is_wide = matrices.shape[-2] < matrices.shape[-1]
        reflectors, scales = torch.geqrf(matrices.mT if is_wide else matrices)  # as `qr` does it, but R is not copied
        q = torch.linalg.householder_product(reflectors, scales)
        q *= torch.where(reflectors.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).unsqueeze(-2)
        result: Floats = (q.mT if is_wide else q).cpu().numpy()
        return result
    finally:
        torch.set_num_threads(before)


def flops(batch: int, rows: int, columns: int) -> float:
    """Floating-point operations of the decomposition and of forming Q: 4 (m n² - n³ / 3) for m ≥ n."""
    short, long = sorted((rows, columns))
    return 4.0 * batch * (long * short**2 - short**3 / 3)

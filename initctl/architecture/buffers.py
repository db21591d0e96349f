"""What a model computes itself, and does not learn: the values of its buffers, without memory for its weights.

The model's own code sets its buffers whenever it initializes weights. It is called twice, with other random numbers
and other bytes in the buffers before: what comes out equal both times has one value, and the rest has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

_RUNS = (0, 1)
"""The seeds, and the bytes in the buffers before."""


class _Buffer(NamedTuple):
    """The saved buffer `name` of a `module`."""

    module: torch.nn.Module
    name: str

    def put(self, tensor: torch.Tensor) -> None:
        self.module._buffers[self.name] = tensor  # noqa: SLF001 - a buffer keeps its place among those of the module

    def get(self) -> torch.Tensor:
        found: torch.Tensor = self.module._buffers[self.name]  # type: ignore[assignment]  # noqa: SLF001
        return found


def compute_buffers(model: Any) -> None:  # noqa: ANN401 - a model of transformers
    """Give those saved buffers of `model`, which is on the meta device, their values that have one."""
    import torch

    buffers = list(_saved_buffers(model))
    if not buffers:
        return
    blank = [buffer.get() for buffer in buffers]
    with torch.random.fork_rng(devices=[]):
        one, other = ([*_initialized(model, buffers, blank, run)] for run in _RUNS)
    for buffer, nothing, first, second in zip(buffers, blank, one, other, strict=True):
        buffer.put(second if content(first) == content(second) else nothing)


def content(tensor: torch.Tensor) -> bytes:
    """Its bytes, in row-major order."""
    import torch

    found: bytes = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return found


def _saved_buffers(model: Any) -> Iterator[_Buffer]:  # noqa: ANN401
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if buffer is not None and name not in module._non_persistent_buffers_set:  # noqa: SLF001 - torch's own
                yield _Buffer(module, name)


def _initialized(
    model: Any,  # noqa: ANN401
    buffers: list[_Buffer],
    blank: list[torch.Tensor],
    run: int,
) -> Iterator[torch.Tensor]:
    """The buffers after the model has initialized itself under the seed `run`."""
    import torch

    torch.manual_seed(run)
    for buffer, nothing in zip(buffers, blank, strict=True):
        room = torch.empty(nothing.shape, dtype=nothing.dtype, device="cpu")
        room.reshape(-1).view(torch.uint8).fill_(run)
        buffer.put(room)
    for module in model.modules():
        module._is_hf_initialized = False  # noqa: SLF001 - a note of transformers
    model.initialize_weights()
    yield from (buffer.get() for buffer in buffers)

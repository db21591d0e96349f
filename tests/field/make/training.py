"""What several writers need: a model that is the same each time, a trained step, and names by what they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    Optimizer = TypeVar("Optimizer", bound=torch.optim.Optimizer)
Made = TypeVar("Made", bound=nn.Module)


def seeded(build: Callable[[], Made], seed: int = 0) -> Made:
    """What `build` builds, with the same random numbers each time, and no parameter as it was initialized."""
    torch.manual_seed(seed)
    model = build()
    with torch.no_grad():
        for number in (*model.parameters(), *(b for n, b in model.named_buffers() if "running" in n)):
            number.add_(torch.rand_like(number), alpha=0.1)
    return model


def stepped(model: nn.Module, optimizer: Optimizer, *inputs: Tensor) -> Optimizer:
    """`optimizer`, after a step of it on what `model` makes of `inputs`."""
    output = model(*inputs)
    torch.as_tensor(getattr(output, "logits", getattr(output, "sample", output))).float().square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return optimizer


def parameters(model: nn.Module, prefix: str = "") -> tuple[str, ...]:
    """The names of parameters in the state dict of `model`, each under all of its names."""
    return tuple(prefix + name for name, _ in model.named_parameters(remove_duplicate=False))


def buffers(model: nn.Module, prefix: str = "") -> tuple[str, ...]:
    """The names of floating-point buffers in the state dict of `model`."""
    kept = model.state_dict()
    named = model.named_buffers(remove_duplicate=False)
    return tuple(prefix + name for name, buffer in named if name in kept and buffer.is_floating_point())


def integers(model: nn.Module, prefix: str = "") -> dict[str, str]:
    """The names of other buffers in the state dict of `model`: counts, positions, masks."""
    kept = model.state_dict()
    return {
        prefix + name: "buffer of integers"
        for name, buffer in model.named_buffers(remove_duplicate=False)
        if name in kept and not buffer.is_floating_point()
    }


def named(kind: str, tensors: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors among `tensors`, under `kind` and a slash."""
    return {f"{kind}/{name}": tensor for name, tensor in tensors.items() if isinstance(tensor, torch.Tensor)}


def moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What `optimizer` remembers of the parameters of `model`: moments/PARAMETER/KEY."""
    found = {}
    for name, parameter in model.named_parameters():
        found.update(named(f"moments/{name}", optimizer.state.get(parameter, {})))
    return found

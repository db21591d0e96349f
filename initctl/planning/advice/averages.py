"""Copies of a filled tensor in the same state dict: averages, teachers, target networks. Rules may fill them apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from initctl.errors import Problem, shown
from initctl.stream import SAME_EVERYWHERE

if TYPE_CHECKING:
    from initctl.planning.action import Action
    from initctl.planning.deciding import Decided
    from initctl.planning.surroundings import Surroundings
    from initctl.tensors import Shape, TensorSpec

    Network = tuple[tuple[str, ...], str]
    """The parts of a name before a network's own, and that one."""
    Content = dict[tuple[str, Shape], TensorSpec]
    """Its tensors, by the rest of their names, without dots, and by their shapes."""

COPIES = {
    "averaged_model": "torch-ema, timm",
    "avg_model": "torchvision references",
    "ema": "YOLO, many trainers",
    "ema_model": "denoising-diffusion-pytorch, ema-pytorch",
    "encoder_k": "MoCo",
    "key_encoder": "MoCo, detectron2",
    "model_ema": "latent-diffusion (LitEma, which leaves the dots out), timm",
    "momentum_encoder": "lightly, solo-learn",
    "shadow": "torch_ema",
    "swa_model": "Lightning",
    "target": "RL libraries",
    "target_net": "RL libraries",
    "target_network": "RL libraries",
    "teacher": "DINO, mean teacher, distillation",
}
"""Names of networks that are copies of another one beside them, and the libraries that use them."""
_DEEPEST = 3
"""The most parts that a network's own name can have."""


def copies_out_of_step(decided: Decided, around: Surroundings) -> Iterator[Problem]:
    """A warning if rules fill tensors of a network and its copy would no longer be equal."""
    found = [*_pairs(around.checkpoint.tensors)]
    filled = {action.tensor.name: action for action in decided.actions} if found else {}
    pairs = [(one, copy) for one, copy in found if not _are_alike(filled.get(one.name), filled.get(copy.name))]
    for one, copy in pairs[:1]:
        more = f" (and {len(pairs) - 1} more like it)" if len(pairs) > 1 else ""
        message = f"{shown(copy.name)} is a copy of {shown(one.name)}, but would no longer equal it{more}"
        yield Problem("tensor.copy", message, "let training recreate the copy, or fill both with the same constant")


def _pairs(tensors: Sequence[TensorSpec]) -> Iterator[tuple[TensorSpec, TensorSpec]]:
    """Tensors of networks, each with its copy. A copy has most of its tensors in common with the other network."""
    networks = _networks(tensors)
    for (above, part), copied in networks.items():
        for (beside, other), content in networks.items() if part in COPIES else ():
            shared = content.keys() & copied.keys()
            if beside == above and other not in COPIES and len(shared) > 1 and 2 * len(shared) > len(copied):
                yield from ((content[key], copied[key]) for key in content if key in shared)


def _networks(tensors: Sequence[TensorSpec]) -> Mapping[Network, Content]:
    """The networks of each place that has one named like a copy."""
    heads = {_head(tensor) for tensor in tensors}
    places = {head[:depth] for head in heads for depth, part in enumerate(head) if part in COPIES}
    networks: dict[Network, Content] = defaultdict(dict)
    for tensor in tensors if places else ():
        for depth, part in enumerate(head := _head(tensor)):
            if head[:depth] in places:
                rest = "".join(tensor.name.split(".")[depth + 1 :])
                networks[head[:depth], part][rest, tensor.shape] = tensor
    return networks


def _head(tensor: TensorSpec) -> tuple[str, ...]:
    """The parts of its name that may be a network's name: the first ones, never the last."""
    return tuple(tensor.name.split(".", _DEEPEST)[:-1])


def _are_alike(one: Action | None, other: Action | None) -> bool:
    """Whether both tensors are kept, or get the same values."""
    if one is None or other is None:
        return one is other
    return isinstance(one.law, SAME_EVERYWHERE) and (one.law, one.rows) == (other.law, other.rows)

"""Checkpoints of many kinds, and what is made of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from tests.distributed.results import written_by_hand
from tests.execution.torch_files import bits, lightning, save
from tests.formats.ranks import saved_alone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RULES = (
    "{embed,head}.weight=normal:std=0.02", "proj.weight=xavier_uniform", "whole.weight=orthogonal",
    "scaled.weight=scale:by=2", "likened.weight=match_stats", "copied.weight=copy:from=scaled.weight",
    "rows.weight[3:40]=uniform", "stepped.weight=trunc_normal:std=0.5,cut=2", "half.weight=kaiming_normal",
    "eighth.weight=normal", "waves=normal", "double=normal", "norm.bias=zeros", "empty=normal",
)  # fmt: skip
"""One for most tensors of `network`; the others are kept."""


def network() -> dict[str, torch.Tensor]:
    """Tensors of many dtypes and layouts, large enough that small steps cut them."""
    embed = bits(torch.float32, 120, 16, seed=1)
    numbers = torch.randn(6, 40, 30, generator=torch.Generator().manual_seed(2))
    return {
        "embed.weight": embed,
        "head.weight": embed,
        "proj.weight": bits(torch.float32, 50, 30, seed=3).T,
        "left.weight": bits(torch.float32, 45, 32, seed=4).T,
        "whole.weight": numbers[0].clone(),
        "scaled.weight": numbers[1].clone(),
        "likened.weight": numbers[2].clone(),
        "copied.weight": numbers[3].clone(),
        "rows.weight": bits(torch.float32, 50, 20, seed=5),
        "stepped.weight": bits(torch.float32, 61, 40, seed=6)[::2, 1::2],
        "half.weight": bits(torch.bfloat16, 41, 33, seed=7),
        "eighth.weight": numbers[4].to(torch.float8_e4m3fn),
        "waves": torch.randn(20, 12, dtype=torch.complex64, generator=torch.Generator().manual_seed(8)),
        "double": numbers[5, :, :7].double(),
        "norm.bias": bits(torch.float32, 300, seed=9),
        "steps": bits(torch.int64, 2, seed=10),
        "empty": torch.empty(0, 3),
    }


def contiguous(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As safetensors can store it: no views, no ties."""
    return {name: tensor.clone().contiguous() for name, tensor in state.items()}


def one_file(folder: Path) -> Path:
    save_file(contiguous(network()), folder / "net.safetensors", metadata={"format": "pt"})
    return folder / "net.safetensors"


def shards(folder: Path) -> Path:
    """Shards of safetensors, beside files of other kinds; one is empty, one in a subdirectory, with other
    permissions.
    """
    source = folder / "shards"
    (source / "more").mkdir(parents=True)
    state = contiguous(network())
    names = list(state)
    spread = {f"model-0000{n + 1}-of-00003.safetensors": names[n::3] for n in range(3)}
    for file, held in spread.items():
        save_file({name: state[name] for name in held}, source / file)
    index = {"metadata": {}, "weight_map": {name: file for file, held in spread.items() for name in held}}
    (source / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    (source / "config.json").write_text('{"vocab_size": 120}', encoding="utf-8")
    (source / "config.json").chmod(0o604)
    (source / "more" / "notes.txt").write_bytes(b"\0notes" * 50)
    (source / "none").touch()
    (source / "more").chmod(0o711)
    return source


def archive(folder: Path) -> Path:
    """A zip file of torch.save, with what a training loop puts into it."""
    return save(folder / "net.pt", lightning(network()))


def older(folder: Path) -> Path:
    """A file of torch.save as old versions wrote it."""
    return save(folder / "old.pt", network(), "legacy")


def distributed(folder: Path) -> Path:
    state = {name: tensor for name, tensor in network().items() if name != "head.weight"}
    return saved_alone(folder / "distributed", state)


def misaligned(folder: Path) -> Path:
    """A safetensors file whose tensors begin at odd offsets."""
    return written_by_hand(folder / "odd.safetensors", {"first": ("U8", b"\1\2\3"), **_hand_made()})


def narrow(folder: Path) -> Path:
    """A safetensors file with tensors of four and of six bits."""
    made = {"four": ("F4", bytes(range(200))), "six": ("F6_E2M3", bytes(range(99)) * 2), **_hand_made()}
    return written_by_hand(folder / "narrow.safetensors", made)


def _hand_made() -> dict[str, tuple[str, bytes]]:
    """Tensors whose elements are wider than their alignment."""
    numbers = bits(torch.uint8, 4000, seed=11).numpy().tobytes()
    return {"b.weight": ("F64", numbers[:1600]), "c.weight": ("F32", numbers[:2000]), "d": ("C64", numbers)}


def trained(folder: Path) -> Path:
    """A checkpoint with the state of an optimizer."""
    model = torch.nn.Sequential(torch.nn.Linear(30, 40), torch.nn.Linear(40, 50))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(30)).sum().backward()
    optimizer.step()
    return save(folder / "trained.pt", {"model": model.state_dict(), "optimizer": optimizer.state_dict()})


@dataclass(frozen=True)
class Case:
    """What is made of a checkpoint: its `source` in a folder, the name of the output, and arguments."""

    source: Callable[[Path], Path]
    output: str
    asked: dict[str, Any] = field(default_factory=lambda: {"rules": RULES})

    def __str__(self) -> str:
        more = ",".join(name for name in self.asked if name != "rules")
        return f"{self.source.__name__} to {self.output}{' with ' if more else ''}{more}"


_TO_SHARDS = {"rules": RULES, "max_shard_size": "9kB"}
_UNTIED = ("left.weight=constant:val=2", "rows.weight[50:]=normal")
_BY_HAND = {"rules": ("*.weight=normal", "d=normal")}

CASES = [
    *(Case(source, "out.safetensors") for source in (one_file, archive, older, distributed, shards)),
    *(Case(source, "out.pt") for source in (one_file, archive, older, distributed, shards)),
    *(Case(source, "out/", _TO_SHARDS) for source in (one_file, archive, older, distributed, shards)),
    *(Case(source, "out/") for source in (one_file, distributed, shards)),
    *(Case(source, "out.safetensors", {}) for source in (archive, distributed)),
    *(Case(source, output, _BY_HAND) for source in (misaligned, narrow) for output in ("out.safetensors", "out/")),
    Case(older, "out.pt", {"rules": ["*=zeros"]}),
    Case(trained, "out.pt", {"rules": ["*.weight=normal"], "reset_optimizer": True}),
    Case(one_file, "out.safetensors", {"rules": _UNTIED, "rows": {"rows.weight": 70, "embed.weight": 100}}),
    Case(shards, "out/", {"rules": _UNTIED, "rows": {"rows.weight": 70}, "set_config": {"vocab_size": 121}}),
    Case(archive, "out.safetensors", {"rules": _UNTIED, "rows": {"rows.weight": 70}}),
]

"""All readers that are fuzzed."""

from __future__ import annotations

import argparse
import json
import pickle
import warnings
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save

import initctl
from initctl.formats import Checkpoint, read_checkpoint
from initctl.formats.config import read_config_file
from initctl.formats.listed import read_listed
from initctl.formats.torch_save.file import read_table
from initctl.planning.documents import signed
from initctl.recipes.reading import read_recipe
from initctl.rules import parse_rule
from tests.formats.handwritten import float_file, safetensors_bytes
from tests.formats.torch_save.rewritten import legacy, saved
from tests.fuzz import oracles
from tests.fuzz.mutators import archives, pickles, raw, texts, trees
from tests.fuzz.target import Target

if TYPE_CHECKING:
    from random import Random

    from initctl.tensors import TensorSpec

T = torch.arange(6.0).reshape(2, 3)


def _safetensors_seeds() -> dict[str, bytes]:
    return {
        "plain": save({"w": T, "b": torch.zeros(3, dtype=torch.bfloat16)}),
        "described": save({"w": T.half(), "n": torch.tensor(7), "e": torch.empty(0, 4)}, metadata={"format": "pt"}),
        "packed": safetensors_bytes({"w": {"dtype": "F4", "shape": [2, 3], "data_offsets": [0, 3]},
                                     "__metadata__": {"a": "b"}}, bytes(3)),
    }  # fmt: skip


def _header(rng: Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """A file with another header, whose length is mostly right."""
    length = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + length], content[8 + length :]
    if rng.random() < 0.15 or not header.lstrip().startswith(b"{"):
        return raw.edited(rng, content, others)
    header = trees.mutated(
        rng, header, [other[8 : 8 + int.from_bytes(other[:8], "little")] or b"{}" for other in others]
    )
    if rng.random() < 0.1:
        header = rng.choice((b" " + header, header + b" " * 3, header + b"\0", header.replace(b"w", b"\\u0077", 1)))
    if rng.random() < 0.05:
        data = raw.edited(rng, data, [data])
    size = len(header) if rng.random() < 0.97 else len(header) + rng.randint(-9, 9)
    return max(size, 0).to_bytes(8, "little") + header + data


def _same_as_library(found: Checkpoint, content: bytes, others: Mapping[str, Any]) -> None:
    """Names, dtypes and shapes are the library's, and the tensors' bytes fill the file."""
    assert {spec.name: (spec.dtype.tag, list(spec.shape)) for spec in found.tensors} == others["safetensors"]
    end = 8 + int.from_bytes(content[:8], "little")
    for spec in sorted(found.tensors, key=lambda spec: (spec.blocks[0].offset, spec.nbytes)):
        assert spec.blocks[0].offset == end
        end += spec.nbytes
    assert end == len(content)


def _torch_values() -> dict[str, Any]:
    inner = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.AdamW(inner.parameters())
    inner(torch.ones(3, 2)).sum().backward()
    optimizer.step()
    return {
        "plain": {"w": T, "v": T[1:], "t": T.t()},
        "training": {"state_dict": OrderedDict(w=T, i=torch.arange(3)), "epoch": 3, "p": torch.nn.Parameter(T + 1)},
        "optimizer": {"model": inner.state_dict(), "optimizer": optimizer.state_dict(), "step": 12345},
        "kinds": {"h": T.half(), "b": T.bfloat16(), "c": T.to(torch.complex64), "o": T > 1,
                  "f": T.to(torch.float8_e4m3fn),
                  "s": T.to_sparse(), "q": torch.quantize_per_tensor(T, 0.1, 0, torch.qint8), "m": T.to("meta")},
        "opaque": {"w": T, "args": argparse.Namespace(lr=0.1), "n": np.float64(1.5), "a": np.arange(3),
                   "c": Counter("ab"),
                   "d": defaultdict(list, {"a": [1]}), "z": {1j, b"x", 2**70, None, True}},
        "tied": {"a": T, "b": T, "list": [T, (T, {"x": T})], 1: T},
    }  # fmt: skip


@cache
def _torch_seeds(kind: str) -> dict[str, bytes]:
    with warnings.catch_warnings(action="ignore"):
        if kind == "legacy":
            return {name: legacy(value) for name, value in _torch_values().items() if name != "kinds"}
        return {name: saved(value) for name, value in _torch_values().items()}


def _modern_seeds() -> dict[str, bytes]:
    """The same in other pickle protocols."""
    values = _torch_values()
    return {
        f"{name} {n}": saved(values[name], pickle_protocol=n) for name in ("training", "opaque") for n in (0, 3, 4, 5)
    }


def _same_as_torch(found: Checkpoint, content: bytes, others: Mapping[str, Any]) -> None:
    """Each tensor lies inside the file, and those that torch finds in dicts are the same to the byte."""
    for tensor in (*found.tensors, *found.outside, *found.unlisted):
        assert 0 <= tensor.numel < 2**63
        for block in tensor.blocks if tensor.numel else ():
            assert block.offset >= 0
            assert block.offset + block.extent * tensor.dtype.bits // 8 <= len(content), tensor.name
    if "torch.load" not in others:
        return
    table = read_table(found.path, "x")
    ours = {entry.keys: entry.tensor for entry in table.entries}
    for keys, tensor in oracles.tensors_in(others["torch.load"]):
        if tensor.layout == torch.strided and all(type(key) in (str, int) for key in keys):
            assert keys in ours, f"{keys} is missing"
            _check_same(keys, ours[keys], tensor, content)


def _check_same(keys: tuple[Any, ...], ours: TensorSpec, tensor: torch.Tensor, content: bytes) -> None:
    if ours.unwritable and ("subclass" in ours.unwritable or "bit" in ours.unwritable):
        return
    assert str(tensor.dtype) == f"torch.{ours.dtype.name}", keys
    assert tuple(tensor.shape) == ours.shape, keys
    if tensor.is_meta or tensor.is_quantized or not 0 < tensor.numel() < 1000 or ours.unwritable:
        return
    (block,) = ours.blocks
    width = ours.dtype.bits // 8
    flat = tensor.resolve_conj().detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    for index in np.ndindex(*ours.shape):
        at = block.offset + width * sum(i * stride for i, stride in zip(index, block.strides, strict=True))
        number = int(np.ravel_multi_index(index, ours.shape)) if ours.shape else 0
        assert content[at : at + width] == flat[number * width : (number + 1) * width], (keys, index)


_OF_TORCH: Mapping[str, Any] = {"torch.load": oracles.weights_only, "unpickler": oracles.unpickler}


@cache
def _distributed() -> Mapping[str, bytes]:
    """The files of a checkpoint that one process saved."""
    import torch.distributed.checkpoint as dcp

    with TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        value = {"w": T, "v": torch.ones(2), "step": 3, "o": {"x": T.half()}}
        dcp.save(value, checkpoint_id=folder, no_dist=True)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _prepare_distributed(folder: Path) -> None:
    for name, content in _distributed().items():
        (folder / name).write_bytes(content)


def _metadata() -> dict[str, bytes]:
    """`.metadata`, in two protocols."""
    content = _distributed()[".metadata"]
    return {"plain": content, "old": pickle.dumps(pickle.loads(content), 2)}


def _prepare_shards(folder: Path) -> None:
    (folder / "secret").mkdir()
    float_file(folder / "secret" / "a.safetensors", "w", "v")
    float_file(folder / "model" / "a.safetensors", "w")
    float_file(folder / "model" / "x" / "b.safetensors", "v")


def _inside(found: Checkpoint, content: bytes, others: Mapping[str, Any]) -> None:
    """The tensors are those of the index, in files of its directory."""
    real = {"w": "a.safetensors", "v": "x/b.safetensors"}
    assert {tensor.name: tensor.files[0] for tensor in found.tensors}.items() <= real.items()
    assert {tensor.name for tensor in found.tensors} == set(others["json"]["weight_map"])


_INDEXES = {
    "both": b'{"metadata": {"total_size": 8}, "weight_map": {"w": "a.safetensors", "v": "x/b.safetensors"}}',
    "one": b'{"weight_map": {"w": "a.safetensors"}}',
}
_CONFIGS = {
    "llama": json.dumps({"architectures": ["LlamaForCausalLM"], "hidden_size": 64, "rope_scaling": {"factor": 8.0},
                         "quantization_config": None, "eps": 1e-6, "ids": [1, 2], "x": float("inf")}).encode(),
}  # fmt: skip
_RULES = {
    str(number): rule.encode()
    for number, rule in enumerate((
        "*.bias=zeros", "fc*.weight=normal:std=sqrt(2/fan_in)", "*.{q,k,v}_proj.weight=xavier_uniform:gain=0.5",
        "model.layers.{-2..-1}.*.weight=normal:std=0.02", "embed.weight[32000:]=normal:std=0.02", "[!a]?=keep",
        "w=constant:val=1e-3 where ndim >= 2 and numel > 4", "w=trunc_normal:std=0.02,cut=3", "re:^w$=ones",
        "w=uniform:a=-1/sqrt(fan_in),b=1/sqrt(fan_in)", "w[0:1]=orthogonal:gain=max(1, layer + 1)", "w=copy:from=v",
    ))
}  # fmt: skip
_RECIPES = {
    "plain": b'seed = 3\n[vars]\nstd = 0.02\n\n[[rule]]\nmatch = "*.weight"\ninit = "normal"\nstd = "std / sqrt(2)"\n',
    "lists": b'extends = ["preset:gpt2"]\n[[rule]]\nmatch = ["w", "v[0:1]"]\ninit = "zeros"\nwhere = "ndim >= 2"\n',
    "resized": b'[config]\nhidden_size = 64\n[resize]\n"w" = [4, 3]\n[[rule]]\nmatch = "w"\ninit = "constant:val=1"\n',
}


def _prepare_checkpoint(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(
        save({"w": T, "v": T + 1, "fc1.weight": T.clone(), "fc1.bias": T[0].clone()})
    )


def _planned(path: Path) -> Any:
    """A plan by the rule in the file at `path`."""
    rule = path.read_bytes().decode("utf-8", "surrogateescape")
    parse_rule(rule, "rule")
    with warnings.catch_warnings(action="ignore", category=initctl.InitctlWarning):
        return initctl.plan(path.parent / "model.safetensors", rules=[rule], allow_unused=True)


@cache
def _plans() -> dict[str, bytes]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        _prepare_checkpoint(folder)
        plan = initctl.plan(folder / "model.safetensors", rules=["w=normal:std=0.1", "v[0:1]=zeros", "fc1.*=uniform"])
        plan.save(folder / "plan.json")
        return {"plain": (folder / "plan.json").read_bytes()}


def _signed(rng: Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """A plan after changes, mostly with the digest of its new content: anybody can compute it."""
    text = trees.mutated(rng, content, others)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(document, dict) or rng.random() < 0.2:
        return text
    return json.dumps(signed(document)).encode("utf-8", "surrogatepass")


@cache
def _reports() -> dict[str, bytes]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        _prepare_checkpoint(folder)
        plan = initctl.plan(folder / "model.safetensors", rules=["w=ones"])
        applied = initctl.apply(plan, folder / "out.safetensors")
        applied.manifest(initctl.changes(plan, digest=True)).save(folder / "r.json")
        return {"plain": (folder / "r.json").read_bytes()}


@cache
def _tables() -> dict[str, bytes]:
    tensors = [{"name": "w", "dtype": "float32", "shape": [2, 3]}, {"name": "v", "dtype": "bfloat16", "shape": []},
               {"name": "u", "dtype": "float32", "shape": [2, 3], "tied_to": "w"}]  # fmt: skip
    return {"plain": json.dumps({"tensors": tensors, "format": "safetensors", "metadata": {"a": {"b": "c"}}}).encode()}


def _loaded(path: Path) -> Any:
    return initctl.load_plan(path, path.parent / "model.safetensors")


_JSON: Mapping[str, Any] = {"json": oracles.json_object}


@cache
def targets() -> Mapping[str, Target]:
    """By name."""
    torch_file = {"read": read_checkpoint, "file": "m.pt", "check": _same_as_torch}
    found = (
        Target("safetensors", _safetensors_seeds, _header, read_checkpoint, "m.safetensors",
               {"safetensors": oracles.safetensors}, check=_same_as_library),
        Target("torch-zip", lambda: _torch_seeds("zip"), archives.mutated, **torch_file,
               oracles={**_OF_TORCH, "zipfile": oracles.zip_file}),
        Target("torch-pickle", lambda: _torch_seeds("zip") | _modern_seeds(), archives.of_its_pickle, **torch_file,
               oracles=_OF_TORCH),
        Target("torch-legacy", lambda: _torch_seeds("legacy"), pickles.mutated, **torch_file, oracles=_OF_TORCH),
        Target("distributed", _metadata, pickles.mutated,
               lambda path: read_checkpoint(path.parent), ".metadata", {"unpickler": oracles.metadata},
               _prepare_distributed),
        Target("index", lambda: _INDEXES, trees.mutated, read_checkpoint, "model/model.safetensors.index.json", _JSON,
               _prepare_shards, _inside),
        Target("config", lambda: _CONFIGS, trees.mutated, lambda path: read_config_file(str(path)), "config.json",
               _JSON),
        Target("table", _tables, trees.mutated, lambda path: read_listed(str(path)), "table.json", _JSON),
        Target("rule", lambda: _RULES, texts.mutated, _planned, "rule", {}, _prepare_checkpoint),
        Target("recipe", lambda: _RECIPES, texts.mutated, read_recipe, "recipe.toml", {"tomllib": oracles.toml}),
        Target("plan", _plans, _signed, _loaded, "plan.json", _JSON, _prepare_checkpoint),
        Target("report", _reports, trees.mutated, initctl.load_manifest, "report.json", _JSON),
    )  # fmt: skip
    return {target.name: target for target in found}

"""The commands, and the small checkpoints that they work on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_RULE = ("-r", "*.weight=normal")
_ONE_THREAD = ("--threads", "1")


class Scenario(NamedTuple):
    """A command, what makes the files that it finds in its working directory, and what it does to them.

    `is_atomic` says that the files are wholly old or wholly new, whenever the command ends.
    """

    name: str
    arguments: tuple[str, ...]
    prepare: Callable[[Path], None]
    status: int = 0
    is_atomic: bool = True


def one_file(folder: Path) -> None:
    save_file(_tensors("fc"), folder / "net.safetensors")


def one_and_another(folder: Path) -> None:
    one_file(folder)
    save_file({name: value + 1 for name, value in _tensors("fc").items()}, folder / "other.safetensors")


def one_and_a_result(folder: Path) -> None:
    one_file(folder)
    save_file(_tensors("old"), folder / "out.safetensors")


def torch_file(folder: Path) -> None:
    import torch

    torch.save({name: torch.from_numpy(value) for name, value in _tensors("fc").items()}, folder / "net.pt")


def shards(folder: Path) -> None:
    """Two shards with other files beside them, one of them in a folder."""
    home = folder / "model"
    (home / "tokenizer").mkdir(parents=True)
    weight_map = {}
    for number, layer in enumerate(("one", "two"), 1):
        name = f"model-{number:05}-of-00002.safetensors"
        save_file(tensors := _tensors(layer), home / name)
        weight_map |= dict.fromkeys(tensors, name)
    (home / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (home / "config.json").write_text('{"model_type": "unheard_of"}')
    (home / "tokenizer" / "vocabulary.txt").write_text("a\nb\n")
    (home / "link.txt").symlink_to("tokenizer/vocabulary.txt")


def recipe(folder: Path) -> None:
    one_file(folder)
    (folder / "base.toml").write_text('[[rule]]\nmatch = "*.bias"\ninit = "zeros"\n')
    (folder / "recipe.toml").write_text('extends = ["base.toml"]\n[[rule]]\nmatch = "*.weight"\ninit = "ones"\n')


def _tensors(layer: str) -> dict[str, np.ndarray]:
    weight = np.arange(1, 33, dtype=np.float32).reshape(8, 4)
    return {f"{layer}.weight": weight, f"{layer}.bias": np.arange(1, 9, dtype=np.float32)}


SCENARIOS = (
    Scenario("inspect", ("inspect", "net.safetensors"), one_file),
    Scenario("inspect torch", ("inspect", "net.pt"), torch_file),
    Scenario("inspect shards", ("inspect", "model"), shards),
    Scenario("plan", ("plan", "net.safetensors", *_RULE), one_file),
    Scenario("plan recipe", ("plan", "net.safetensors", "-f", "recipe.toml"), recipe),
    Scenario("plan --save", ("plan", "net.safetensors", *_RULE, "--save", "plan.json"), one_file),
    Scenario("verify", ("verify", "net.safetensors", *_RULE, *_ONE_THREAD), one_file, status=1),
    Scenario("stats", ("stats", "model", *_ONE_THREAD), shards),
    Scenario("diff", ("diff", "net.safetensors", "other.safetensors", *_ONE_THREAD), one_and_another, status=1),
    Scenario("doctor", ("doctor", "net.safetensors", "--html", "page.html", *_ONE_THREAD), one_file),
    Scenario("suggest", ("suggest", "model"), shards),
    Scenario("recipe-check", ("recipe-check", "recipe.toml", "net.safetensors"), recipe),
    Scenario("new", ("new", "-o", "new", "--like", "model", "-r", "*=ones", *_ONE_THREAD), shards),
    Scenario("file", ("apply", "net.safetensors", "-o", "out.safetensors", *_RULE, *_ONE_THREAD), one_file),
    Scenario("replace", ("apply", "net.safetensors", "-o", "out.safetensors", *_RULE, *_ONE_THREAD), one_and_a_result),
    Scenario("in place", ("apply", "net.safetensors", "--in-place", *_RULE, *_ONE_THREAD), one_file),
    Scenario("torch in place", ("apply", "net.pt", "--in-place", *_RULE, *_ONE_THREAD), torch_file),
    Scenario("convert", ("apply", "net.safetensors", "-o", "out.pt", *_RULE, *_ONE_THREAD), one_file),
    Scenario("shards", ("apply", "model", "-o", "out", *_RULE, *_ONE_THREAD), shards),
    Scenario("shards in place", ("apply", "model", "--in-place", *_RULE, *_ONE_THREAD), shards),
    Scenario("one shard in place", ("apply", "model", "--in-place", "-r", "one.weight=normal", *_ONE_THREAD), shards),
    Scenario(
        "patch", ("apply", "net.safetensors", "--in-place", "--patch", *_RULE, *_ONE_THREAD), one_file, is_atomic=False
    ),
)
"""Each ends with its `status`, if nothing fails."""

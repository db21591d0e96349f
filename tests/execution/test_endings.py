"""The ending of an output says what is written there; where it cannot, a warning or an error does."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import torch

import initctl
from initctl.execution.output_format import FOREIGN, TEXTS, WRITABLE
from initctl.formats import read_checkpoint
from tests.commit.folders import snapshot
from tests.execution.checkpoints import network, sharded, single
from tests.execution.torch_files import save
from tests.formats.ranks import saved_alone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RULES = ["norm.weight=zeros"]
FILES: dict[str, Callable[[Path], Path]] = {
    "safetensors": lambda folder: single(folder / "in.safetensors"),
    "torch": lambda folder: save(folder / "in.pt", network()),
    "torch-legacy": lambda folder: save(folder / "in.pth", network(), "legacy"),
}
DIRECTORIES: dict[str, Callable[[Path], Path]] = {
    "shards": lambda folder: sharded(folder / "in"),
    "an index": lambda folder: sharded(folder / "in") / "model.safetensors.index.json",
    "a distributed checkpoint": lambda folder: saved_alone(folder / "in", network()),
}
ALL = {**FILES, **DIRECTORIES}


def refused(source: Path, output: Path | str) -> initctl.Problem:
    before = snapshot(source.parent)
    with pytest.raises(initctl.UsageError) as raised:
        initctl.apply(source, output, rules=RULES)
    (problem,) = raised.value.problems
    assert snapshot(source.parent) == before
    return problem


@pytest.mark.parametrize("ending", WRITABLE)
@pytest.mark.parametrize("kind", ALL)
def test_what_is_written_is_what_the_ending_says(tmp_path: Path, kind: str, ending: str):
    out = tmp_path / f"out{ending}"
    applied = initctl.apply(ALL[kind](tmp_path), out, rules=RULES)
    found = read_checkpoint(out)
    assert out.is_file()
    assert found.format.removesuffix("-legacy") == WRITABLE[ending].name
    assert applied.warnings == ()


def test_the_case_of_an_ending_does_not_matter(tmp_path: Path):
    source = single(tmp_path / "in.safetensors")
    initctl.apply(source, tmp_path / "OUT.PT")
    initctl.apply(tmp_path / "OUT.PT", tmp_path / "Out.SafeTensors")
    assert read_checkpoint(tmp_path / "OUT.PT").format == "torch"
    assert read_checkpoint(tmp_path / "Out.SafeTensors").format == "safetensors"
    assert refused(source, tmp_path / "x.GGUF").code == "output.ending"


@pytest.mark.parametrize("ending", FOREIGN)
@pytest.mark.parametrize("kind", ["safetensors", "torch", "shards"])
def test_an_ending_of_another_format_is_an_error(tmp_path: Path, kind: str, ending: str):
    problem = refused(ALL[kind](tmp_path), tmp_path / f"out{ending}")
    assert problem.code == "output.ending"
    assert problem.message == f"{tmp_path}/out{ending}: initctl does not write {FOREIGN[ending]} files"
    assert problem.hint == "name a .safetensors file, a .pt file, or a directory"


@pytest.mark.parametrize("out", ["recipe.toml", "config.json", "tokenizer.json", "plan.json", "model.tar.gz", "w.npz"])
def test_so_are_files_that_people_keep_beside_a_checkpoint(tmp_path: Path, out: str):
    assert refused(single(tmp_path / "in.safetensors"), tmp_path / out).code == "output.ending"


def test_for_an_index_the_directory_is_to_be_named(tmp_path: Path):
    problem = refused(sharded(tmp_path / "in"), tmp_path / "model.safetensors.index.json")
    assert problem.hint == "name the directory of the shards"


UNKNOWN = ("notes.md", "out.weights", "out", "out.v2", "tokenizer.model", "net.py", "out.txt")


@pytest.mark.parametrize("out", UNKNOWN)
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("safetensors", "is written as safetensors; give it the ending .safetensors"),
        ("torch", "is written as a file of torch.save; give it the ending .pt"),
    ],
)
def test_an_unknown_ending_gives_a_warning(tmp_path: Path, kind: str, said: str, out: str):
    applied = initctl.apply(FILES[kind](tmp_path), tmp_path / out, rules=RULES)
    (warning,) = applied.warnings
    assert (warning.code, warning.message) == ("output.ending", f"{tmp_path}/{out}: {said}")
    assert read_checkpoint(tmp_path / out).format == kind


@pytest.mark.parametrize("ending", ["", ".weights", ".pkl", ".zip", ".model"])
@pytest.mark.parametrize("kind", FILES)
def test_the_ending_of_the_input_is_taken_as_it_is(tmp_path: Path, kind: str, ending: str):
    source = FILES[kind](tmp_path).rename(tmp_path / f"mine{ending}")
    applied = initctl.apply(source, tmp_path / f"out{ending}", rules=RULES)
    assert applied.warnings == ()
    assert read_checkpoint(tmp_path / f"out{ending}").format == kind


@pytest.mark.parametrize("out", ["new", "new.v2", "llama-3.1", "step.1000", "global_step5.0"])
@pytest.mark.parametrize("kind", DIRECTORIES)
def test_a_directory_may_be_called_as_it_likes(tmp_path: Path, kind: str, out: str):
    source = DIRECTORIES[kind](tmp_path)
    applied = initctl.apply(source, tmp_path / out, rules=RULES)
    assert (tmp_path / out).is_dir()
    assert applied.warnings == ()


@pytest.mark.parametrize("ending", TEXTS)
def test_no_directory_gets_the_ending_of_a_text(tmp_path: Path, ending: str):
    problem = refused(sharded(tmp_path / "in"), tmp_path / f"out{ending}")
    assert problem.message == f"{tmp_path}/out{ending}: names a file, but the result is a directory"


@pytest.mark.parametrize("out", ["x.pt/", "x.safetensors/", "x.gguf/", "x.md/"])
def test_a_slash_says_that_a_directory_is_meant(tmp_path: Path, out: str):
    initctl.apply(sharded(tmp_path / "in"), f"{tmp_path}/{out}", rules=RULES)
    assert (tmp_path / out.rstrip("/")).is_dir()


@pytest.mark.parametrize("out", ["x.pt", "x.safetensors", "x.gguf"])
def test_so_does_a_directory_that_is_there(tmp_path: Path, out: str):
    shutil.copytree(sharded(tmp_path / "in"), tmp_path / out)
    initctl.apply(tmp_path / "in", tmp_path / out, rules=RULES)
    assert (tmp_path / out / "config.json").is_file()


@pytest.mark.parametrize("out", ["x.pt", "x.md", "x.gguf", "x.safetensors"])
def test_shards_of_a_size_go_to_a_directory_only(tmp_path: Path, out: str):
    with pytest.raises(initctl.UsageError, match="names a file, but `max_shard_size` writes a directory"):
        initctl.apply(single(tmp_path / "in.safetensors"), tmp_path / out, max_shard_size="1KB")


def test_a_torch_file_becomes_safetensors_by_its_ending(tmp_path: Path):
    initctl.apply(save(tmp_path / "in.pt", {"state_dict": network()}), tmp_path / "out.safetensors")
    assert {tensor.name for tensor in read_checkpoint(tmp_path / "out.safetensors").tensors} == set(network())


def test_safetensors_that_are_called_bin_become_what_bin_says(tmp_path: Path):
    source = single(tmp_path / "in.safetensors").rename(tmp_path / "pytorch_model.bin")
    assert initctl.apply(source, tmp_path / "out.bin").converted_to
    assert torch.load(tmp_path / "out.bin").keys() == network().keys()

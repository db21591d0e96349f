"""From safetensors, shards and distributed checkpoints to one file of torch.save, as torch itself would write it."""

from __future__ import annotations

import collections
import json
import stat
import zipfile
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file, save_model

import initctl
from initctl.cli.main import run
from initctl.events import Progress
from tests.commit.folders import snapshot
from tests.events import on
from tests.execution.checkpoints import METADATA, network, sharded, single
from tests.execution.test_converting import RULES, TAGGED, held, tied_model
from tests.execution.torch_files import bits, index_of, save
from tests.formats.ranks import saved_alone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENDINGS = ("pt", "pth", "bin", "ckpt")
ID = ".data/serialization_id"


def bin_shards(folder: Path) -> Path:
    """The network in two shards of torch.save."""
    folder.mkdir()
    parts: dict[str, dict[str, torch.Tensor]] = {"one.bin": {}, "two.bin": {}}
    for number, (name, tensor) in enumerate(network().items()):
        parts[("one.bin", "two.bin")[number % 2]][name] = tensor
    for file, tensors in parts.items():
        torch.save(tensors, folder / file)
    weight_map = [(name, file) for file, tensors in parts.items() for name in tensors]
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index_of(weight_map)))
    return folder


SOURCES: dict[str, Callable[[Path], Path]] = {
    "a safetensors file": lambda folder: single(folder / "in.safetensors"),
    "a file without ending": lambda folder: single(folder / "in"),
    "shards of safetensors": lambda folder: sharded(folder / "model"),
    "an index": lambda folder: sharded(folder / "model") / "model.safetensors.index.json",
    "shards of torch.save": lambda folder: bin_shards(folder / "model"),
    "a distributed checkpoint": lambda folder: saved_alone(folder / "model", network()),
}


def records(path: Path) -> dict[str, bytes]:
    """What an archive holds, by the names below its folder. Its checksums are looked at."""
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", SOURCES)
def test_torch_loads_the_same_tensors_in_every_way(tmp_path: Path, kind: str, ending: str):
    out = tmp_path / f"out.{ending}"
    applied = initctl.apply(SOURCES[kind](tmp_path), out)
    assert (applied.files, applied.converted_to) == ((out.name,), "torch.save's format")
    for mapped in (False, True):
        found = torch.load(out, weights_only=True, mmap=mapped)
        assert type(found) is collections.OrderedDict
        assert held(found) == held(network())


@pytest.mark.parametrize("threads", [1, 3])
def test_the_file_is_what_torch_writes_of_the_same_tensors(tmp_path: Path, threads: int):
    tensors = {f"{number % 7}.{dtype}": bits(dtype, 4, number + 1, seed=number) for number, dtype in enumerate(TAGGED)}
    tensors |= {"é\n": bits(torch.float32, 3), "none": torch.empty(0, 2), "scalar": bits(torch.float32)}
    save_file(tensors, tmp_path / "in.safetensors")
    order = [tensor.name for tensor in initctl.inspect(tmp_path / "in.safetensors").tensors]
    (tmp_path / "theirs").mkdir()
    torch.save(collections.OrderedDict((name, tensors[name]) for name in order), tmp_path / "theirs" / "net.pt")
    initctl.apply(tmp_path / "in.safetensors", tmp_path / "net.pt", threads=threads)
    ours, theirs = (path.read_bytes() for path in (tmp_path / "net.pt", tmp_path / "theirs" / "net.pt"))
    own_id, their_id = (records(path)[ID] for path in (tmp_path / "net.pt", tmp_path / "theirs" / "net.pt"))
    assert own_id[20:] == their_id[20:]  # before that torch has a hash that depends on the C++ library
    begin = theirs.index(their_id)
    assert ours[begin : begin + 40] == own_id
    differing = {at for at in range(len(theirs)) if ours[at : at + 1] != theirs[at : at + 1]}
    listed = theirs.rindex(b"PK\x01\x02") + 16
    id_and_its_checksums = {*range(begin, begin + 20), *range(begin + 44, begin + 48), *range(listed, listed + 4)}
    assert len(ours) == len(theirs)
    assert differing <= id_and_its_checksums


def test_the_same_command_gives_the_same_bytes_and_other_values_another_id(tmp_path: Path):
    source = single(tmp_path / "in.safetensors")
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / folder).mkdir()
        initctl.apply(source, tmp_path / folder / "net.pt", rules=RULES, seed=seed, threads=3)
    one, two, other = (tmp_path / folder / "net.pt" for folder in "abc")
    assert one.read_bytes() == two.read_bytes()
    assert records(one)[ID] != records(other)[ID]


@pytest.mark.parametrize("kind", SOURCES)
def test_ruled_tensors_hold_what_the_safetensors_file_gets(tmp_path: Path, kind: str):
    source = SOURCES[kind](tmp_path)
    initctl.apply(single(tmp_path / "same.safetensors"), tmp_path / "filled.safetensors", rules=RULES, seed=3)
    initctl.apply(source, tmp_path / "out.pt", rules=RULES, seed=3, threads=3)
    assert held(torch.load(tmp_path / "out.pt")) == held(load_file(tmp_path / "filled.safetensors"))
    assert records(tmp_path / "out.pt")["version"] == b"3\n"


def test_ranges_of_rows_and_old_values_go_along(tmp_path: Path):
    source = single(tmp_path / "in.safetensors")
    rules = [
        "embed.weight[10:20]=normal",
        "layers.0.weight=perturb:std=0.1",
        "layers.1.weight=copy:from=layers.0.weight",
    ]
    initctl.apply(source, tmp_path / "filled.safetensors", rules=rules)
    initctl.apply(source, tmp_path / "out.pt", rules=rules)
    assert held(torch.load(tmp_path / "out.pt")) == held(load_file(tmp_path / "filled.safetensors"))


def test_what_went_there_and_back_is_the_same_file(tmp_path: Path):
    save_file(network(), tmp_path / "in.safetensors", metadata={"format": "pt"})
    initctl.apply(tmp_path / "in.safetensors", tmp_path / "net.pt")
    initctl.apply(tmp_path / "net.pt", tmp_path / "back.safetensors")
    assert (tmp_path / "back.safetensors").read_bytes() == (tmp_path / "in.safetensors").read_bytes()


class TestTies:
    def saved(self, folder: Path) -> Path:
        save_model(tied_model(), str(folder / "in.safetensors"))
        return folder / "in.safetensors"

    def test_are_one_storage_under_all_names(self, tmp_path: Path):
        initctl.apply(self.saved(tmp_path), tmp_path / "out.pt")
        found = torch.load(tmp_path / "out.pt")
        model = tied_model()
        assert model.load_state_dict(found) == ([], [])
        assert len({found[f"{name}.weight"].data_ptr() for name in "azm"}) == 1
        assert len([name for name in records(tmp_path / "out.pt") if name.startswith("data/")]) == 4

    def test_of_shards_of_torch_are_one_storage_too(self, tmp_path: Path):
        (tmp_path / "model").mkdir()
        torch.save(tied_model().state_dict(), tmp_path / "model" / "one.bin")
        weight_map = [(name, "one.bin") for name in tied_model().state_dict()]
        (tmp_path / "model" / "pytorch_model.bin.index.json").write_text(json.dumps(index_of(weight_map)))
        initctl.apply(tmp_path / "model", tmp_path / "out.pt")
        assert len([name for name in records(tmp_path / "out.pt") if name.startswith("data/")]) == 4

    def test_get_the_same_values_before_and_after(self, tmp_path: Path):
        source, rules = self.saved(tmp_path), ["{a,m,z}.weight=normal"]
        initctl.apply(source, tmp_path / "filled.pt", rules=rules, allow_unused=True)
        initctl.apply(source, tmp_path / "kept.pt")
        initctl.apply(tmp_path / "kept.pt", tmp_path / "then.pt", rules=rules)
        assert held(torch.load(tmp_path / "filled.pt")) == held(torch.load(tmp_path / "then.pt"))

    def test_are_verified_by_a_plan_of_the_original(self, tmp_path: Path):
        source, name = self.saved(tmp_path), next(iter(load_file(self.saved(tmp_path))))
        kept = next(name for name in load_file(source) if name.endswith("weight"))
        initctl.plan(source, rules=[f"{kept}=normal"]).save(tmp_path / "plan.json")
        initctl.apply(initctl.load_plan(tmp_path / "plan.json", source), tmp_path / "out.pt")
        assert initctl.verify(initctl.load_plan(tmp_path / "plan.json", result=tmp_path / "out.pt")).holds
        assert initctl.verify(initctl.load_plan(tmp_path / "plan.json", source), tmp_path / "out.pt").holds
        assert name in torch.load(tmp_path / "out.pt")


def test_only_the_root_of_a_distributed_checkpoint_is_taken(tmp_path: Path):
    state = {"model": network(), "optim": {"state": torch.ones(4)}}
    saved_alone(tmp_path / "in", state)
    initctl.apply(tmp_path / "in", tmp_path / "out.pt", root="model")
    assert held(torch.load(tmp_path / "out.pt")) == held(network())


def test_a_torch_file_stays_what_it_is_whatever_torch_ending_it_gets(tmp_path: Path):
    state = {"model": network(), "epoch": 3}
    source = save(tmp_path / "in.pt", state)
    applied = initctl.apply(source, tmp_path / "out.ckpt", rules=["norm.weight=zeros"])
    assert not applied.converted_to
    assert torch.load(tmp_path / "out.ckpt", weights_only=False)["epoch"] == 3


def test_transformers_loads_the_result_as_its_pytorch_model(tmp_path: Path):
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=64, n_positions=32, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config)
    model.save_pretrained(tmp_path / "saved")
    config.save_pretrained(tmp_path / "model")
    initctl.apply(tmp_path / "saved" / "model.safetensors", tmp_path / "model" / "pytorch_model.bin")
    loaded, loading = GPT2LMHeadModel.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(loading.values())
    assert held(loaded.state_dict()) == held(model.state_dict())


def test_a_module_loads_what_came_of_its_safetensors(tmp_path: Path):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
    save_file(model.state_dict(), tmp_path / "in.safetensors")
    initctl.apply(tmp_path / "in.safetensors", tmp_path / "out.pt", rules=["0.weight=kaiming_normal"])
    assert model.load_state_dict(torch.load(tmp_path / "out.pt", weights_only=True)) == ([], [])


def test_progress_reaches_its_total(tmp_path: Path):
    told = []
    initctl.apply(
        single(tmp_path / "in.safetensors"), tmp_path / "out.pt", rules=RULES, on_event=on(Progress, told.append)
    )
    assert max(progress.done for progress in told) == told[-1].done == told[-1].total


def test_modes_follow_the_input(tmp_path: Path):
    source = single(tmp_path / "in.safetensors")
    source.chmod(0o640)
    initctl.apply(source, tmp_path / "out.pt")
    assert stat.S_IMODE((tmp_path / "out.pt").stat().st_mode) == 0o640


def handwritten(path: Path, dtype: str, shape: list[int], nbytes: int) -> Path:
    header = json.dumps({"w": {"dtype": dtype, "shape": shape, "data_offsets": [0, nbytes]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(nbytes))
    return path


@pytest.mark.parametrize(
    ("dtype", "name"), [("F4", "float4_e2m1fn"), ("F6_E2M3", "float6_e2m3fn"), ("F6_E3M2", "float6_e3m2fn")]
)
def test_elements_below_a_byte_are_refused(tmp_path: Path, dtype: str, name: str):
    source = handwritten(tmp_path / "in.safetensors", dtype, [16], 8 if dtype == "F4" else 12)
    before = snapshot(tmp_path)
    with pytest.raises(initctl.FitError) as raised:
        initctl.apply(source, tmp_path / "out.pt")
    (problem,) = raised.value.problems
    assert problem.code == "convert.unfit"
    unfit = f"torch has no dtype for single elements of {4 if dtype == 'F4' else 6} bits ({name})"
    assert problem.message == f"tensor w: cannot be written to torch.save's format: {unfit}"
    assert snapshot(tmp_path) == before


def test_an_empty_checkpoint_is_refused(tmp_path: Path):
    save_file({}, tmp_path / "in.safetensors")
    with pytest.raises(initctl.FitError, match="has no tensors to convert"):
        initctl.apply(tmp_path / "in.safetensors", tmp_path / "out.pt")


@pytest.mark.parametrize("source", ["a safetensors file", "shards of safetensors", "shards of torch.save"])
def test_shards_of_a_size_are_refused(tmp_path: Path, source: str):
    path = SOURCES[source](tmp_path)
    with pytest.raises(initctl.UsageError, match="names a file, but `max_shard_size` writes a directory"):
        initctl.apply(path, tmp_path / "pytorch_model.bin", max_shard_size="1GB")


def test_an_optimizer_is_not_reset_in_a_conversion(tmp_path: Path):
    tensors = {name: tensor for name, tensor in network().items() if name != "steps"}
    moments = {name: {"step": torch.ones(()), "exp_avg": torch.ones_like(tensor)} for name, tensor in tensors.items()}
    groups = [{"lr": 0.1, "params": list(tensors)}]
    saved_alone(tmp_path / "in", {"model": tensors, "optim": {"state": moments, "param_groups": groups}})
    rules = ["norm.weight=ones"]
    with pytest.raises(
        initctl.UsageError, match="cannot be used in a conversion, which writes only the weights"
    ) as raised:
        initctl.apply(tmp_path / "in", tmp_path / "out.pt", rules=rules, reset_optimizer=True)
    assert "reset it first and convert the result" in str(raised.value)
    initctl.apply(tmp_path / "in", tmp_path / "reset", rules=rules, reset_optimizer=True)
    initctl.apply(tmp_path / "reset", tmp_path / "out.pt")
    assert initctl.verify(tmp_path / "in", tmp_path / "out.pt", rules=rules).holds


def test_metadata_that_has_no_place_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert METADATA.keys() > {"alpha", "note", "zeta"}
    single(tmp_path / "in.safetensors")
    assert run(("apply", str(tmp_path / "in.safetensors"), "-o", str(tmp_path / "out.pt"))) == 0
    left = "metadata (alpha, note, zeta)"
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"wrote {tmp_path}/out.pt (1 file), converted to torch.save's format without {left}"

"""From torch.save to safetensors, and from one file to shards and back: what the library itself would have written."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, load_model, save_file
from safetensors.torch import save as save_bytes

import initctl
from initctl.cli.main import run
from initctl.events import Progress
from initctl.stream import Normal
from tests.commit.folders import snapshot
from tests.events import on
from tests.execution.checkpoints import network, raw_bytes, recomputed, single
from tests.execution.torch_files import FORMATS, WRAPPED, bits, damage, lightning, load, save
from tests.execution.torch_files import network as laid_out

if TYPE_CHECKING:
    from pathlib import Path

formats = pytest.mark.parametrize("kind", FORMATS)
TAGGED = (
    torch.bool, torch.uint8, torch.int8, torch.uint16, torch.int16, torch.uint32, torch.int32, torch.uint64,
    torch.int64, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz,
    torch.float8_e8m0fnu, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64,
)  # fmt: skip
RULES = ["*.bias=zeros", "layers.*.weight=normal:std=0.02", "embed.weight=orthogonal"]


def contiguous(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.clone().contiguous() for name, tensor in tensors.items()}


def held(tensors: dict[str, torch.Tensor]) -> dict[str, bytes]:
    return {name: raw_bytes(tensor) for name, tensor in tensors.items()}


@formats
@pytest.mark.parametrize("threads", [1, 3])
def test_the_file_is_what_the_library_writes_of_the_same_tensors(tmp_path: Path, kind: str, threads: int):
    tensors = {f"{number % 7}.{dtype}": bits(dtype, 4, number + 1, seed=number) for number, dtype in enumerate(TAGGED)}
    tensors |= {
        "é\n\u2028\"'\\\b\x01\x1f\x7f": bits(torch.float32, 3),
        "none": torch.empty(0, 2),
        "scalar": bits(torch.float32),
    }
    source = save(tmp_path / "model.pt", tensors, kind)
    initctl.apply(source, tmp_path / "out.safetensors", threads=threads)
    content = (tmp_path / "out.safetensors").read_bytes()
    assert content == save_bytes(tensors, metadata={"format": "pt"})
    save_file(tensors, tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    assert content == (tmp_path / "theirs.safetensors").read_bytes()


@pytest.mark.parametrize("dtype", TAGGED, ids=str)
def test_every_dtype_is_brought_into_row_major_order(tmp_path: Path, dtype: torch.dtype):
    whole = bits(dtype, 9, 10)
    tensors = {"t": bits(dtype, 5, 4).T, "v": whole[1:8:2, 3:], "e": bits(dtype, 3, 1).expand(2, 3, 4), "w": whole}
    initctl.apply(save(tmp_path / "model.pt", tensors), tmp_path / "out.safetensors")
    wanted = save_bytes(contiguous(tensors), metadata={"format": "pt"})
    assert (tmp_path / "out.safetensors").read_bytes() == wanted


@formats
@pytest.mark.parametrize("wrapped", WRAPPED)
def test_the_tensors_of_the_root_are_converted_and_no_others(tmp_path: Path, kind: str, wrapped: str):
    tensors = laid_out()
    source = save(tmp_path / "model.ckpt", WRAPPED[wrapped](tensors), kind)
    applied = initctl.apply(source, tmp_path / "out.safetensors")
    found = load_file(tmp_path / "out.safetensors")
    tensors.pop("head.weight")
    assert held(found) == held(tensors)
    assert applied.files == ("out.safetensors",)


def test_the_same_command_gives_the_same_bytes(tmp_path: Path):
    tensors = laid_out()
    tensors |= {f"tied.{number}": tensors["norm.bias"] for number in range(20)}
    source = save(tmp_path / "model.pt", tensors)
    for out in ("one.safetensors", "two.safetensors"):
        initctl.apply(source, tmp_path / out, threads=3)
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()


def tied_model() -> torch.nn.Module:
    model = torch.nn.ModuleDict({"z": torch.nn.Linear(4, 4), "a": torch.nn.Linear(4, 4), "m": torch.nn.Linear(4, 4)})
    model["z"].weight = model["m"].weight = model["a"].weight
    return model


@formats
def test_ties_are_written_once_under_their_first_name_in_the_state_dict_and_the_others_noted(tmp_path: Path, kind: str):
    model = tied_model()
    initctl.apply(save(tmp_path / "model.pt", model.state_dict(), kind), tmp_path / "out.safetensors")
    assert sorted(load_file(tmp_path / "out.safetensors")) == ["a.bias", "m.bias", "z.bias", "z.weight"]
    assert notes(tmp_path / "out.safetensors") == {"format": "pt", "a.weight": "z.weight", "m.weight": "z.weight"}
    read = tied_model()
    assert load_model(read, tmp_path / "out.safetensors") == (set(), [])
    assert held(read.state_dict()) == held(model.state_dict())


@formats
def test_a_tied_tensor_gets_the_same_values_before_and_after_conversion(tmp_path: Path, kind: str):
    rules = ["{a,m,z}.weight=normal"]
    source = save(tmp_path / "model.pt", tied_model().state_dict(), kind)
    initctl.apply(source, tmp_path / "filled.safetensors", rules=rules)
    initctl.apply(source, tmp_path / "kept.safetensors")
    initctl.apply(tmp_path / "kept.safetensors", tmp_path / "then.safetensors", rules=rules)
    first, then = (load_file(tmp_path / name)["z.weight"] for name in ("filled.safetensors", "then.safetensors"))
    assert raw_bytes(first) == raw_bytes(then) == raw_bytes(recomputed("a.weight", Normal(0, 1), (4, 4)))


TIED = {
    "without the wrapper's prefix": ["module.embed.weight", "module.l.weight", "lm_head.weight"],
    "with one prefix more": ["module.b", "module.c", "module.module.a"],
    "with one prefix less": ["module.module.b", "module.module.c", "module.a"],
    "to what is called format": ["weight", "l.weight", "format"],
    "to what is called format in a wrapper": ["_orig_mod.weight", "_orig_mod.l", "format"],
}
"""Names of a state dict, the third tied to the first."""


@pytest.mark.parametrize("size", [None, "70B"])
@pytest.mark.parametrize("tied", TIED)
def test_values_stay_the_same_after_conversion_whatever_a_tensor_is_tied_to(
    tmp_path: Path, tied: str, size: str | None
):
    first, other, last = TIED[tied]
    one = bits(torch.float32, 4, 4)
    source = save(tmp_path / "model.pt", {first: one, other: bits(torch.float32, 4, 4), last: one})
    initctl.apply(source, tmp_path / "filled.pt", rules=["*=normal"])
    filled = load(tmp_path / "filled.pt")
    out = "converted" if size else "converted.safetensors"
    initctl.apply(source, tmp_path / out, max_shard_size=size)
    initctl.apply(tmp_path / out, tmp_path / "then.safetensors", rules=["*=normal"], max_shard_size=None)
    then = load_file(tmp_path / "then.safetensors")
    assert sorted(map(raw_bytes, then.values())) == sorted(raw_bytes(filled[name]) for name in (first, other))


def test_names_that_a_wrapped_file_notes_stay_aliases_in_another(tmp_path: Path):
    save_file(
        {"module.z": torch.ones(2), "module.w": torch.ones(2)},
        tmp_path / "in.safetensors",
        metadata={"module.m": "module.z"},
    )
    initctl.apply(tmp_path / "in.safetensors", tmp_path / "out", max_shard_size="8B")
    assert {t.name: t.aliases for t in initctl.inspect(tmp_path / "out").tensors} == {"w": (), "z": ("m",)}


@formats
def test_a_part_of_a_model_finds_its_tied_tensors_in_the_result(tmp_path: Path, kind: str):
    from transformers import AutoModel, GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=64, n_positions=32, n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0)
    config.save_pretrained(tmp_path / "model")
    source = save(tmp_path / "pytorch_model.bin", GPT2LMHeadModel(config).state_dict(), kind)
    initctl.apply(source, tmp_path / "model" / "model.safetensors")
    _, loading = AutoModel.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not loading["missing_keys"]


def notes(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as opened:
        return opened.metadata()


def test_a_tie_that_is_called_format_does_not_replace_the_format(tmp_path: Path):
    one = bits(torch.float32, 3)
    initctl.apply(save(tmp_path / "model.pt", {"a": one, "format": one}), tmp_path / "out.safetensors")
    assert notes(tmp_path / "out.safetensors") == {"format": "pt", "a": "format"}
    assert held(load_file(tmp_path / "out.safetensors")) == {"format": raw_bytes(one)}


@formats
def test_transformers_loads_the_result(tmp_path: Path, kind: str):
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=64, n_positions=32, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0, pad_token_id=0
    )
    model = GPT2LMHeadModel(config)
    config.save_pretrained(tmp_path / "model")
    initctl.apply(
        save(tmp_path / "pytorch_model.bin", model.state_dict(), kind), tmp_path / "model" / "model.safetensors"
    )
    loaded, loading = GPT2LMHeadModel.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(loading.values())
    assert loaded.lm_head.weight is loaded.transformer.wte.weight
    assert held(loaded.state_dict()) == held(model.state_dict())


@formats
@pytest.mark.parametrize("size", [None, "300B"])
def test_ruled_tensors_hold_what_the_safetensors_file_gets(tmp_path: Path, kind: str, size: str | None):
    tensors = network()
    source = save(tmp_path / "model.pt", tensors, kind)
    save_file(tensors, tmp_path / "same.safetensors")
    initctl.apply(tmp_path / "same.safetensors", tmp_path / "filled.safetensors", rules=RULES, seed=3)
    out = tmp_path / ("out.safetensors" if size is None else "out")
    initctl.apply(source, out, rules=RULES, seed=3, max_shard_size=size, threads=3)
    files = [out] if size is None else sorted(out.glob("*.safetensors"))
    assert len(files) == (1 if size is None else 4)
    found = {name: tensor for file in files for name, tensor in load_file(file).items()}
    assert held(found) == held(load_file(tmp_path / "filled.safetensors"))
    assert raw_bytes(load(source)["embed.weight"]) == raw_bytes(tensors["embed.weight"])


@pytest.mark.parametrize("size", [None, "300B"])
def test_progress_reaches_its_total(tmp_path: Path, size: str | None):
    source, told = save(tmp_path / "model.pt", network()), []
    out = tmp_path / ("out.safetensors" if size is None else "out")
    initctl.apply(source, out, rules=RULES, max_shard_size=size, on_event=on(Progress, told.append))
    assert max(progress.done for progress in told) == told[-1].done == told[-1].total


def test_modes_follow_the_input(tmp_path: Path):
    source = save(tmp_path / "model.pt", network())
    source.chmod(0o640)
    initctl.apply(source, tmp_path / "out.safetensors")
    initctl.apply(source, tmp_path / "out", max_shard_size="1KB")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert (modes.pop("model.pt"), modes.pop("out.safetensors"), modes.pop("out")) == (0o640, 0o640, 0o750)
    assert set(modes.values()) == {0o640}


UNFIT = {
    "quantized": lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
    "on the meta device": lambda: torch.ones(3, device="meta"),
    "complex128": lambda: torch.ones(3, dtype=torch.complex128),
    "conj bit": lambda: torch.ones(3, dtype=torch.complex64).conj(),
    "sparse": lambda: torch.eye(3).to_sparse(),
    "sparse, csr": lambda: torch.eye(3).to_sparse_csr(),
}
"""Tensors that safetensors cannot hold, by a word that says so."""
MISNAMED = {"__metadata__": "uses this name for metadata", "a\ud800": ""}


class TestIsRefusedAndNothingWritten:
    def refused(
        self, source: Path, output: str, error: type, code: str, count: int = 1, **options: Any
    ) -> list[initctl.Problem]:
        before = snapshot(source.parent)
        with pytest.raises(initctl.InitctlError) as raised:
            initctl.apply(source, f"{source.parent}/{output}", **options)
        assert type(raised.value) is error
        assert [problem.code for problem in raised.value.problems] == [code] * count
        assert snapshot(source.parent) == before
        return list(raised.value.problems)

    @pytest.mark.filterwarnings("ignore")  # of quantized and of sparse tensors torch has something to say
    @pytest.mark.parametrize("out", ["out.safetensors", "out/"])
    @pytest.mark.parametrize("unfit", UNFIT)
    def test_what_safetensors_cannot_hold(self, tmp_path: Path, unfit: str, out: str):
        source = save(tmp_path / "model.pt", {"first": UNFIT[unfit](), "w": torch.ones(2), "last": UNFIT[unfit]()})
        for problem in self.refused(source, out, initctl.FitError, "convert.unfit", 2):
            assert unfit.partition(",")[0] in problem.message.partition("cannot be written to safetensors: ")[2]

    def test_what_is_larger_than_any_file(self, tmp_path: Path):
        source = save(tmp_path / "model.pt", {"a": torch.zeros(4, 2), "b": torch.zeros(4, 2)})
        self.refused(source, "out.safetensors", initctl.FitError, "convert.unfit", rows={"*": 2**59}, rules=["*=zeros"])

    def test_what_holds_no_tensors(self, tmp_path: Path):
        self.refused(save(tmp_path / "model.pt", {}), "out.safetensors", initctl.FitError, "convert.empty")

    @pytest.mark.parametrize("name", MISNAMED)
    def test_names_that_safetensors_cannot_hold(self, tmp_path: Path, name: str):
        source = save(tmp_path / "model.pt", {name: torch.ones(2), "w": torch.ones(2)})
        (problem,) = self.refused(source, "out.safetensors", initctl.FitError, "convert.unfit")
        assert MISNAMED[name] in problem.message

    def test_having_no_rules_where_nothing_is_converted(self, tmp_path: Path):
        source = save(tmp_path / "model.pt", network())
        self.refused(source, "out.pt", initctl.UsageError, "usage.no_rules")
        self.refused(single(tmp_path / "in.safetensors"), "x.safetensors", initctl.UsageError, "usage.no_rules")

    def test_options_that_do_not_go_together(self, tmp_path: Path):
        source = save(tmp_path / "model.ckpt", lightning(network()))
        reset = {"rules": RULES, "reset_optimizer": True}
        self.refused(source, "out.safetensors", initctl.UsageError, "output.reset_optimizer", **reset)
        self.refused(source, "out/", initctl.UsageError, "usage.shard_size", max_shard_size="5 parsecs")
        with pytest.raises(initctl.UsageError, match="`max_shard_size` has no effect with in_place=True"):
            initctl.apply(source, in_place=True, rules=RULES, max_shard_size="5GB")

    def test_a_directory_that_holds_strangers(self, tmp_path: Path):
        source = save(tmp_path / "model.pt", network())
        initctl.apply(source, f"{tmp_path}/out/", max_shard_size="300B")
        initctl.apply(source, f"{tmp_path}/out/", max_shard_size="300B")
        (tmp_path / "out" / "mine").touch()
        self.refused(source, "out", initctl.ConflictError, "output.strangers", max_shard_size="300B")

    def test_a_damaged_record_though_a_rule_fills_it(self, tmp_path: Path):
        source, tensors = tmp_path / "model.pt", laid_out()
        damage(save(source, tensors), tensors["norm.weight"])
        self.refused(source, "out.safetensors", initctl.InputError, "archive.checksum", rules=["norm.weight=ones"])


def test_an_optimizer_that_a_conversion_leaves_out_comes_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(3)).sum().backward()
    optimizer.step()
    held = {"epoch": 3, "state_dict": net.state_dict(), "optimizer_states": [optimizer.state_dict()]}
    torch.save({**held, "teacher": {"w": torch.ones(7)}}, tmp_path / "in.ckpt")
    assert run(("apply", str(tmp_path / "in.ckpt"), "-o", str(tmp_path / "out.safetensors"))) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("(1 file), converted to safetensors without the optimizer (6 tensors), teacher, epoch")

"""Files in which each rank saved its own part: the natural loop over them would give all ranks the same values."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.formats.parts import ranks
from tests.formats.ranks import WORLDS, saved_alone

if TYPE_CHECKING:
    from pathlib import Path

LAYOUTS = {
    "Megatron-LM": ("mp_rank_00/model_optim_rng.pt", "mp_rank_01/model_optim_rng.pt", "tools/checkpoint/convert.py"),
    "Megatron-LM ": ("mp_rank_00_000/model_rng.pt", "mp_rank_00_001/model_rng.pt", "--target-pipeline-parallel-size 1"),
    "Megatron-LM  ": ("mp_rank_00/model_weights.ckpt", "mp_rank_01/model_weights.ckpt", "merge the ranks first"),
    "NeMo": ("tp_rank_00_pp_rank_000/w.ckpt", "tp_rank_01_pp_rank_000/w.ckpt", "megatron_change_num_partitions.py"),
    "Llama": ("consolidated.00.pth", "consolidated.01.pth", "convert_llama_weights_to_hf.py of transformers"),
    "DeepSpeed": ("mp_rank_00_model_states.pt", "mp_rank_01_model_states.pt", "tools/convert_checkpoint"),
    "DeepSpeed's pipelines": (
        "layer_00-model_00-model_states.pt", "layer_01-model_00-model_states.pt", "convert_neox_to_hf.py"
    ),
    "DeepSpeed ZeRO": (
        "zero_pp_rank_0_mp_rank_00_model_states.pt", "zero_pp_rank_1_mp_rank_00_model_states.pt", "zero_to_fp32.py"
    ),
    "verl": ("model_world_size_2_rank_0.pt", "model_world_size_2_rank_1.pt", "verl.model_merger merge --backend fsdp"),
    "accelerate's FSDP": ("pytorch_model_fsdp_rank0.bin", "pytorch_model_fsdp_rank1.bin", "FULL_STATE_DICT"),
    "InternEvo": ("model_tp0_pp0.pt", "model_tp1_pp0.pt", "convert2hf.py of InternEvo"),
    "InternEvo ": ("model_tp0_wp0_pp0.pt", "model_tp0_wp1_pp0.pt", "convert2hf.py of InternEvo"),
    "nanotron": (
        "weight_pp-rank-0-of-1_tp-rank-0-of-2.safetensors", "weight_pp-rank-0-of-1_tp-rank-1-of-2.safetensors",
        "convert_nanotron_to_hf.py",
    ),
    "vLLM's sharded state": (
        "model-rank-0-part-0.safetensors", "model-rank-1-part-0.safetensors", "input of save_sharded",
    ),
    "fairseq": ("last-model_part-0-shard0.pt", "last-model_part-0-shard1.pt", "consolidate_fsdp_shards"),
    "fairseq ": ("last-shard0.pt", "last-shard1.pt", "consolidate_fsdp_shards"),
    "TensorRT-LLM": ("rank0.safetensors", "rank1.safetensors", "the input of convert_checkpoint.py"),
    "a training job": ("step10.rank_0.pt", "step10.rank_1.pt", "unless each of them contains the whole model"),
}  # fmt: skip
"""For each writer the files of two ranks, and a part of what to do; spaces tell layouts of one writer apart."""


def save(path: Path, value: Any = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file({"w": torch.ones(2)}, path)
    else:
        torch.save(value or {"w": torch.ones(2)}, path)
    return path


def warnings(path: Path) -> list[str]:
    return [str(warning) for warning in initctl.inspect(path).warnings if warning.code == "file.rank"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_rank_s_file_that_is_named_by_itself_says_what_to_run_first(tmp_path: Path, layout: str):
    first, second, remedy = LAYOUTS[layout]
    paths = [save(tmp_path / "in" / name) for name in (first, second)]
    for path in paths:
        (warning,) = warnings(path)
        assert warning.startswith(
            f"{path}: is one rank's file of {layout.strip()}; all ranks would get the same values; "
        )
        assert remedy in warning


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_that_no_other_rank_is_beside_is_not_warned_of(tmp_path: Path, layout: str):
    """Llama 7B is one `consolidated.00.pth`; verl's and nanotron's names say how many ranks there are."""
    only = save(tmp_path / LAYOUTS[layout][0])
    save(tmp_path / "adapter.pt")
    assert bool(warnings(only)) == (layout in ("verl", "nanotron"))


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if "/" not in LAYOUTS[name][0]])
def test_a_directory_of_ranks_does_not_ask_for_an_index(tmp_path: Path, layout: str):
    first, second, remedy = LAYOUTS[layout]
    for name in (first, second):
        save(tmp_path / name)
    with pytest.raises(initctl.InputError) as raised:
        initctl.inspect(tmp_path)
    told = str(raised.value)
    assert told.startswith(
        f"{tmp_path}: contains {first}, {second}: each rank of {layout.strip()} saved its own part of the tensors; "
    )
    assert remedy in told
    assert "index" not in told


def test_a_relative_path_finds_the_other_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for rank in (0, 1):
        save(tmp_path / f"iter_10/mp_rank_0{rank}/model_optim_rng.pt")
    for here, path in (("iter_10/mp_rank_01", "model_optim_rng.pt"), ("iter_10", "mp_rank_01/model_optim_rng.pt")):
        monkeypatch.chdir(tmp_path / here)
        assert [text.partition(":")[0] for text in warnings_of(path)] == [path]


def warnings_of(path: str) -> list[str]:
    return [str(warning) for warning in initctl.inspect(path).warnings]


def test_the_directory_of_one_rank_is_warned_of_too(tmp_path: Path):
    for rank in (0, 1):
        save(tmp_path / f"mp_rank_0{rank}/model_optim_rng.pt")
    assert "is one rank's file of Megatron-LM" in warnings(tmp_path / "mp_rank_01")[0]


def test_the_directory_above_the_folders_of_ranks_is_refused_with_what_merges_them(tmp_path: Path):
    for rank in (0, 1):
        save(tmp_path / f"mp_rank_0{rank}/model_optim_rng.pt")
    with pytest.raises(initctl.InputError, match=r"saved its own part .*, in mp_rank_00, mp_rank_01; merge the ranks"):
        initctl.inspect(tmp_path)


@pytest.mark.parametrize(("beside", "told"), [
    ({"args": argparse.Namespace(tensor_model_parallel_size=2)}, "tensor_model_parallel_size=2"),
    ({"args": argparse.Namespace(pipeline_model_parallel_size=4)}, "pipeline_model_parallel_size=4"),
    ({"args": {"model_parallel_size": 8}}, "model_parallel_size=8"),
    ({"mp_world_size": 2, "dp_world_size": 1}, "mp_world_size=2"),
    ({"hyper_parameters": {"cfg": {"tensor_model_parallel_size": 2}}}, "tensor_model_parallel_size=2"),
])  # fmt: skip
def test_a_file_that_says_it_was_saved_with_several_ranks_is_warned_of_under_any_name(
    tmp_path: Path, beside: Any, told: str
):
    path = save(tmp_path / "model.pt", {"model": {"w": torch.ones(2)}, **beside})
    (warning,) = warnings(path)
    assert warning == (
        f"{path}: is one rank's file (it was saved with {told}); all ranks would get the same values; "
        "merge the ranks first, or save the full state dict"
    )


@pytest.mark.parametrize("beside", [
    {"args": argparse.Namespace(tensor_model_parallel_size=1, pipeline_model_parallel_size=1)},
    {"args": argparse.Namespace(tensor_model_parallel_size=None)},
    {"args": argparse.Namespace(tensor_model_parallel_size=torch.ones(2))},
    {"args": argparse.Namespace(tensor_model_parallel_size="2")},
    {"mp_world_size": 1, "args": None},
    {"args": [2]},
])  # fmt: skip
def test_one_rank_s_whole_model_is_not_warned_of(tmp_path: Path, beside: Any):
    assert warnings(save(tmp_path / "model.pt", {"model": {"w": torch.ones(2)}, **beside})) == []


@pytest.mark.parametrize("names", [
    ("lora_rank_8.safetensors", "lora_rank_16.safetensors"),
    ("consolidated.00.pth", "consolidated.00.bin"),
    ("epoch_0.pt", "epoch_1.pt"),
    ("frank1.pt", "frank0.pt"),
    ("mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_optim_states.pt"),
])  # fmt: skip
def test_files_that_only_look_like_ranks_are_not_warned_of(tmp_path: Path, names: tuple[str, str]):
    for name in names:
        save(tmp_path / name)
    assert [warnings(tmp_path / name) for name in names] == [[], []]


@pytest.mark.parametrize("world", WORLDS)
def test_dtensors_of_a_rank_are_named_and_say_why_no_rule_fills_them(saved: Path, world: int):
    """As verl saves `model.state_dict()` of fully_shard on each rank."""
    path = saved / f"rank-files-{world}" / f"model_world_size_{world}_rank_0.pt"
    (warning,) = warnings(path)
    assert ("of verl; " in warning) == (world > 1)
    with pytest.raises(initctl.FitError) as raised:
        initctl.plan(path, rules=["rows=zeros"])
    reason = "it is a tensor subclass, torch.distributed.tensor.DTensor, and each rank saved a part of it"
    assert reason in str(raised.value)


def test_a_file_of_a_distributed_checkpoint_names_its_directory(tmp_path: Path):
    folder = saved_alone(tmp_path / "dcp", {"model": {"w": torch.ones(2), "v": torch.ones(3)}})
    with pytest.raises(initctl.InputError) as raised:
        initctl.inspect(folder / "__0_0.distcp")
    assert str(raised.value) == (
        f"{folder / '__0_0.distcp'}: is one file of a torch.distributed.checkpoint directory; "
        f"name the directory: {folder}"
    )


def test_every_row_of_the_table_is_tested():
    assert {row.writer for row in ranks.LAYOUTS} == {layout.strip() for layout in LAYOUTS}

"""Files in which each rank of a parallel training job saved its own part of the tensors, under the same names.

A value depends on the tensor's name and the element's index. So the same rules give the same values to the files of all
ranks, and a matrix merged from them would repeat these values.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from initctl.errors import InputError, Problem, listed, shown
from initctl.formats.opening import names_in, status_at
from initctl.grouping import grouped


class Ranks(NamedTuple):
    """How a `writer` names the files of ranks, and what to do about them.

    `path` matches the last part of a path, or the last two. Its groups differ from rank to rank, except those named
    `of…`, which are the number of ranks.
    """

    writer: str
    path: str
    remedy: str

    @property
    def depth(self) -> int:
        """How many parts of a path `path` matches."""
        return 2 if "/" in self.path else 1

    def match(self, path: str) -> re.Match[str] | None:
        """The match with the last parts of `path`, if they name a file of a rank, which has a number."""
        place = "/".join(path.split("/")[-self.depth :])
        return re.fullmatch(self.path, place, re.DOTALL) if any(map(str.isdigit, place)) else None


class _File(NamedTuple):
    """A file of a rank: its layout, the part of its name that all ranks share, and its own numbers."""

    ranks: Ranks
    alike: str
    numbers: tuple[str, ...]
    of: int


LAYOUTS = (
    # deepspeed/runtime/engine.py: _get_ckpt_name, _get_optimizer_ckpt_name
    Ranks(
        "DeepSpeed ZeRO",
        r"(?:bf16_|fp16_)?zero_pp_rank_(\d+)_mp_rank_(\d+)_(?:model|optim)_states\.pt",
        "run zero_to_fp32.py, which DeepSpeed puts beside these files, and name its output",
    ),
    Ranks(
        "DeepSpeed",
        r"mp_rank_(\d+)_model_states\.pt",
        "merge the ranks first, as tools/convert_checkpoint of Megatron-DeepSpeed does",
    ),
    # deepspeed/runtime/pipe/module.py: ckpt_layer_path, for pipelines (GPT-NeoX): only the file's name has the layer
    Ranks(
        "DeepSpeed's pipelines",
        r"layer_(\d+)-model_(\d+)-model_states\.pt",
        "merge layers and ranks first, as tools/ckpts/convert_neox_to_hf.py of GPT-NeoX does",
    ),
    # megatron/training/checkpointing.py: get_checkpoint_name; NeMo saves model_weights.ckpt in the same folders
    Ranks(
        "Megatron-LM",
        r"mp_rank_(\d+)(?:_(\d+))?(?:_(\d+))?/[^/]+\.(?:pt|pth|ckpt)",
        "merge the ranks first: tools/checkpoint/convert.py of Megatron-LM with --target-tensor-parallel-size 1 "
        "and --target-pipeline-parallel-size 1",
    ),
    # nemo/utils/model_utils.py: inject_model_parallel_rank
    Ranks(
        "NeMo",
        r"tp_rank_(\d+)_pp_rank_(\d+)/[^/]+\.(?:pt|ckpt)",
        "merge the ranks first, as NeMo's megatron_change_num_partitions.py does",
    ),
    # llama/generation.py of meta-llama
    Ranks(
        "Llama",
        r"consolidated\.(\d\d)\.pth",
        "merge the ranks first, as convert_llama_weights_to_hf.py of transformers does",
    ),
    # verl/utils/checkpoint/fsdp_checkpoint_manager.py
    Ranks(
        "verl",
        r"(?:model|optim|extra_state)_world_size_(?P<of>\d+)_rank_(\d+)\.pt",
        "merge the ranks first: python -m verl.model_merger merge --backend fsdp",
    ),
    # accelerate/utils/fsdp_utils.py, with LOCAL_STATE_DICT
    Ranks(
        "accelerate's FSDP",
        r"pytorch_model(?:_fsdp)?(?:_\d+)?_rank(\d+)\.bin",
        "save it again with FULL_STATE_DICT or SHARDED_STATE_DICT",
    ),
    # internlm/checkpoint/components.py of InternEvo
    Ranks(
        "InternEvo",
        r"model_tp(\d+)(?:_wp(\d+))?_pp(\d+)\.pt",
        "merge the ranks first, as convert2hf.py of InternEvo does",
    ),
    # nanotron/serialize/utils.py: each tensor has a separate file, and is named `data` there
    Ranks(
        "nanotron",
        r".+_pp-rank-(\d+)-of-(?P<of>\d+)_tp-rank-(\d+)-of-(?P<of_tp>\d+)\.safetensors",
        "merge the ranks first: convert_nanotron_to_hf.py of nanotron",
    ),
    # vllm/model_executor/model_loader/sharded_state_loader.py; a rank may have several parts
    Ranks(
        "vLLM's sharded state",
        r"model-rank-(\d+)-part-\d+\.safetensors",
        "initialize the original checkpoint, the input of save_sharded_state",
    ),
    # fairseq/checkpoint_utils.py and metaseq: model parallel parts, and FSDP shards of each
    Ranks(
        "fairseq",
        r".+-model_part-(\d+)(?:-shard(\d+))?\.pt|.+-shard(\d+)\.pt",
        "merge the parts first, as consolidate_fsdp_shards and reshard_mp of metaseq do",
    ),
    # tensorrt_llm/models/modeling_utils.py
    Ranks(
        "TensorRT-LLM",
        r"rank(\d+)\.safetensors",
        "initialize the original checkpoint, the input of convert_checkpoint.py",
    ),
    Ranks(
        "a training job",
        r"(?:.*[._-])?rank[._-]?(\d+)(?:[._-].*)?\.(?:pt|pth|bin|ckpt|safetensors)",
        "merge the ranks first, unless each of them contains the whole model",
    ),
)
"""The first row that matches is used. Each follows the source code of its writer."""
_MERGE = "merge the ranks first, or save the full state dict"
_CHUNKS = r"__\d+_\d+\.distcp"
"""Files of torch.distributed.checkpoint, which cannot be read without `.metadata`."""


def refuse_chunks(path: str) -> None:
    """Raise `InputError` if the file at `path` is one of a directory of torch.distributed.checkpoint."""
    directory, name = os.path.split(path)
    if re.fullmatch(_CHUNKS, name):
        message = f"{shown(path)}: is one file of a torch.distributed.checkpoint directory"
        raise InputError(Problem("file.rank", message, f"name the directory: {shown(directory or '.')}"))


def lone_rank(path: str, signs: Sequence[str]) -> tuple[Problem, ...]:
    """A warning if the file at `path` contains one rank's part: others are beside it, or its name or content says so.

    `signs` are the signs in its content, as ends of sentences about the file.
    """
    place = os.path.abspath(path)
    own = _file(place)
    if own and (own.of > 1 or _are_of_ranks([own, *_others(place, own)])):
        sign, remedy = f"of {own.ranks.writer}", own.ranks.remedy
    elif signs:
        sign, remedy = f"(it {listed(signs)})", _MERGE
    else:
        return ()
    message = f"{shown(path)}: is one rank's file {sign}; all ranks would get the same values"
    return (Problem("file.rank", message, remedy),)


def ranks_among(names: Collection[str]) -> Ranks | None:
    """The layout of ranks' files that several of `names`, files of one directory, follow; None if there is none."""
    found = grouped(((file.ranks.writer, file.alike), file) for file in filter(None, map(_file, names)))
    return next((files[0].ranks for files in found.values() if _are_of_ranks(files)), None)


def _are_of_ranks(files: Collection[_File]) -> bool:
    """Whether files that differ only in numbers are those of several ranks, which are numbered from 0."""
    numbers = {file.numbers for file in files}
    return len(numbers) > 1 and all(min(map(int, of)) == 0 for of in zip(*numbers, strict=True))


def _file(path: str) -> _File | None:
    return next((_read(ranks, found) for ranks in LAYOUTS if (found := ranks.match(path))), None)


def _read(ranks: Ranks, found: re.Match[str]) -> _File:
    totals = [int(text) for key, text in found.groupdict().items() if key.startswith("of")]
    named = set(found.re.groupindex.values())
    numbers = [n for n in range(1, found.re.groups + 1) if n not in named and found[n] is not None]
    alike = found.string
    for n in sorted(numbers, key=found.start, reverse=True):
        alike = f"{alike[: found.start(n)]}*{alike[found.end(n) :]}"
    return _File(ranks, alike, tuple(found[n] for n in numbers), max(totals, default=1))


def _others(path: str, own: _File) -> Iterator[_File]:
    directory, _, *below = path.rsplit("/", own.ranks.depth)
    for entry in names_in(directory or "/"):
        place = "/".join((entry, *below))
        found = _file(place)
        is_alike = found is not None and (found.ranks, found.alike) == (own.ranks, own.alike)
        if found and is_alike and status_at(os.path.join(directory, place), follow=False):
            yield found

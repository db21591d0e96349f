"""What the writers of quantized models share: a small Llama, which names are special, and what people run on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import LlamaConfig, LlamaForCausalLM

from tests.field.layout import Job, Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

_PROJECTIONS = "_proj."


def llama() -> LlamaForCausalLM:
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=16, max_position_embeddings=16, **sizes))


def loaded(path: str) -> dict[str, Tensor]:
    """What transformers, with the library that quantized, makes of the folder at `path`."""
    return LlamaForCausalLM.from_pretrained(path, device_map="cpu").state_dict()


def record(names: Iterable[str], checkpoint: str = "", root: str = "", *, warned: tuple[str, ...] = ()) -> Record:
    """All that the projections of a Llama hold are codes and what belongs to them."""
    names = tuple(names)
    special = {name: "quantized" for name in names if _PROJECTIONS in name}
    kept = tuple(name for name in names if name not in special)
    return Record(checkpoint, root, kept, special=special, warned=warned)


def jobs(companion: str, output: str = "out") -> tuple[Job, ...]:
    """Wildcards over and beside what is quantized; `companion` is a word of the name that the warning must say."""
    return (
        Job("a wildcard over projections", ("-r", "*_proj*=normal:std=0.02"), output=output, refused="has no effect"),
        Job(
            "a wildcard over all",
            ("-r", "*=normal:std=0.02"),
            ("*norm.weight", "*embed*", "lm_head*"),
            output,
            warned=companion,
        ),
        Job("a preset", ("-p", "llama"), output=output, refused="allow-partial"),
    )

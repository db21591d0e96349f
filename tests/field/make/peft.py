"""PEFT: adapters of `save_pretrained`, as safetensors and as a pickle, with modules that are saved whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

from tests.field.layout import Job, Layout, Record
from tests.field.make.training import seeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_SIZES = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2}
_CONFIG = LlamaConfig(vocab_size=16, max_position_embeddings=16, **_SIZES)


def _base(task: str) -> LlamaForCausalLM | LlamaForSequenceClassification:
    torch.manual_seed(1)
    return (LlamaForCausalLM if task == "CAUSAL_LM" else LlamaForSequenceClassification)(_CONFIG)


def _writes(task: str, *, safe: bool = True, **options: object) -> Callable[[str], Record]:
    def write(folder: str) -> Record:
        config = LoraConfig(task_type=task, r=2, target_modules=["q_proj", "v_proj"], **options)
        model = seeded(lambda: get_peft_model(_base(task), config))
        model.save_pretrained(folder, safe_serialization=safe)
        os.remove(os.path.join(folder, "README.md"))  # PEFT's own text
        return Record("", "", tuple(get_peft_model_state_dict(model)))

    return write


def _loads(task: str) -> Callable[[str], dict[str, Tensor]]:
    return lambda path: get_peft_model_state_dict(PeftModel.from_pretrained(_base(task), path))


_B = ("-r", "*lora_A.weight=kaiming_uniform:a=sqrt(5)", "-r", "*lora_B.weight=zeros")
_BOTH = ("*lora_?.weight",)

LAYOUTS = (
    Layout(
        "lora",
        _writes("CAUSAL_LM"),
        _loads("CAUSAL_LM"),
        "PeftModel.from_pretrained",
        (
            Job("start over", _B, _BOTH),
            Job("start over, in place", _B, _BOTH, None),
        ),
    ),
    Layout(
        "lora_head",
        _writes("SEQ_CLS"),
        _loads("SEQ_CLS"),
        "PeftModel.from_pretrained",
        (Job("reset the head", ("-r", "*score.weight=normal:std=0.01"), ("*score.weight",)),),
    ),
    Layout(
        "dora",
        _writes("CAUSAL_LM", use_dora=True),
        _loads("CAUSAL_LM"),
        "PeftModel.from_pretrained",
        (Job("start over", _B, _BOTH),),
    ),
    Layout(
        "lora_bin",
        _writes("CAUSAL_LM", safe=False),
        _loads("CAUSAL_LM"),
        "PeftModel.from_pretrained",
        (
            Job("start over", _B, _BOTH),
            Job("conversion", ("--max-shard-size", "5GB")),
        ),
    ),
)

"""transformers: `Trainer`'s checkpoint folders, and models of `save_pretrained`."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from typing import TYPE_CHECKING

import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Trainer,
    TrainingArguments,
)

from tests.field.layout import Job, Layout, Record
from tests.field.make.training import moments, parameters, seeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn


def _llama(*, tied: bool = False) -> LlamaForCausalLM:
    sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=16, max_position_embeddings=16, tie_word_embeddings=tied, **sizes))


def _tied() -> LlamaForCausalLM:
    return _llama(tied=True)


def _bert() -> BertForSequenceClassification:
    sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2}
    return BertForSequenceClassification(BertConfig(vocab_size=16, max_position_embeddings=16, **sizes))


def _trainer(model: nn.Module, folder: str, optimizer: str = "adamw_torch") -> Trainer:
    arguments = TrainingArguments(
        folder,
        max_steps=1,
        save_steps=1,
        per_device_train_batch_size=2,
        use_cpu=True,
        report_to=[],
        optim=optimizer,
        disable_tqdm=True,
        logging_strategy="no",
    )
    labels = torch.tensor([1, 2, 3, 4]) if hasattr(model, "lm_head") else torch.tensor(1)
    rows = [{"input_ids": torch.tensor([1, 2, 3, 4]), "labels": labels} for _ in range(2)]
    return Trainer(model, arguments, train_dataset=rows)


def _writes(build: Callable[[], nn.Module], optimizer: str = "adamw_torch") -> Callable[[str], Record]:
    def write(folder: str) -> Record:
        model = seeded(build)
        with contextlib.chdir(os.path.dirname(folder) or "."):
            _trainer(model, "run", optimizer).train()
            shutil.copytree("run/checkpoint-1", os.path.basename(folder), dirs_exist_ok=True)
            shutil.rmtree("run")
        return Record("", "", _kept(model), warned=("optimizer.pt",))

    return write


def _kept(model: nn.Module) -> tuple[str, ...]:
    """The names that `save_pretrained` writes: a tied tensor's first one alone."""
    tied = set(model.all_tied_weights_keys or ())
    return tuple(name for name in parameters(model) if name not in tied)


def _loads(build: Callable[[], nn.Module], optimizer: str = "adamw_torch") -> Callable[[str], dict[str, Tensor]]:
    def load(path: str) -> dict[str, Tensor]:
        """What `Trainer.train(resume_from_checkpoint=…)` has before its first step."""
        model = build()
        with tempfile.TemporaryDirectory() as folder:
            trainer = _trainer(model, folder, optimizer)
            trainer._load_from_checkpoint(path)
            trainer.create_optimizer_and_scheduler(1)
            trainer._load_optimizer_and_scheduler(path)
        return {**model.state_dict(), **moments(model, trainer.optimizer)}

    return load


def _saves(build: Callable[[], nn.Module], **options: object) -> Callable[[str], Record]:
    def write(folder: str) -> Record:
        model = seeded(build)
        model.save_pretrained(folder, **options)
        return Record("", "", _kept(model))

    return write


def _reads(kind: type) -> Callable[[str], dict[str, Tensor]]:
    return lambda path: kind.from_pretrained(path).state_dict()


def _gpt2() -> GPT2LMHeadModel:
    return GPT2LMHeadModel(GPT2Config(vocab_size=16, n_positions=16, n_embd=8, n_layer=2, n_head=2))


_HEAD = ("-r", "lm_head.weight=normal:std=0.01")
_CLASSIFIER = ("-r", "classifier.weight=normal:std=0.01", "-r", "classifier.bias=ones")
_RESUMED = "Trainer (resume_from_checkpoint)"

LAYOUTS = (
    Layout(
        "trainer",
        _writes(_llama),
        _loads(_llama),
        _RESUMED,
        (
            Job("reset the head", _HEAD, ("lm_head.weight",), warned="optimizer.pt"),
            Job("with its optimizer, of equal shapes", (*_HEAD, "--reset-optimizer"), refused="optimizer.pt"),
            Job("preset, with its optimizer", ("-p", "auto", "--reset-optimizer"), ("*",)),
        ),
    ),
    Layout(
        "trainer_tied",
        _writes(_tied),
        _loads(_tied),
        _RESUMED,
        (
            Job("reset the tied head", _HEAD, refused="tied"),
            Job(
                "reset the embedding",
                ("-r", "model.embed_tokens.weight=normal:std=0.01", "--reset-optimizer"),
                ("lm_head.weight", "*embed_tokens.weight*"),
            ),
        ),
    ),
    Layout(
        "trainer_adafactor",
        _writes(_llama, "adafactor"),
        _loads(_llama, "adafactor"),
        _RESUMED,
        (Job("with its optimizer, of equal shapes", (*_HEAD, "--reset-optimizer"), refused="several have shape"),),
    ),
    Layout(
        "trainer_classifier",
        _writes(_bert),
        _loads(_bert),
        _RESUMED,
        (
            Job("reset the head", _CLASSIFIER, ("classifier.*",), warned="optimizer.pt"),
            Job("with its optimizer, of equal shapes", (*_CLASSIFIER, "--reset-optimizer"), refused="optimizer.pt"),
        ),
    ),
    Layout(
        "llama",
        _saves(_llama),
        _reads(LlamaForCausalLM),
        "from_pretrained",
        (
            Job("preset", ("-p", "auto", "--require-all"), ("*",)),
            Job("a wildcard", ("-r", "*_proj.weight=normal:std=0.02"), ("*_proj.weight",)),
        ),
    ),
    Layout(
        "llama_sharded",
        _saves(_llama, max_shard_size="2KB"),
        _reads(LlamaForCausalLM),
        "from_pretrained",
        (Job("reset the head, in place", _HEAD, ("lm_head.weight",), None),),
    ),
    Layout(
        "gpt2",
        _saves(_gpt2),
        _reads(GPT2LMHeadModel),
        "from_pretrained",
        (
            Job("preset", ("-p", "auto", "--require-all"), ("*",)),
            Job("reset the tied head", _HEAD, refused="tied"),
        ),
    ),
    Layout(
        "bert",
        _saves(_bert),
        _reads(AutoModelForSequenceClassification),
        "from_pretrained",
        (
            Job("reset the head", _CLASSIFIER, ("classifier.*",)),
            Job("preset", ("-p", "auto"), ("*",)),
        ),
    ),
)

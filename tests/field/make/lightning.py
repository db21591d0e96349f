"""Lightning: `Trainer.save_checkpoint` and what its callbacks add, averages of weights among it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from torch import nn

from tests.field.layout import Job, Layout, Record
from tests.field.make.training import buffers, moments, named, parameters, seeded

if TYPE_CHECKING:
    from torch import Tensor


class _Classifier(LightningModule):
    """A model whose loss holds a buffer with the shape of a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.criterion = nn.CrossEntropyLoss(weight=torch.rand(3))
        self.body = nn.Linear(4, 8)
        self.head = nn.Linear(8, 3)

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        return self.criterion(self.head(self.body(batch[0])), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters())


def _trained(*callbacks: object) -> Trainer:
    trainer = Trainer(
        max_steps=2,
        accelerator="cpu",
        logger=False,
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=".",
        enable_checkpointing=any(isinstance(c, ModelCheckpoint) for c in callbacks),
    )
    data = [(torch.randn(4), i % 3) for i in range(4)]
    trainer.fit(seeded(_Classifier), torch.utils.data.DataLoader(data, batch_size=2))
    return trainer


def _write(folder: str) -> Record:
    trainer = _trained()
    trainer.save_checkpoint(os.path.join(folder, "last.ckpt"))
    return Record("last.ckpt", "state_dict", parameters(trainer.model), buffers(trainer.model))


def _load(path: str) -> dict[str, Tensor]:
    model = _Classifier.load_from_checkpoint(path, weights_only=False)
    optimizer = model.configure_optimizers()
    optimizer.load_state_dict(torch.load(path, weights_only=False)["optimizer_states"][0])
    return {**model.state_dict(), **moments(model, optimizer)}


def _write_averaged(folder: str) -> Record:
    trainer = _trained(EMAWeightAveraging())
    trainer.save_checkpoint(os.path.join(folder, "averaged.ckpt"))
    model = trainer.model
    return Record("averaged.ckpt", "state_dict", parameters(model), buffers(model), warned=("current_model_state",))


def _load_averaged(path: str) -> dict[str, Tensor]:
    saved = torch.load(path, weights_only=False)
    return {**_load(path), **named("current", saved["current_model_state"])}


_HEAD = ("-r", "head.weight=normal:std=0.01", "-r", "head.bias=ones")
_RESET = ("head.*", "moments/head.*")

LAYOUTS = (
    Layout(
        "last",
        _write,
        _load,
        "load_from_checkpoint",
        (
            Job("reset the head", _HEAD, ("head.*",), "out.ckpt", warned="--reset-optimizer"),
            Job("with its optimizer", (*_HEAD, "--reset-optimizer", "--buffers", "criterion.*"), _RESET, "out.ckpt"),
            Job(
                "with its optimizer, a buffer in doubt",
                (*_HEAD, "--reset-optimizer"),
                output="out.ckpt",
                refused="--buffers",
            ),
        ),
    ),
    Layout(
        "averaged",
        _write_averaged,
        _load_averaged,
        "load_from_checkpoint",
        (Job("reset the head", _HEAD, ("head.*",), "out.ckpt", warned="current_model_state"),),
    ),
)

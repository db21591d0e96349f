"""In models that were trained nothing is found: each is read as trained by its own numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

import initctl
from tests.presets.fresh import quiet
from tests.presets.models import models

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Loss = Callable[[nn.Module], torch.Tensor]

STEPS = 150


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.rnn = nn.Embedding(64, 32), nn.LSTM(32, 48, 2, batch_first=True)
        self.norm, self.out = nn.LayerNorm(48), nn.Linear(48, 64)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.out(self.norm(self.rnn(self.embed(tokens))[0]))


def _tokens() -> torch.Tensor:
    """Sequences that can be learned: each token follows from the one before."""
    start = torch.randint(6, 60, (8, 1))
    return (start + 7 * torch.arange(16)) % 54 + 6


def _language(model: nn.Module) -> torch.Tensor:
    tokens = _tokens()
    return model(input_ids=tokens, labels=tokens).loss


def _next_token(model: nn.Module) -> torch.Tensor:
    tokens = _tokens()
    return nn.functional.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())


def _images(model: nn.Module) -> torch.Tensor:
    labels = torch.randint(0, 48, (8,))
    pixels = torch.randn(8, 3, 64, 64) * 0.1 + labels[:, None, None, None] / 48
    return model(pixel_values=pixels, labels=labels).loss


def _convolutions() -> nn.Module:
    layers = [nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.BatchNorm2d(32), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))


def _classes(model: nn.Module) -> torch.Tensor:
    labels = torch.randint(0, 10, (16,))
    pixels = torch.randn(16, 3, 12, 12) + labels[:, None, None, None]
    return nn.functional.cross_entropy(model(pixels), labels)


def _of_family(name: str) -> Callable[[], nn.Module]:
    return lambda: next(model for model in models() if model.name == name).build(0)


TRAININGS: dict[str, tuple[Callable[[], nn.Module], Loss]] = {
    "GPT-2": (_of_family("GPT2LMHeadModel"), _language),
    "Llama": (_of_family("LlamaForCausalLM"), _language),
    "Gemma": (_of_family("Gemma2ForCausalLM"), _language),
    "BERT": (_of_family("BertForMaskedLM"), _language),
    "ViT": (_of_family("ViTForImageClassification"), _images),
    "LSTM": (Recurrent, _next_token),
    "convolutions": (_convolutions, _classes),
}


def train(model: nn.Module, loss_of: Loss, steps: int) -> tuple[float, float]:
    """The loss before and after so many steps."""
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=0.1)
    losses: list[float] = []
    for _ in range(steps):
        loss = loss_of(model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0], losses[-1]


def save(model: nn.Module, folder: Path) -> Path:
    if hasattr(model, "save_pretrained"):
        with quiet():
            model.save_pretrained(folder)
        return folder
    torch.save(model.state_dict(), folder.with_suffix(".pt"))
    return folder.with_suffix(".pt")


@pytest.mark.parametrize(("build", "loss_of"), TRAININGS.values(), ids=TRAININGS)
def test_nothing_is_found_in_a_model_that_was_trained(build: Any, loss_of: Loss, tmp_path: Path):
    torch.manual_seed(0)
    with quiet():
        model = build()
    before, after = train(model, loss_of, STEPS)
    assert after < 0.8 * before
    found = initctl.doctor(save(model, tmp_path / "model"))
    assert found.reading.is_trained
    assert not found.findings


@pytest.mark.parametrize(("build", "loss_of"), TRAININGS.values(), ids=TRAININGS)
def test_one_step_is_training(build: Any, loss_of: Loss, tmp_path: Path):
    torch.manual_seed(0)
    with quiet():
        model = build()
    train(model, loss_of, 1)
    found = initctl.doctor(save(model, tmp_path / "model"))
    assert found.reading.is_trained
    assert not found.findings

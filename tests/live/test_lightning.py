"""The example of the topic for Lightning works, if Lightning is installed."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
import torch

import initctl
from initctl.topics import find_topic

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.filterwarnings("ignore")
def test_the_example_initializes_a_model_and_its_checkpoint_is_verified(tmp_path: Path):
    lightning = pytest.importorskip("lightning")
    (example,) = re.findall(r"^    class Network.*?(?=^##)", find_topic("models").text, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"lightning": lightning, "torch": torch, "initctl": initctl}
    exec(textwrap.dedent(example), names)
    model = names["Network"]()
    trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, max_steps=0)
    trainer.strategy.connect(model)
    with trainer.strategy.model_sharded_context():
        model.configure_model()
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    assert initctl.verify(tmp_path / "last.ckpt", rules=["net.weight=xavier_uniform", "net.bias=zeros"])

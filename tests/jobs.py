"""The checkpoints that the commands of README and topics name, small, and the commands themselves."""

from __future__ import annotations

import re
import subprocess
import warnings
from typing import TYPE_CHECKING

import torch
import torch.distributed.checkpoint as dcp
import transformers
from safetensors.torch import save_file
from torch import nn

from tests.readme import environment

if TYPE_CHECKING:
    from pathlib import Path

_COMMANDS = re.compile(r"^ {4,6}((?:initctl|for seed in) (?:.*\\\n)*.*)", re.MULTILINE)


_PREPARED = (
    "initctl apply net.safetensors -o init.safetensors -r '*.bias=zeros' --report report.json",
    "initctl suggest net.safetensors > recipe.toml",
    "initctl plan net.safetensors -r '*.weight=normal:std=0.02' --save plan.json",
    "initctl apply net.safetensors --plan plan.json -o out.safetensors --part 1/2",
    "initctl apply net.safetensors --plan plan.json -o out.safetensors --part 2/2",
)
"""What makes the files that examples look at."""


def commands(text: str) -> list[str]:
    """Those that stand indented in a document of Markdown, each a job on some checkpoint."""
    return _COMMANDS.findall(text)


def make_checkpoints(folder: Path) -> None:
    """Write all of them, and what some commands made of one."""
    network(folder / "net.safetensors")
    small = {"num_hidden_layers": 3, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    bert = transformers.BertConfig(vocab_size=50, **small)
    transformers.BertForSequenceClassification(bert).save_pretrained(folder / "bert")
    llama = transformers.LlamaConfig(vocab_size=32010, **small)
    transformers.LlamaForCausalLM(llama).save_pretrained(folder / "llama")
    gpt2 = transformers.GPT2Config(vocab_size=50, n_layer=2, n_embd=16, n_head=2)
    transformers.GPT2LMHeadModel(gpt2).save_pretrained(folder / "gpt2")
    torch.save(_resnet().state_dict(), folder / "resnet50.pth")
    torch.save(nn.ModuleDict({"norm": nn.LayerNorm(8), "head": nn.Linear(8, 4)}).state_dict(), folder / "vit.pth")
    torch.save(
        _training(nn.ModuleDict({"body": nn.Linear(8, 8), "value_head": nn.Linear(8, 1)})), folder / "agent.ckpt"
    )
    torch.save(_training(_network()), folder / "training.ckpt")
    for name in ("ema.ckpt", "average.ckpt"):
        torch.save(_averaged(nn.ModuleDict({"body": nn.Linear(8, 8), "head": nn.Linear(8, 4)})), folder / name)
    (folder / "pipeline" / "unet").mkdir(parents=True)
    (folder / "pipeline" / "model_index.json").write_text('{"_class_name": "Pipeline", "unet": ["diffusers", "UNet"]}')
    weights = {"conv_out.weight": torch.ones(4, 8, 3, 3), "conv_in.weight": torch.ones(8, 4, 3, 3)}
    save_file(weights, folder / "pipeline" / "unet" / "diffusion_pytorch_model.safetensors")
    with warnings.catch_warnings(action="ignore"):  # that there is one process
        dcp.save({"output.weight": torch.ones(8, 8)}, checkpoint_id=folder / "step-500", no_dist=True)
    for command in _PREPARED:
        subprocess.run(["bash", "-c", command], cwd=folder, env=environment(), check=True, capture_output=True)


def network(path: Path) -> None:
    """Write the small network of the README."""
    save_file(_network().state_dict(), path)


def _network() -> nn.Module:
    return nn.ModuleDict({"fc1": nn.Linear(100, 50), "norm": nn.LayerNorm(50), "fc2": nn.Linear(50, 10)})


def _training(net: nn.Module) -> dict[str, object]:
    """What a training loop saves after one step."""
    optimizer = torch.optim.AdamW(net.parameters())
    sum(parameter.sum() for parameter in net.parameters()).backward()
    optimizer.step()
    return {"step": 1, "model": net.state_dict(), "optimizer": optimizer.state_dict()}


def _averaged(net: nn.Module) -> dict[str, object]:
    """What Lightning saves with `WeightAveraging` after one step."""
    found = _training(net)
    weights = found.pop("model")
    optimizers = [found.pop("optimizer")]
    averages = {name: weight.clone() for name, weight in weights.items()}
    return {"state_dict": averages, "current_model_state": weights, "optimizer_states": optimizers, **found}


def _resnet() -> nn.Module:
    """A residual network of one bottleneck, by torchvision's names."""
    block = nn.ModuleDict()
    for number, (inputs, outputs, kernel) in enumerate([(8, 4, 1), (4, 4, 3), (4, 16, 1)], 1):
        block[f"conv{number}"] = nn.Conv2d(inputs, outputs, kernel, bias=False)
        block[f"bn{number}"] = nn.BatchNorm2d(outputs)
    block["downsample"] = nn.Sequential(nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16))
    first = {"conv1": nn.Conv2d(3, 8, 7, bias=False), "bn1": nn.BatchNorm2d(8)}
    return nn.ModuleDict({**first, "layer1": nn.Sequential(block), "fc": nn.Linear(16, 10)})

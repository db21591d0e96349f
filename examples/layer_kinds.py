"""Usual rules for each kind of layer: a convolution, an embedding, norms, a head, and a free parameter.

python layer_kinds.py
"""

import torch
from safetensors.torch import load_model, save_model
from torch import nn

import initctl


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(1000, 64)
        self.conv = nn.Conv2d(3, 64, kernel_size=3)
        self.norm1 = nn.BatchNorm2d(64)
        self.norm2 = nn.LayerNorm(64)
        self.head = nn.Linear(64, 10)
        self.temperature = nn.Parameter(torch.empty(16, 16))


RULES = [
    "*.bias=zeros",
    "conv.weight=normal:std=0.1",
    "embedding.weight=normal:std=0.02",
    "norm*.weight=ones",
    "head.weight=trunc_normal:std=0.02,cut=2",  # cut counts standard deviations; torch's a and b are absolute
    "temperature=normal:std=0.5",
]


def main() -> None:
    save_model(Model(), "model.safetensors")
    initctl.apply("model.safetensors", "init.safetensors", rules=RULES)

    model = Model()
    load_model(model, "init.safetensors")
    for name, parameter in model.named_parameters():
        largest = parameter.abs().max()
        print(f"{name:16} std {parameter.std():.4f}  largest {largest:.4f}")


if __name__ == "__main__":
    main()

"""A network of two linear layers: each weight has its own rule, and all biases are zero.

python custom_net.py
"""

from safetensors.torch import load_model, save_model
from torch import nn

import initctl


class CustomNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(100, 50)
        self.fc2 = nn.Linear(50, 10)


RULES = [
    "fc1.weight=normal:mean=0,std=0.01",
    "fc2.weight=kaiming_normal:mode=fan_in,nonlinearity=relu",
    "*.bias=zeros",
]


def main() -> None:
    save_model(CustomNet(), "net.safetensors")
    initctl.apply("net.safetensors", "init.safetensors", rules=RULES, seed=0)

    net = CustomNet()
    load_model(net, "init.safetensors")
    for name, parameter in net.named_parameters():
        print(f"{name:11} mean {parameter.mean():+.4f}  std {parameter.std():.4f}")


if __name__ == "__main__":
    main()

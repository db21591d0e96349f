"""Write the files of this folder: small models, quantized by the libraries that people use.

They were written by bitsandbytes 0.50.2, compressed-tensors 0.20.1, hqq 0.2.8, optimum-quanto 0.2.7 and torchao 0.18.0,
under torch 2.13. Only names, dtypes and shapes matter to the tests. Run it as `python write.py [LIBRARY …]`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent


class Model(torch.nn.Module):
    """Two layers that are quantized, and two that are not."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(4, 32)
        self.fc1 = torch.nn.Linear(32, 32)
        self.fc2 = torch.nn.Linear(32, 32, bias=False)
        self.norm = torch.nn.LayerNorm(32)

    def forward(self, x: torch.Tensor) -> Any:
        return self.norm(self.fc2(self.fc1(x)))

    def replaced(self, layer: Any) -> Model:
        """With `layer` of each linear layer in its place."""
        self.fc1, self.fc2 = layer(self.fc1), layer(self.fc2)
        return self


def save(name: str, state: dict[str, Any], metadata: dict[str, str] | None = None) -> None:
    tensors = {key: value.contiguous() for key, value in state.items() if isinstance(value, torch.Tensor)}
    save_file(tensors, HERE / f"{name}.safetensors", metadata or {"format": "pt"})


def bitsandbytes() -> None:
    import bitsandbytes as bnb

    def four_bits(linear: torch.nn.Linear, **settings: Any) -> Any:
        layer = bnb.nn.Linear4bit(linear.in_features, linear.out_features, linear.bias is not None, **settings)
        layer.load_state_dict(linear.state_dict())
        layer.weight = layer.weight._quantize("cpu")
        return layer

    def eight_bits(linear: torch.nn.Linear) -> Any:
        layer = bnb.nn.Linear8bitLt(
            linear.in_features, linear.out_features, linear.bias is not None, has_fp16_weights=False
        )
        layer.load_state_dict(linear.state_dict())
        return layer.to("cpu")

    nested = {"quant_type": "nf4"}
    save("bitsandbytes_nf4", Model().replaced(lambda layer: four_bits(layer, **nested)).state_dict())
    plain = {"quant_type": "fp4", "compress_statistics": False}
    save("bitsandbytes_fp4", Model().replaced(lambda layer: four_bits(layer, **plain)).state_dict())
    stored = {"quant_type": "nf4", "quant_storage": torch.bfloat16}
    save("bitsandbytes_nf4_bfloat16", Model().replaced(lambda layer: four_bits(layer, **stored)).state_dict())
    model = Model().replaced(eight_bits)
    model(torch.randn(2, 32))
    save("bitsandbytes_int8", model.state_dict())


def compressed_tensors() -> None:
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import (
        QuantizationArgs,
        QuantizationConfig,
        QuantizationScheme,
        QuantizationStatus,
        apply_quantization_config,
        preset_name_to_scheme,
    )  # fmt: skip

    grouped = QuantizationArgs(num_bits=4, strategy="group", group_size=16, symmetric=False)
    schemes = {
        "w4a16": QuantizationScheme(targets=["Linear"], weights=grouped),
        **{name.lower(): preset_name_to_scheme(name, ["Linear"]) for name in ("W8A8", "FP8", "NVFP4", "MXFP4")},
    }
    for name, scheme in schemes.items():
        model, config = Model(), QuantizationConfig(config_groups={"group": scheme}, ignore=[])
        apply_quantization_config(model, config)
        for parameter, tensor in model.named_parameters():
            if parameter.endswith("scale"):
                tensor.data = torch.ones_like(tensor)
        for module in model.modules():
            if hasattr(module, "quantization_status"):
                module.quantization_status = QuantizationStatus.FROZEN
        ModelCompressor(quantization_config=config).compress_model(model)
        save(f"compressed_tensors_{name}", model.state_dict())


def hqq() -> None:
    from hqq.core.quantize import BaseQuantizeConfig, HQQLinear

    for name, viewed in (("hqq", False), ("hqq_view_as_float", True)):
        config = BaseQuantizeConfig(nbits=4, group_size=16, view_as_float=viewed)
        quantized = {"quant_config": config, "compute_dtype": torch.float32, "device": "cpu"}
        model = Model().replaced(lambda layer, quantized=quantized: HQQLinear(layer, **quantized))
        save(name, model.state_dict())


def quanto() -> None:
    from optimum.quanto import freeze, qint4, qint8, quantize

    for name, weights in (("quanto_int8", qint8), ("quanto_int4", qint4)):
        model = Model()
        quantize(model, weights=weights, activations=qint8)
        freeze(model)
        save(name, model.state_dict())


def torchao() -> None:
    from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict
    from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig, quantize_

    for name, config in (("torchao_int8", Int8WeightOnlyConfig()), ("torchao_float8", Float8WeightOnlyConfig())):
        model = Model()
        quantize_(model, config)
        save(name, *flatten_tensor_state_dict(model.state_dict()))


if __name__ == "__main__":
    for library in sys.argv[1:] or ("bitsandbytes", "compressed_tensors", "hqq", "quanto", "torchao"):
        torch.manual_seed(0)
        globals()[library]()

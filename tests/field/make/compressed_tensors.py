"""compressed-tensors: each of its formats, by its own `ModelCompressor`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from compressed_tensors.compressors import ModelCompressor
from compressed_tensors.quantization import QuantizationConfig, apply_quantization_config, preset_name_to_scheme
from safetensors.torch import load_file

from tests.field.layout import Layout
from tests.field.make.quantized import jobs, llama, loaded, record
from tests.field.make.training import seeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from tests.field.layout import Record


def _writes(preset: str, companion: str) -> Callable[[str], Record]:
    def write(folder: str) -> Record:
        model = seeded(llama)
        scheme = preset_name_to_scheme(preset, ["Linear"])
        if scheme.weights.group_size:
            scheme.weights.group_size = min(scheme.weights.group_size, 32)
        config = QuantizationConfig(config_groups={"group_0": scheme}, ignore=["lm_head"])
        apply_quantization_config(model, config, show_progress=False)
        for name, parameter in model.named_parameters():
            if name.endswith("scale"):
                parameter.data.fill_(0.01)
        compressor = ModelCompressor.from_pretrained_model(model)
        compressor.compress_model(model)
        model.save_pretrained(folder)
        compressor.update_config(folder)
        return record(model.state_dict(), warned=(companion,))

    return write


_FORMATS = {
    "fp8": ("FP8", "input_scale"),
    "fp8_dynamic": ("FP8_DYNAMIC", "weight_scale"),
    "fp8_block": ("FP8_BLOCK", "weight_scale"),
    "int8": ("W8A8", "weight_scale"),
    "packed": ("W4A16", "weight_scale"),
    "packed_asymmetric": ("W4A16_ASYM", "weight_zero_point"),
    "nvfp4": ("NVFP4", "weight_global_scale"),
    "mxfp4": ("MXFP4A16", "weight_packed"),
}


def _load_file(path: str) -> dict[str, Tensor]:
    return load_file(os.path.join(path, "model.safetensors"))


_LOADERS = {"packed_asymmetric": (_load_file, "safetensors.load_file")}
"""transformers 5.24 asks for zero points of another shape than compressed-tensors 0.20 packs."""

LAYOUTS = tuple(
    Layout(name, _writes(preset, companion), *_LOADERS.get(name, (loaded, "from_pretrained")), jobs(companion))
    for name, (preset, companion) in _FORMATS.items()
)

"""AWQ: `qweight`, `qzeros`, `scales`, packed by AutoAWQ's `WQLinear_GEMM`; see gptq.py for what is left out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from safetensors.torch import load_file

from tests.field.layout import Layout
from tests.field.make.gptq import bare, plain, rounded, saved
from tests.field.make.quantized import jobs

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tests.field.layout import Record

bare("awq")
from awq.modules.linear.gemm import WQLinear_GEMM  # noqa: E402


def _quantized() -> nn.ModuleDict:
    model = plain()
    layer = model["q_proj"].half()
    scale, zero = rounded(layer.weight.data.float())
    layer.weight.data = ((layer.weight.data / scale).round() * scale).half()
    model["q_proj"] = WQLinear_GEMM.from_linear(
        layer, 4, 64, scales=scale.t().contiguous().half(), zeros=zero.t().contiguous().half()
    )
    return model


def _write(folder: str) -> Record:
    return saved(
        _quantized(),
        folder,
        {"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True, "version": "gemm"},
    )


def _load(path: str) -> dict[str, Tensor]:
    model = _quantized()
    model.load_state_dict(load_file(os.path.join(path, "model.safetensors")))
    return model.state_dict()


LAYOUTS = (Layout("int4", _write, _load, "WQLinear_GEMM.load_state_dict", jobs("scales")),)

"""optimum-quanto: the state dict of a quantized model, taken apart in safetensors."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from optimum.quanto import freeze, qint4, qint8, quantization_map, quantize, requantize
from safetensors.torch import load_file, save_file

from tests.field.layout import Layout
from tests.field.make.quantized import jobs, llama, record
from tests.field.make.training import seeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from tests.field.layout import Record


def _writes(weights: object) -> Callable[[str], Record]:
    def write(folder: str) -> Record:
        model = seeded(llama)
        quantize(model, weights=weights, exclude="lm_head")
        freeze(model)
        state = dict(model.state_dict().items())
        save_file(state, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        with open(os.path.join(folder, "quanto_qmap.json"), "w", encoding="utf-8") as file:
            json.dump(quantization_map(model), file)
        return record(state, "", warned=("_scale",))

    return write


def _load(path: str) -> dict[str, Tensor]:
    with open(os.path.join(path, "quanto_qmap.json"), encoding="utf-8") as file:
        qmap = json.load(file)
    model = llama()
    requantize(model, load_file(os.path.join(path, "model.safetensors")), qmap)
    return model.state_dict()


LAYOUTS = (
    Layout("int8", _writes(qint8), _load, "requantize", jobs("_scale")),
    Layout("int4", _writes(qint4), _load, "requantize", jobs("_scale")),
)

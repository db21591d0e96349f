"""bitsandbytes: models that transformers quantized with it, to 4 and to 8 bits."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import bitsandbytes  # noqa: F401 (transformers looks for it)
import torch
from transformers import BitsAndBytesConfig, LlamaForCausalLM

from tests.field.layout import Layout
from tests.field.make.quantized import jobs, llama, loaded, record
from tests.field.make.training import seeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.field.layout import Record


def _writes(companion: str, **options: object) -> Callable[[str], Record]:
    def write(folder: str) -> Record:
        with tempfile.TemporaryDirectory() as plain:
            seeded(llama).save_pretrained(plain)
            config = BitsAndBytesConfig(**options)
            model = LlamaForCausalLM.from_pretrained(plain, quantization_config=config, device_map="cpu")
        model.save_pretrained(folder)
        return record(model.state_dict(), warned=(companion,))

    return write


_FOUR = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.float32}
_DOUBLE = _FOUR | {"bnb_4bit_use_double_quant": True}

LAYOUTS = (
    Layout("nf4", _writes("absmax", **_FOUR), loaded, "from_pretrained", jobs("absmax")),
    Layout("nf4_double", _writes("nested_absmax", **_DOUBLE), loaded, "from_pretrained", jobs("nested_absmax")),
    Layout("int8", _writes("SCB", load_in_8bit=True), loaded, "from_pretrained", jobs("SCB")),
)

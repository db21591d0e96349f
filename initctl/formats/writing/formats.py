"""The formats that can be written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.formats.writing.safetensors import Safetensors
from initctl.formats.writing.torch_save import TorchSave

if TYPE_CHECKING:
    from initctl.formats.writing.layout import Format

SAFETENSORS: Format = Safetensors()
TORCH: Format = TorchSave()

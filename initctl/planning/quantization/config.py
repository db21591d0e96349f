"""What config.json says of how a model is quantized."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from initctl.errors import InputError
from initctl.formats import read_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

_TABLES = ("quantization_config", "compression_config")
"""transformers; older files of compressed-tensors."""
_INNER = ("text_config", "llm_config", "language_config")
"""Where the configuration of a language model is that is a part of another model."""
_MLX = "quantization"
"""A table without a name for the method: mlx_lm (utils.py, save_config)."""


def method_named_in(directory: str) -> str | None:
    """The quantization method that config.json in `directory` names, with hyphens; None if there is none.

    A config.json that cannot be read names none: whoever needs it reports that.
    """
    with suppress(InputError):
        return next(_methods(read_config(directory) or {}), None)
    return None


def _methods(config: Mapping[str, Any]) -> Iterator[str]:
    inner = [config[key] for key in _INNER if isinstance(config.get(key), dict)]
    for table in (config, *inner):
        for key in _TABLES:
            method = table[key].get("quant_method") if isinstance(table.get(key), dict) else None
            if isinstance(method, str):
                yield method.lower().replace("_", "-")
    if isinstance(config.get(_MLX), dict):
        yield "mlx"

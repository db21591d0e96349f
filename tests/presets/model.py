"""A small model, as transformers builds it.

Wide enough that a wrong spread shows; with numbers that are nobody's default, so that they must come from config.json.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RANGE = 0.03
SIZES: dict[str, Any] = {
    "vocab_size": 384,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "max_position_embeddings": 128,
    "initializer_range": RANGE,
    "num_labels": 48,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GROUPED = {**SIZES, "num_key_value_heads": 4}
PADDED = {**GROUPED, "pad_token_id": 5}


@dataclass(frozen=True)
class Model:
    """A class of transformers and what its configuration is made of; `preset` is for it."""

    preset: str
    name: str
    config_name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def __str__(self) -> str:
        return f"{self.preset}: {self.name}{self.note and f' ({self.note})'}"

    def build(self, seed: int) -> Any:
        """The model, freshly initialized by transformers under `seed`."""
        import torch
        import transformers

        torch.manual_seed(seed)
        return getattr(transformers, self.name)(self.config())

    def config(self) -> Any:
        import transformers

        parts = {
            key: getattr(transformers, value.config_name)(**value.settings) if isinstance(value, Model) else value
            for key, value in self.settings.items()
        }
        return getattr(transformers, self.config_name)(**parts)


def several(preset: str, stem: str, names: str, config: str = "", **settings: Any) -> Iterator[Model]:
    """A model for each of `names`, which complete `stem`; a name may be followed by a note."""
    for name in names.split():
        yield Model(preset, stem + name, config or f"{stem}Config", settings)


HEADS = "ForCausalLM ForSequenceClassification ForTokenClassification ForQuestionAnswering"

"""sentence-transformers: a folder whose `modules.json` names further modules in folders below it."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from sentence_transformers import SentenceTransformer, models
from transformers import BertConfig, BertModel, BertTokenizer

from tests.field.layout import Job, Layout, Record
from tests.field.make.training import seeded

if TYPE_CHECKING:
    from torch import Tensor


def _model() -> SentenceTransformer:
    sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"]
    with tempfile.TemporaryDirectory() as folder:
        BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=16, **sizes)).save_pretrained(folder)
        with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as file:
            file.write("\n".join(words))
        BertTokenizer(vocab=os.path.join(folder, "vocab.txt")).save_pretrained(folder)
        encoder = models.Transformer(folder, max_seq_length=16)
    return SentenceTransformer(modules=[encoder, models.Pooling(8), models.Dense(8, 4)], device="cpu")


def _write(folder: str) -> Record:
    model = seeded(_model)
    model.save(folder, create_model_card=False)
    return Record("", "", tuple(model[0].auto_model.state_dict()), warned=("2_Dense",))


def _load(path: str) -> dict[str, Tensor]:
    return SentenceTransformer(path, device="cpu").state_dict()


_DENSE = ("-r", "linear.*=normal:std=0.01")

LAYOUTS = (
    Layout(
        "dense",
        _write,
        _load,
        "SentenceTransformer",
        (
            Job("preset", ("-p", "auto", "--require-all"), ("0.*",), warned="2_Dense"),
            Job("the module below", ("--component", "2_Dense", *_DENSE), ("2.*",)),
        ),
    ),
)

"""The same model in other files: which of a directory's files hold older values once a checkpoint in it is rewritten.

Readers choose among the files of one model by what they find first, so that one of them would undo the work. Another
model's weights, such as an adapter's, and the state of training are not meant here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from initctl.formats.directories.weight_names import EXPORTS, weight_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initctl.formats.directories.weight_names import WeightName

FOLDERS = {
    "original": "Meta and OpenAI: the model as its makers saved it",
    "metal": "gpt-oss",
    "onnx": "optimum, sentence-transformers",
    "openvino": "optimum-intel, sentence-transformers",
    "coreml": "transformers, exporters",
    "gguf": "llama.cpp",
}
"""Folders beside a model that hold just this model once more."""
COPIES = {
    r"consolidated(\.\d+)?\.(safetensors|pth|pt)": "Mistral, Meta",
    r"openvino_model.*\.(bin|xml)": "optimum-intel",
    r"model\.ckpt\.(index|meta|data-\d+-of-\d+)": "TensorFlow 1; Google's BERT",
}
"""Files beside a model that hold it once more, though their names have another stem."""
_COPIES = re.compile("|".join(COPIES))


def twins(names: Iterable[str], chosen: WeightName) -> Iterator[str]:
    """Those of `names`, directly in the folder of a checkpoint, that hold the same model as the `chosen` one.

    They have the same stem, in another format, variant or set of shards; or they are exports. The files of the
    checkpoint are not among `names`.
    """
    for name in names:
        if name == chosen.name:
            continue
        found = weight_name(name)
        is_copy = is_another_copy(name) or (found and found.suffix in EXPORTS)
        if is_copy or (found and found.family == chosen.family):
            yield name


def holds_twins(name: str) -> bool:
    """Whether a file called `name` in one of `FOLDERS` holds weights."""
    return bool(weight_name(name) or is_another_copy(name))


def is_another_copy(name: str) -> bool:
    """Whether a file called so holds the model beside it once more."""
    return bool(_COPIES.fullmatch(name))

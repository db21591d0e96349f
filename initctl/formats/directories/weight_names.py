"""Names of files of weights, of other files with the same endings, and of files that contain the same model.

Endings and names are conventions of the libraries that write them: each row names a library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

SAFETENSORS = ".safetensors"
DISTRIBUTED_METADATA, DISTRIBUTED_CHUNKS = ".metadata", ".distcp"
"""Files of torch.distributed.checkpoint: the one that describes all others, and the ending of the others."""
TORCH = (".bin", ".pt", ".pth", ".ckpt")
READ: tuple[tuple[str, ...], ...] = ((SAFETENSORS,), TORCH)
"""Endings of weights that initctl reads, one group for each format. A directory is searched in this order."""
INDEXED = (SAFETENSORS, ".bin")
"""Endings of weights that an index can list. In its name they are before `.index.json`."""
FOREIGN = {
    ".h5": "Keras; transformers, TensorFlow models: tf_model.h5",
    ".keras": "Keras 3",
    ".msgpack": "Flax; transformers: flax_model.msgpack",
    ".ot": "rust-bert: rust_model.ot",
    ".pdparams": "PaddlePaddle",
    ".npz": "MLX, before it wrote safetensors",
}
"""Endings of weights that initctl does not read."""
EXPORTS = {
    ".onnx": "ONNX",
    ".onnx_data": "ONNX, tensors of more than 2 GB",
    ".gguf": "llama.cpp",
    ".tflite": "TensorFlow Lite",
}
"""Endings of models exported for other programs. They are made from the weights, whatever their names are."""
NO_WEIGHTS = {
    r"training_args\.bin": "transformers, Trainer",
    r"(optimizer|scheduler|scaler|lr_scheduler)(_\d+)?\.(pt|bin)": "transformers, Trainer; accelerate, save_state",
    r"(sampler|dl_state_dict)(_\d+)?\.bin": "accelerate, save_state",
    r"rng_state(_\d+)?\.pth": "transformers, Trainer",
    r".*_optim_states\.pt": "DeepSpeed",
    r"recipe_state\.pt": "torchtune",
    r"common\.pt": "Megatron-core, dist_checkpointing: everything but sharded tensors",
    r"(latest_)?train_state\.pt": "Megatron-Bridge",
}
"""Files of torch.save beside weights with the state of training. `formats/beside.py` has more names of optimizers'
files; some of those contain weights too, such as Megatron-LM's `model_optim_rng.pt`.
"""
CONVERTED = {
    "pytorch_model": "model",  # transformers
    "open_clip_pytorch_model": "open_clip_model",  # open_clip
}
"""Stems that a library replaces with another one for safetensors."""
FOLDERS = {
    "original": "Meta and OpenAI: the model as they saved it",
    "metal": "gpt-oss",
    "onnx": "optimum, sentence-transformers",
    "openvino": "optimum-intel, sentence-transformers",
    "coreml": "transformers, exporters",
    "gguf": "llama.cpp",
}
"""Folders beside a model that contain another copy of this model."""
COPIES = {
    r"consolidated(\.\d+)?\.(safetensors|pth|pt)": "Mistral, Meta",
    r"openvino_model.*\.(bin|xml)": "optimum-intel",
    r"model\.ckpt\.(index|meta|data-\d+-of-\d+)": "TensorFlow 1; Google's BERT",
}
"""Files beside a model that contain another copy of it, though their names have another stem."""
_OF_A_MODEL = ("model", "weights")
"""Words in the stems of `.bin` files with weights: data sets have this ending, too."""
_SUFFIXES = (SAFETENSORS, *TORCH, *FOREIGN, *EXPORTS)
_VARIANT = r"[A-Za-z0-9_]*[A-Za-z][A-Za-z0-9_]*"
"""As in transformers and diffusers, `_add_variant`: `fp16`, `non_ema`, `8bit`. Digits alone are a rank's number."""
_FILE = re.compile(
    rf"(?P<stem>.+?)(?:\.(?P<variant>{_VARIANT}))?(?:-\d+-of-(?P<shards>\d+))?(?:\.(?P<late>{_VARIANT}))?"
    rf"(?P<suffix>{'|'.join(map(re.escape, _SUFFIXES))})",
    re.DOTALL,
)
_INDEX = re.compile(
    rf"(?P<stem>.+)(?P<suffix>{'|'.join(map(re.escape, (*INDEXED, *FOREIGN)))})"
    rf"\.index(?:\.(?P<variant>{_VARIANT}))?\.json",
    re.DOTALL,
)
_NO_WEIGHTS = re.compile("|".join(NO_WEIGHTS))
_COPIES = re.compile("|".join(COPIES))
_LIBRARY = re.compile(r"(^|_)(pytorch|tf|flax|rust)_(?=model)")


MARK = re.compile(r"\.r[0-9a-f]{6}(?=\.[^.]+\Z)")
"""What a change in place in a store adds to the names of shards. Those that no index names are left over."""


class WeightName(NamedTuple):
    """The parts of a name `stem.variant-00001-of-SHARDS.suffix`, or of an index: `stem.suffix.index.variant.json`."""

    name: str
    stem: str
    variant: str | None
    suffix: str
    shards: int | None = None
    is_index: bool = False

    @property
    def family(self) -> str:
        """The stem without the library's name: it is the same for a model in the formats of several libraries."""
        return _LIBRARY.sub(r"\1", self.stem)

    @property
    def whole(self) -> str:
        """The name of a single file with all tensors."""
        return f"{self.stem}.{self.variant}{self.suffix}" if self.variant else self.stem + self.suffix

    @property
    def is_part(self) -> bool:
        """Whether it is one shard of several."""
        return self.shards is not None and self.shards > 1

    @property
    def is_of_model(self) -> bool:
        """Whether a file with this name contains a model, and not an export of one or possibly a data set."""
        may_be_data = self.suffix == ".bin" and not any(word in self.stem for word in _OF_A_MODEL)
        return self.suffix not in EXPORTS and not may_be_data


def weight_name(name: str) -> WeightName | None:
    """The parts of the file name `name`; None if it is not the name of weights or of an index.

    Hidden files never are: macOS leaves `._model.safetensors` beside files on drives of other systems.
    """
    if name.startswith(".") or _NO_WEIGHTS.fullmatch(name):
        return None
    if found := _INDEX.fullmatch(name):
        return WeightName(name, found["stem"], found["variant"], found["suffix"], is_index=True)
    if found := _FILE.fullmatch(name):
        shards = int(found["shards"]) if found["shards"] else None
        return WeightName(name, found["stem"], found["variant"] or found["late"], found["suffix"], shards)
    return None


def twins(names: Iterable[str], chosen: WeightName) -> Iterator[str]:
    """Each of `names` that contains the same model as the `chosen` file: it has stale values after a rewrite.

    `names` are the other files directly in the folder of the checkpoint. Twins have the same stem, in another format,
    variant or set of shards; or they are exports. Weights of another model, such as an adapter's, and the state of
    training are not twins.
    """
    for name in names:
        found = weight_name(name)
        if MARK.search(name):
            continue
        is_copy = is_another_copy(name) or (found and (found.suffix in EXPORTS or found.family == chosen.family))
        if is_copy and name != chosen.name:
            yield name


def is_another_copy(name: str) -> bool:
    """Whether a file with this name contains a copy of the model beside it."""
    return bool(_COPIES.fullmatch(name))

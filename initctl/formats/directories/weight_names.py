"""What files of weights are called, what other files of the same endings are, and which files hold the same model.

Endings and names are knowledge of the libraries that write them: each row names one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

SAFETENSORS = ".safetensors"
DISTRIBUTED_METADATA, DISTRIBUTED_CHUNKS = ".metadata", ".distcp"
"""Of torch.distributed.checkpoint: the file that describes all others in its directory, and the ending of these."""
TORCH = (".bin", ".pt", ".pth", ".ckpt")
READ: tuple[tuple[str, ...], ...] = ((SAFETENSORS,), TORCH)
"""Endings of weights that initctl reads, of one format each: a directory is searched for these, in this order."""
INDEXED = (SAFETENSORS, ".bin")
"""Endings of weights that an index can list: before `.index.json`."""
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
"""Endings of whole models for other programs: made of the weights, whatever the files are called."""
NO_WEIGHTS = {
    r"training_args\.bin": "transformers, Trainer",
    r"(optimizer|scheduler|scaler|lr_scheduler)(_\d+)?\.(pt|bin)": "transformers, Trainer; accelerate, save_state",
    r"(sampler|dl_state_dict)(_\d+)?\.bin": "accelerate, save_state",
    r"rng_state(_\d+)?\.pth": "transformers, Trainer",
    r".*_optim_states\.pt": "DeepSpeed",
    r"recipe_state\.pt": "torchtune",
    r"common\.pt": "Megatron-core, dist_checkpointing: all that is not a sharded tensor",
    r"(latest_)?train_state\.pt": "Megatron-Bridge",
}
"""Files of torch.save that are beside weights and hold the state of training. `formats/beside.py` knows more names of
optimizers' files, but some of those hold weights too, as Megatron-LM's `model_optim_rng.pt` does.
"""
CONVERTED = {
    "pytorch_model": "model",  # transformers
    "open_clip_pytorch_model": "open_clip_model",  # open_clip
}
"""Stems that a library's loader expects to be others in safetensors."""
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
_OF_A_MODEL = ("model", "weights")
"""What stems of `.bin` files with weights have in them: data sets have this ending, too."""
_SUFFIXES = (SAFETENSORS, *TORCH, *FOREIGN, *EXPORTS)
_VARIANT = r"[A-Za-z0-9_]*[A-Za-z][A-Za-z0-9_]*"
"""As in transformers and diffusers, `_add_variant`: `fp16`, `non_ema`, `8bit`; a number alone is a rank's."""
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


class WeightName(NamedTuple):
    """A name in parts: `stem.variant-00001-of-SHARDS.suffix`, or that of an index: `stem.suffix.index.variant.json`."""

    name: str
    stem: str
    variant: str | None
    suffix: str
    shards: int | None = None
    is_index: bool = False

    @property
    def family(self) -> str:
        """The stem without the library in it: the same for one model in the formats of several libraries."""
        return _LIBRARY.sub(r"\1", self.stem)

    @property
    def whole(self) -> str:
        """What one file with all of it would be called."""
        return f"{self.stem}.{self.variant}{self.suffix}" if self.variant else self.stem + self.suffix

    @property
    def is_part(self) -> bool:
        """Whether it is one shard of several."""
        return self.shards is not None and self.shards > 1

    @property
    def is_of_model(self) -> bool:
        """Whether a file called so holds a model for training, and neither an export of one nor, maybe, data."""
        may_be_data = self.suffix == ".bin" and not any(word in self.stem for word in _OF_A_MODEL)
        return self.suffix not in EXPORTS and not may_be_data


def weight_name(name: str) -> WeightName | None:
    """The parts of `name`, that of a file in its folder, if it is one of weights or of their index.

    What is hidden is none: macOS leaves `._model.safetensors` beside files on drives of other systems.
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
    """Those of `names`, directly in the folder of a checkpoint, that hold the same model as the `chosen` one.

    They hold older values once the checkpoint is rewritten, and a reader that prefers them would undo the work. They
    have the same stem, in another format, variant or set of shards; or they are exports. Another model's weights, such
    as an adapter's, and the state of training are not meant. The files of the checkpoint are not among `names`.
    """
    for name in names:
        found = weight_name(name)
        is_copy = is_another_copy(name) or (found and (found.suffix in EXPORTS or found.family == chosen.family))
        if is_copy and name != chosen.name:
            yield name


def is_another_copy(name: str) -> bool:
    """Whether a file called so holds the model beside it once more."""
    return bool(_COPIES.fullmatch(name))

"""The table of the model that a config.json describes, with names as on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

from initctl.architecture import BUILT, Description, model_of
from initctl.creating.template import Template
from initctl.errors import InputError, Problem, shown
from initctl.formats import Checkpoint, Result
from initctl.formats.config import CONFIG, read_config_file
from initctl.formats.file_formats import SAFETENSORS
from initctl.formats.mistaken.remote import refuse_missing
from initctl.formats.opening import is_folder, status_at

if TYPE_CHECKING:
    from initctl.architecture import Model
    from initctl.dtypes import DType

_QUANTIZATION = "quantization_config"


@dataclass(frozen=True, slots=True)
class Config:
    """The `config.json` at `path`, a file or a directory with one, with other values in `settings`, by dotted keys, and
    a `dtype`, if it is another one.
    """

    path: str
    _: KW_ONLY
    settings: Mapping[str, Any] = field(default_factory=dict)
    dtype: DType | None = None

    def template(self) -> Template:
        """The tensors of its model. The other files of a directory go along.

        Raises `InputError` if the configuration is missing or transformers cannot build its model, `UsageError` if a
        setting is unknown, and `StorageError` if transformers is missing.
        """
        file = os.path.join(self.path, CONFIG) if is_folder(self.path) else self.path
        read = _read(file, self.path)
        checkpoint = _checkpoint(self.path, self._model(read, file))
        given = {**read, **self.settings}
        warnings = (*_quantized(read, file), *_other_class(given, checkpoint.config() or {}, file))
        return Template.beside_files(checkpoint)._replace(warnings=warnings)

    def _model(self, config: Mapping[str, Any], file: str) -> Model:
        """The model of `config`, which was read from `file`. Raises `InputError` if no tensor has elements."""
        name = self.dtype.name if self.dtype and self.dtype.name in BUILT else None
        model = model_of(Description(path=file, config=config, settings=self.settings, dtype=name))
        if not any(tensor.numel for tensor in model.tensors):
            zeros = [key for key, value in self.settings.items() if type(value) is int and value == 0]
            hint = f"--set {shown(zeros[0])}=0 makes them empty" if zeros else "a size in it is 0"
            raise InputError(Problem("config.refused", f"{shown(file)}: no tensor of this model has elements", hint))
        return model.with_dtype(self.dtype) if self.dtype and not name else model


def _checkpoint(path: str, model: Model) -> Checkpoint:
    """The checkpoint of `model`, whose configuration is at `path`. No file holds it yet."""
    place = os.path.realpath(path)
    return Checkpoint(
        path=path,
        directory=place if is_folder(path) else os.path.dirname(place),
        target=place,
        format=SAFETENSORS,
        files=(),
        tensors=model.tensors,
        incomplete=True,
        values=model.values,
        result=Result(files={name: text.encode() for name, text in model.files.items()}),
    )


def _read(file: str, path: str) -> Mapping[str, Any]:
    if not status_at(file, follow=False):
        refuse_missing(path, CONFIG)
        if is_folder(path):
            hint = "name a directory that has one, or the file itself"
            raise InputError(Problem("config.missing", f"{shown(path)}: has no {CONFIG}", hint))
    return read_config_file(file)


def _other_class(given: Mapping[str, Any], made: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """A warning if the model is of another class than the configuration names, or if it names none."""
    named, (built,) = given.get("architectures"), made["architectures"]
    if not named:
        message = f"{shown(path)}: names no architectures, so this is the model without a head: {built}"
        hint = "--set 'architectures=[\"NAME\"]' chooses another class, such as LlamaForCausalLM"
        yield Problem("config.architectures", message, hint)
    elif named[0] != built:
        kind = shown(given["model_type"])
        message = f"{shown(path)}: architectures names {shown(named[0])}; for {kind}, transformers has {built}"
        yield Problem("config.architectures", message)


def _quantized(config: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """A warning if the weights of the original are quantized: those of the new model are not."""
    if found := config.get(_QUANTIZATION):
        method = found.get("quant_method") if isinstance(found, dict) else None
        how = f" ({shown(method)})" if isinstance(method, str) else ""
        message = f"{shown(path)}: {_QUANTIZATION}{how} is left out: the new weights are not quantized"
        yield Problem("config.quantized", message)

"""The table of the model that a config.json describes, with names as on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from initctl.creating.models import kind_of, quantization_note
from initctl.creating.settings import with_settings
from initctl.creating.template import Template
from initctl.errors import InputError, Problem, shown
from initctl.formats import Checkpoint
from initctl.formats.config import CONFIG, LONGEST
from initctl.formats.file_formats import SAFETENSORS
from initctl.formats.mistaken.remote import refuse_missing
from initctl.formats.opening import read_small, refusing
from initctl.formats.strict_json import parse_object

if TYPE_CHECKING:
    from initctl.dtypes import DType


def from_config(path: str, settings: Mapping[str, Any], *, dtype: DType | None) -> Template:
    """The model of the `config.json` at `path`, a file or a directory with one, after `settings` of some fields.

    The other files of a directory go along. Raises `InputError` if there is no configuration, or transformers cannot
    build its model; `UsageError` for an unknown setting; and `StorageError` if transformers is missing.
    """
    is_directory = os.path.isdir(path)
    file = os.path.join(path, CONFIG) if is_directory else path
    read = _read(file, path)
    kind = kind_of(read, file)
    fields = with_settings(read, settings, kind.known(read), kind.canonical) if settings else dict(read)
    model = kind.build(fields, dtype.name if dtype else None, is_changed=bool(settings))
    place = os.path.realpath(path)
    checkpoint = Checkpoint(
        path=path,
        directory=place if is_directory else os.path.dirname(place),
        target=place,
        format=SAFETENSORS,
        files=(),
        tensors=model.tensors,
        incomplete=True,
        values=model.values,
        new_files=model.files,
    )
    return Template.beside_files(checkpoint)._replace(warnings=tuple(quantization_note(read, file)))


def _read(file: str, path: str) -> Mapping[str, Any]:
    if not os.path.lexists(file):
        refuse_missing(path)
        if os.path.isdir(path):
            hint = "name a directory that has one, or the file itself"
            raise InputError(Problem("config.missing", f"{shown(path)}: has no {CONFIG}", hint))
    with refusing(file, "config", "is not valid JSON", "mend it, or copy it from the model again"):
        return parse_object(read_small(file, LONGEST))

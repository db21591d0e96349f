"""The whole list of verdicts that differ from other readers' on purpose. An input whose verdict differs in another way
is a finding. tests/fuzz/test_fuzz.py shows each of them by an input of the corpus.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """A `reason` for which initctl and an oracle disagree about inputs of `target`.

    `words` are a pattern of the message by which `refuses`, the oracle or initctl itself,
    refuses. `target` and `oracle`
    are patterns of names.
    """

    target: str
    oracle: str
    refuses: str
    words: str
    reason: str

    def fits(self, target: str, oracle: str, refuses: str, message: str) -> bool:
        is_about = re.fullmatch(self.target, target) and re.fullmatch(self.oracle, oracle) and refuses == self.refuses
        return bool(is_about and re.search(self.words, message, re.DOTALL))


def _any(*words: str) -> str:
    return "|".join(words)


_TORCH, _PICKLES, _LOADERS, _IT, _WE = "torch-.*", "torch-.*|distributed", "torch.load|unpickler", "oracle", "initctl"

_OPAQUE = _any(
    "Unsupported (global|operand)",
    "was not an allowed global",
    "Can only (SETITEM|build|create|append|extend)",
    "Trying to (call reduce|load unsupported)",
    "Only persistent_load of storage",
    "persistent_load id must be",
    "must be imported to load",
    "UnpicklingError: $",
)
_CALLS = r"^(?!MemoryError|RecursionError|\w+: in )(?!.*(unhashable type|PytorchStreamReader|UnpicklingError: [pic]))"
"""An error that torch raises neither in a function that rebuilds a tensor or loads a storage, nor as it reads."""
_FRAMES = _any(
    "pickle data was truncated", "invalid load key", "pickle exhausted", "Ran out of input", "could not find MARK",
    "stack underflow", "code <= 0",
)  # fmt: skip
_TWO_WAYS = _any(
    "size or checksum differs", "header and the directory disagree", "does not begin where", "is listed twice",
    "is not a name below", "does not end like a zip", "its zip end and its Zip64 end", "not at the offset given for it",
    "one part of a multi-part", "is compressed", "is encrypted", "is marked as a directory", "is not UTF-8",
    "has two different sizes", "number of records in its directory", "has no Zip64 field", "has unknown flags",
    "directory is (damaged|truncated)", "unknown version of the zip", "torch takes this name for",
)  # fmt: skip
_NEVER_WRITTEN = _any(
    "its (size|stride|offset) must (be a|contain)", "its metadata is not a dict", "requires_grad must be",
    "(version|alignment): is not a number", "invalid literal for int", "sets attributes of a value",
    "(sets|adds) items (of|to) a value", "ordinal not in range", "not a tuple of arguments", "byte order is",
    "names (its|a) storage in", "data outside of the file", "has more (elements|metadata)", "has protocol",
    "does not end with", "has .* bytes instead of", "reaches byte", "invalid number of a memo",
)  # fmt: skip
_JSON = _any(
    "appears twice", "not UTF-8", "is not JSON", "is too large", "surrogate pair", "nested too deeply",
    "too many digits", "byte-order mark", "longer than", "not a JSON object",
)  # fmt: skip

DIFFERENCES = (
    Difference("safetensors", "safetensors", _WE, "appears twice",
               "the library takes the last of tensors with one name; another reader could take the first"),
    Difference(_TORCH, "torch.load", _IT, _OPAQUE,
               "torch loads a few classes and instructions; initctl reads past all others, which stay opaque"),
    Difference(_PICKLES, _LOADERS, _IT, _CALLS, "initctl calls nothing, so it does not see that a call would fail"),
    Difference(_PICKLES, _LOADERS, _IT, "unhashable type", "initctl does not look into tuples that are keys"),
    Difference(_PICKLES, _LOADERS, _IT, "MemoryError", "Python's memo grows to the largest number in it"),
    Difference(_PICKLES, "unpickler", _IT, _FRAMES,
               "frames say how a pickle is read in advance; initctl reads it whole"),
    Difference(_TORCH, _LOADERS, _IT,
               "in _rebuild_(sparse|nested|qtensor|wrapper|meta|from_type|device|xla)|'Opaque' object|isComplexType",
               "initctl keeps tensors that it cannot fill as they are, and does not rebuild them"),
    Difference(_TORCH, _LOADERS, _IT, "don't know how to restore data location|deserialize object on a ",
               "initctl loads nothing onto a device"),
    Difference(_TORCH, _LOADERS, _WE, "contains only .*, no named tensors", "torch loads any object; initctl, tensors"),
    Difference(_TORCH, _LOADERS, _WE, _NEVER_WRITTEN, "torch.save writes no such value"),
    Difference(_TORCH, _LOADERS, _WE, "its elements share memory: all tensors have",
               "a small file could claim tensors that no command reads to their end"),
    Difference("torch-zip", _LOADERS, _WE, _TWO_WAYS,
               "another reader could see other records: initctl reads only archives that torch.save can have written"),
    Difference("torch-zip", _LOADERS, _WE, "is damaged: its CRC-32", "torch compares no checksum"),
    Difference("torch-zip", "zipfile", _WE, "", "zipfile does not know what torch.save writes into an archive"),
    Difference("torch-zip", "zipfile", _IT, "BadZipFile: [^/]*/",
               "initctl compares checksums with tensors' bytes as it copies them, not when it lists them"),
    Difference("torch-legacy", _LOADERS, _WE, "its storage .* (is missing|has .* bytes instead)|reaches byte",
               "torch believes the pickle, and leaves what the file does not hold uninitialized"),
    Difference("torch-legacy", _LOADERS, _WE,
               "header length|shorter than the 8-byte|is plain text|is not a checkpoint",
               "a file of torch.save begins with protocol 2 or later"),
    Difference("torch-legacy", _LOADERS, _WE, "unexpected bytes after the last storage|missing bytes at the end",
               "torch does not look at what follows, and does not load what nothing refers to"),
    Difference("distributed", "unpickler", _IT, "in _rebuild_",
               "`.metadata` has no tensors: whatever would rebuild one there stays opaque"),
    Difference("distributed", "unpickler", _WE, "",
               "any pickle can be read; `.metadata` has to fit the files beside it"),
    Difference("config", "json", _WE, _JSON,
               "Python's parser accepts what JSON does not allow, or what readers interpret differently"),
    Difference("index|table|plan|report", "json", _WE, "", "any JSON can be read; this is of one form"),
    Difference("recipe", "tomllib", _WE, "", "any TOML can be read; this is a recipe"),
)  # fmt: skip

"""`*.safetensors.index.json` and `*.bin.index.json`, some with a variant: which tensor is in which shard."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from pathlib import PureWindowsPath
from typing import NamedTuple, NoReturn

from initctl.errors import InputError, Problem, shown
from initctl.formats.directories.weight_names import SAFETENSORS, TORCH, WeightName, weight_name
from initctl.formats.mistaken.not_checkpoints import refuse_json
from initctl.formats.reading import opened, read_at
from initctl.formats.strict_json import InvalidJson, parse_object


class IndexNaming(NamedTuple):
    """How an index's name ends if it has no variant, and how its shards' do."""

    suffix: str
    shards: tuple[str, ...]


INDEXES = (IndexNaming(".safetensors.index.json", (SAFETENSORS,)), IndexNaming(".bin.index.json", TORCH))
"""A directory is searched for these, in this order."""
_SUFFIXES = tuple(suffix for kind in INDEXES for suffix in kind.shards)
LONGEST = 100_000_000
"""Bytes."""


class Index:
    """An index file: the shard of each tensor, every shard proven to name a file below the index's directory."""

    def __init__(self, path: str) -> None:
        """Read the index at `path`. Raises `InputError`."""
        self.path = path
        self.name = _named(path)
        """Its parts, if it is called as an index is."""
        self.weight_map = self._weight_map()
        self.shards = list(dict.fromkeys(self.weight_map.values()))
        """Names relative to the index's directory, in order of first mention."""
        for shard in self.shards:
            self._check_name(shard)
        if len({unicodedata.normalize("NFC", shard).casefold() for shard in self.shards}) < len(self.shards):
            self._malformed("two shards' names differ only in spelling")

    def refuse(self, code: str, fault: str, hint: str | None = None) -> NoReturn:
        raise InputError(Problem(f"index.{code}", f"{shown(self.path)}: {fault}", hint))

    def refuse_entry(self, code: str, name: str, fault: str, hint: str) -> NoReturn:
        """Raise `InputError` for a `fault` of tensor `name`, with the line of its entry, if it has one."""
        line = self._line_of(name)
        self.refuse(code, f"{f'line {line}: ' if line else ''}tensor {shown(name)} {fault}", hint)

    def _line_of(self, name: str) -> int | None:
        """The line of the entry of tensor `name`, if there is one, written as Python's or Rust's JSON writers do."""
        if name not in self.weight_map:
            return None
        for key in (json.dumps(name), json.dumps(name, ensure_ascii=False)):
            key_and_file = re.escape(key) + rf"\s*:\s*{re.escape(json.dumps(self.weight_map[name]))}"
            if found := re.search(key_and_file.encode("utf-8", "surrogatepass"), self._content()):
                return found.string.count(b"\n", 0, found.start()) + 1
        return None

    def _content(self) -> bytes:
        with opened(self.path) as (descriptor, status):
            if status.st_size > LONGEST:
                self._malformed(f"longer than {LONGEST} bytes")
            return read_at(descriptor, status.st_size, 0)

    def _weight_map(self) -> dict[str, str]:
        content = self._content()
        try:
            document = parse_object(content)
        except InvalidJson as error:
            self._malformed(str(error))
        refuse_json(self.path, document, content)
        weight_map = document.get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            self._malformed("weight_map must be an object with an entry for each tensor")
        for name, shard in weight_map.items():
            if not isinstance(shard, str):
                self._malformed(f"weight_map: {shown(name)}: must name a file")
        return weight_map

    def _check_name(self, shard: str) -> None:
        if fault := plain_name(shard):
            code, words = fault
            self.refuse(code, f"{shown(shard)}: {words}")
        suffixes = next((kind.shards for kind in INDEXES if self.name and self.name.suffix in kind.shards), _SUFFIXES)
        if not shard.endswith(suffixes):
            self._malformed(f"{shown(shard)}: is not a {' or '.join(suffixes)} file")

    def _malformed(self, fault: str) -> NoReturn:
        self.refuse("malformed", fault)


def _named(path: str) -> WeightName | None:
    found = weight_name(os.path.basename(path))
    return found if found and found.is_index else None


def plain_name(name: str) -> tuple[str, str] | None:
    """What is wrong with `name` as that of a file below a directory, if anything is: a code, and the fault in words."""
    plain = PureWindowsPath(name)  # reads both separators, drives and shares, on every system
    if plain.anchor or ".." in plain.parts or "\0" in name or "\\" in name or not plain.parts:
        return "escape", "leads out of the directory"
    if "/".join(plain.parts) != name:
        return "malformed", f"is not written plainly, as {shown('/'.join(plain.parts))}"
    return None

"""A sharded checkpoint, read by its index: `*.safetensors.index.json` or `*.bin.index.json`, some with a variant."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Sequence
from itertools import chain
from typing import NoReturn

from initctl.errors import InputError, Problem, listed, shown
from initctl.formats.directories.folder import is_within, plain_name
from initctl.formats.directories.location import Location
from initctl.formats.directories.weight_names import READ, weight_name
from initctl.formats.file_formats import read_table
from initctl.formats.mistaken.not_checkpoints import refuse_json
from initctl.formats.opening import opened, read_at, refusing, status_at
from initctl.formats.strict_json import parse_object
from initctl.formats.table import FileTable
from initctl.formats.together import Found
from initctl.stores.descriptors import prefetch

LONGEST = 100_000_000
"""Bytes."""
_OF_ONE_SAVE = "the index and the shards are from different saves; get all files from the same save"


def read_index(path: str, location: Location | None = None) -> Found:
    """The checkpoint whose index is at `path`. `location` is given if the user named its directory.

    Raises `InputError`.
    """
    if location is None:
        directory = os.path.realpath(os.path.dirname(path))  # the index may be a link, as in Hugging Face's cache
        location = Location(path, directory, directory)
    index = Index(path)
    index.check_shards(location)
    index.check_no_rival(location)
    prefetch([os.path.join(location.home, shard) for shard in index.shards])
    tables = [read_table(os.path.join(location.home, shard), location.named(shard)) for shard in index.shards]
    kinds = sorted({table.format for table in tables})
    if len(kinds) > 1:
        index.refuse("mixed", f"its shards have different formats: {', '.join(kinds)}")
    index.check_tensors(tables)
    kind, own = f"{kinds[0]}-sharded", location.file(os.path.basename(path))
    description = FileTable(kind, own, (), {}) if own else None
    chosen = index.name or weight_name(os.path.basename(index.shards[0]))
    return Found(location, kind, tables, description, chosen)


class Index:
    """An index file: the shard of each tensor. Every shard is checked: it is below the index's directory."""

    def __init__(self, path: str) -> None:
        """Read the index at `path`. Raises `InputError`."""
        self.path = path
        name = weight_name(os.path.basename(path))
        self.name = name if name and name.is_index else None
        """The parts of its name, if the name is an index's."""
        self.weight_map = self._weight_map()
        self.shards = list(dict.fromkeys(self.weight_map.values()))
        """Names relative to the index's directory, in order of first mention."""
        for shard in self.shards:
            self._check_name(shard)
        if len({unicodedata.normalize("NFC", shard).casefold() for shard in self.shards}) < len(self.shards):
            self.refuse("malformed", "the names of two shards differ only in case or Unicode form")

    def check_shards(self, location: Location) -> None:
        """Check that all shards exist, and are in the directory. Only links into Hugging Face's cache may leave it."""
        paths = {shard: os.path.join(location.home, shard) for shard in self.shards}
        if missing := [shard for shard, path in paths.items() if not status_at(path)]:
            named = listed([shown(shard) for shard in missing], at_most=5)
            hint = f"copy {'it' if len(missing) == 1 else 'them'} here, or download the model again"
            self.refuse("shard_missing", f"lists shards that are missing: {named}", hint)
        for shard, path in paths.items():
            if not is_within(os.path.realpath(path, strict=True), location.directory):
                self.refuse("escape", f"{shown(shard)}: is a link to a file outside of the index's directory")

    def check_no_rival(self, location: Location) -> None:
        """Refuse `model.safetensors` beside `model.safetensors.index.json`: some loaders prefer it to the shards."""
        rival = self.name.whole if self.name else ""
        if rival in location.folder.files and rival not in self.shards:
            hint = "delete the stale one"
            message = f"{shown(self.path)}: {shown(rival)} beside the index contains the same model"
            raise InputError(Problem("directory.ambiguous", message, hint))

    def check_tensors(self, tables: Sequence[FileTable]) -> None:
        """Check that the index and the shards, which have `tables`, list the same tensors in the same files."""
        found: dict[str, str] = {}
        for shard, table in zip(self.shards, tables, strict=True):
            for _, tensor in table.entries:
                if tensor.name in found:
                    both = f"is in both {shown(found[tensor.name])} and {shown(shard)}"
                    self._refuse_entry("duplicate", tensor.name, both)
                found[tensor.name] = shard
        for name, shard in self.weight_map.items():
            if found.get(name) != shard:
                place = f"it is in {shown(found[name])}" if name in found else "no shard contains it"
                self._refuse_entry("tensor_missing", name, f"is not in {shown(shard)}; {place}")
        if unlisted := [name for name in found if name not in self.weight_map]:
            self._refuse_entry("unlisted", unlisted[0], f"is in {shown(found[unlisted[0]])} but not in the index")

    def refuse(self, code: str, fault: str, hint: str | None = None) -> NoReturn:
        raise InputError(Problem(f"index.{code}", f"{shown(self.path)}: {fault}", hint))

    def _refuse_entry(self, code: str, name: str, fault: str) -> NoReturn:
        """Raise `InputError` for a `fault` of tensor `name`, with the line of its entry if there is one."""
        line = self._line_of(name)
        self.refuse(code, f"{f'line {line}: ' if line else ''}tensor {shown(name)} {fault}", _OF_ONE_SAVE)

    def _line_of(self, name: str) -> int | None:
        """The line of the entry of tensor `name`, if it is written as Python's or Rust's JSON writers do."""
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
                self.refuse("malformed", f"is longer than {LONGEST:,} bytes")
            return read_at(descriptor, status.st_size, 0)

    def _weight_map(self) -> dict[str, str]:
        content = self._content()
        with refusing(self.path, "index"):
            document = parse_object(content)
        refuse_json(self.path, document, content)
        weight_map = document.get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            self.refuse("malformed", "weight_map must be an object with an entry for each tensor")
        for name, shard in weight_map.items():
            if not isinstance(shard, str):
                self.refuse("malformed", f"weight_map: {shown(name)}: must name a file")
        return weight_map

    def _check_name(self, shard: str) -> None:
        if fault := plain_name(shard):
            code, words = fault
            self.refuse(code, f"{shown(shard)}: {words}")
        known = [of for of in READ if not self.name or self.name.suffix in of] or READ
        suffixes = tuple(chain.from_iterable(known))
        if not shard.endswith(suffixes):
            self.refuse("malformed", f"{shown(shard)}: is not a {' or '.join(suffixes)} file")

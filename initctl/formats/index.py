"""`*.safetensors.index.json`: which tensor lies in which shard."""

from __future__ import annotations

import os
import unicodedata
from pathlib import PureWindowsPath
from typing import NoReturn

from initctl.errors import InputError, Problem, shown
from initctl.formats import safetensors
from initctl.formats.opening import open_regular, read_at
from initctl.formats.strict_json import InvalidJson, parse_object

SUFFIX = ".safetensors.index.json"
LONGEST = 100_000_000
"""Bytes."""


class Index:
    """An index file: the shard of each tensor, every shard proven to name a file below the index's directory."""

    def __init__(self, path: str) -> None:
        """Read the index at `path`. Raises `InputError`."""
        self.path = path
        self.weight_map = self._weight_map()
        self.shards = list(dict.fromkeys(self.weight_map.values()))
        """Names relative to the index's directory, in order of first mention."""
        for shard in self.shards:
            self._check_name(shard)
        if len({unicodedata.normalize("NFC", shard).casefold() for shard in self.shards}) < len(self.shards):
            self._malformed("two shards' names differ only in spelling")

    def refuse(self, code: str, fault: str, hint: str | None = None) -> NoReturn:
        raise InputError(Problem(f"index.{code}", f"{shown(self.path)}: {fault}", hint))

    def _weight_map(self) -> dict[str, str]:
        descriptor, status = open_regular(self.path)
        try:
            if status.st_size > LONGEST:
                self._malformed(f"longer than {LONGEST} bytes")
            content = read_at(descriptor, status.st_size, 0)
        finally:
            os.close(descriptor)
        try:
            weight_map = parse_object(content).get("weight_map")
        except InvalidJson as error:
            self._malformed(str(error))
        if not isinstance(weight_map, dict) or not weight_map:
            self._malformed("weight_map must be an object with an entry for each tensor")
        for name, shard in weight_map.items():
            if not isinstance(shard, str):
                self._malformed(f"weight_map: {shown(name)}: must name a file")
        return weight_map

    def _check_name(self, shard: str) -> None:
        plain = PureWindowsPath(shard)  # reads both separators, drives and shares, on every system
        if plain.anchor or ".." in plain.parts or "\0" in shard or "\\" in shard or not plain.parts:
            self.refuse("escape", f"{shown(shard)}: leaves the directory of the index")
        if "/".join(plain.parts) != shard:
            self._malformed(f"{shown(shard)}: is not written plainly, as {shown('/'.join(plain.parts))}")
        if not shard.endswith(safetensors.SUFFIX):
            self._malformed(f"{shown(shard)}: is not a {safetensors.SUFFIX} file")

    def _malformed(self, fault: str) -> NoReturn:
        self.refuse("malformed", fault)

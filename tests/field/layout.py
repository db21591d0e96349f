"""A layout: what one library writes to a folder, how it loads it again, and what people run on it."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

FILES = os.path.join(os.path.dirname(__file__), "files")


@dataclass(frozen=True)
class Record:
    """What the tensors of a layout are for, as the library that wrote them knows it.

    `checkpoint` is the path in the layout's folder that people give to initctl; '' is the folder. `parameters` are the
    names, relative to `root`, that a rule with wildcards may fill; `buffers` are numbers of the model that are not
    trained, such as running means, which it may fill, too. `special` names are under the root, and a rule with
    wildcards must leave them: by name, what each is for. All else in the folder must stay as it is.

    `warned` are words of the warnings that a rule over everything must give; if it must be refused, `refused` are
    words of the error. `flags` are what else `initctl.apply` must be given.
    """

    checkpoint: str = ""
    root: str = ""
    parameters: tuple[str, ...] = ()
    buffers: tuple[str, ...] = ()
    special: Mapping[str, str] = field(default_factory=dict)
    warned: tuple[str, ...] = ()
    refused: str | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)

    def save(self, path: str) -> None:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(dataclasses.asdict(self), file, indent=1)
            file.write("\n")

    @classmethod
    def read(cls, path: str) -> Record:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in found.items()})


@dataclass(frozen=True)
class Job:
    """What a person would run: `arguments` follow `initctl apply CHECKPOINT`.

    `changes` are patterns (fnmatch) of the names, as the library loads them, that get other values; all others must be
    as they were. If the command must be refused, `refused` are words of its message. `output` is where the result goes,
    relative to the layout's folder; None replaces the checkpoint itself.
    """

    title: str
    arguments: tuple[str, ...]
    changes: tuple[str, ...] = ()
    output: str | None = "out"
    refused: str | None = None
    warned: str | None = None


@dataclass(frozen=True)
class Layout:
    """One way in which a library saves.

    `write` fills a folder and says what is there. `load` takes the path of a checkpoint, of `write` or of initctl, and
    gives what the library's own loader `loader` makes of it, by name.
    """

    name: str
    write: Callable[[str], Record]
    load: Callable[[str], Mapping[str, Tensor]]
    loader: str
    jobs: tuple[Job, ...]
    by_hand: bool = False


def recorded() -> dict[str, Record]:
    """The layouts that lie in `files`, by LIBRARY/NAME."""
    found = {}
    for library in sorted(os.listdir(FILES)):
        names = (name for name in os.listdir(os.path.join(FILES, library)) if name.endswith(".json"))
        for name in sorted(names):
            found[f"{library}/{name.removesuffix('.json')}"] = Record.read(os.path.join(FILES, library, name))
    return found

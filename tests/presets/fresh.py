"""Checkpoints that transformers writes, presets applied to them, and what transformers would have made of them."""

from __future__ import annotations

import logging
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file, save_file

import initctl
from tests.presets.comparing import Comparison, compare

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.presets.model import Model

    Tensors = dict[str, NDArray[Any]]

SAMPLES = 3
FILE = "model.safetensors"
SPOILT = 7.5
"""What every floating-point element is before a preset is applied: nothing that it should be."""
COUNTED = 3
"""What every counter of batches is."""


@dataclass(frozen=True)
class Saved:
    """A checkpoint in one spelling of its names, spoilt; what fresh ones hold, several times; what must stay."""

    folder: Path
    samples: tuple[Tensors, ...]
    kept: Tensors = field(default_factory=dict)

    def compared(self, out: Path, **options: Any) -> Comparison:
        """What comes of a preset, or whatever `options` say, against fresh values. Raises `AssertionError`."""
        return self.applied(out, **options)[1]

    def applied(self, out: Path, **options: Any) -> tuple[initctl.Plan, Comparison]:
        """The plan of that, too."""
        applied = initctl.apply(self.folder, out, require_all=True, seed=1, **options)
        assert not applied.plan.warnings
        result: Tensors = load_file(out / FILE)
        for name, tensor in self.kept.items():
            assert np.array_equal(result.pop(name), tensor), f"{name}: did not stay as it was"
        return applied.plan, compare(result, self.samples)

    def spelled(self, folder: Path, names: Mapping[str, str], kept: Tensors) -> Saved:
        """The same under other `names`, given by the parts that differ, and with further tensors, to be `kept`."""
        shutil.copytree(self.folder, folder)
        samples = tuple(_respelled(sample, names) for sample in self.samples)
        _write(folder, {**_spoilt(samples[0]), **kept})
        return Saved(folder, samples, kept)


def saved(model: Model, folder: Path) -> dict[str, Saved]:
    """`model` as transformers saves it: in the names of the hub and, where they differ, those it has in memory."""
    spellings: dict[str, list[Tensors]] = {"hub": [], "memory": []}
    with quiet():
        for seed in range(SAMPLES):
            built = model.build(seed)
            for spelling, samples in spellings.items():
                place = folder / spelling
                built.save_pretrained(place, save_original_format=spelling == "hub")
                samples.append(load_file(place / FILE))
            if seed == 0 and set(spellings["hub"][0]) == set(spellings["memory"][0]):
                shutil.rmtree(folder / "memory")
                del spellings["memory"]
    return {spelling: spoilt(folder / spelling, *samples) for spelling, samples in spellings.items()}


def spoilt(folder: Path, *samples: Tensors) -> Saved:
    """A checkpoint in `folder` that holds none of the values of `samples`."""
    folder.mkdir(exist_ok=True)
    _write(folder, _spoilt(samples[0]))
    return Saved(folder, samples)


def loads(model: Model, folder: Path) -> bool:
    """Whether transformers finds every tensor of `model` in `folder`, each of its shape."""
    import transformers

    with quiet():
        _, info = getattr(transformers, model.name).from_pretrained(folder, output_loading_info=True)
    return not (info["missing_keys"] or info["mismatched_keys"])


@contextmanager
def quiet() -> Iterator[None]:
    """Without the notes that transformers writes about itself."""
    from transformers import logging as notes

    notes.disable_progress_bar()
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        notes.enable_progress_bar()


def _spoilt(tensors: Tensors) -> Tensors:
    """Tensors of the same names with other values, but for whole numbers that do not count batches."""
    return {name: _changed(name, tensor) for name, tensor in tensors.items()}


def _changed(name: str, tensor: NDArray[Any]) -> NDArray[Any]:
    if tensor.dtype.kind == "f":
        return np.full_like(tensor, SPOILT)
    return np.full_like(tensor, COUNTED) if name.endswith("num_batches_tracked") else tensor


def _respelled(tensors: Tensors, names: Mapping[str, str]) -> Tensors:
    """`tensors` with parts of names replaced; what replaces nothing is put before each."""
    renamed: Tensors = {}
    for name, tensor in tensors.items():
        changed = names.get("", "") + name
        for part, other in names.items():
            changed = changed.replace(part, other) if part else changed
        renamed[changed] = tensor
    return renamed


def _write(folder: Path, tensors: Tensors) -> None:
    save_file(tensors, folder / FILE, {"format": "pt"})

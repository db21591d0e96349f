"""`python -m tests.diagnosing` prints what the doctor finds in fresh, damaged and trained models, as tables.

Models of torchvision and timm are among them if these are installed.
"""

from __future__ import annotations

import warnings
from collections import Counter
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

import initctl
from tests.diagnosing.damages import DAMAGES
from tests.diagnosing.fresh import FAMILIES, Outcome, outcome, save
from tests.diagnosing.test_trained import TRAININGS, train
from tests.diagnosing.test_trained import save as save_trained
from tests.presets.fresh import FILE, quiet

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPS = 400
TORCHVISION = ("resnet18", "mobilenet_v3_small", "swin_t", "vgg11")
TIMM = ("vit_tiny_patch16_224", "convnext_atto", "resnet26", "mixer_s32_224")


def fresh_models(folder: Path) -> Iterator[Path]:
    for name in FAMILIES:
        yield save(name, folder / name)
    try:
        import timm
        import torchvision
    except ImportError:
        return
    built = {f"torchvision {name}": lambda name=name: torchvision.models.get_model(name) for name in TORCHVISION}
    built |= {f"timm {name}": lambda name=name: timm.create_model(name) for name in TIMM}
    for name, build in built.items():
        torch.manual_seed(0)
        (folder / name).mkdir()
        save_file({key: value.clone() for key, value in build().state_dict().items()}, folder / name / FILE)
        yield folder / name


def damaged_table(folder: Path) -> Iterator[str]:
    """What was found in each model as it was made, and after each damage; then each damage over all models."""
    yield "| model | fresh: errors, warnings | damages | found alone | fixed |"
    yield "|---|---|---|---|---|"
    tried, alone, fixed = Counter[str](), Counter[str](), Counter[str]()
    for model in fresh_models(folder):
        numbers = Counter(found.severity for found in initctl.doctor(model).findings)
        found: dict[str, Outcome] = {}
        for damage in DAMAGES:
            with TemporaryDirectory() as place:
                if (of_damage := outcome(model, damage, Path(place))) is not None:
                    found[damage.name] = of_damage
        sure = [damage.name for damage in DAMAGES if damage.name in found and found[damage.name].found == {damage.code}]
        clean = [name for name, of_damage in found.items() if not of_damage.left]
        tried.update(found.keys())
        alone.update(sure)
        fixed.update(clean)
        said = f"{numbers['error']}, {numbers['warning']}"
        yield f"| {model.name} | {said} | {len(found)} | {len(sure)} | {len(clean)} |"
        for name, (codes, left) in found.items():
            if name not in sure or left:
                yield f"|   {name}: found {', '.join(sorted(codes))}; left {', '.join(sorted(left)) or 'nothing'} |"
    yield ""
    yield "| damage | code | models | found alone | fixed |"
    yield "|---|---|---|---|---|"
    for damage in DAMAGES:
        counts = (counter[damage.name] for counter in (tried, alone, fixed))
        yield f"| {damage.name} | {damage.code} | {' | '.join(map(str, counts))} |"


def trained_table(folder: Path) -> Iterator[str]:
    yield f"| trained for {STEPS} steps | loss | read as | errors, warnings |"
    yield "|---|---|---|---|"
    for name, (build, loss_of) in TRAININGS.items():
        torch.manual_seed(0)
        with quiet():
            model = build()
        before, after = train(model, loss_of, STEPS)
        found = initctl.doctor(save_trained(model, folder / f"trained {name}"))
        numbers = Counter(one.severity for one in found.findings)
        state = "trained" if found.reading.is_trained else "fresh"
        said = f"{numbers['error']}, {numbers['warning']}"
        yield f"| {name} | {before:.2f} to {after:.2f} | {state}: {found.reading.reason} | {said} |"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with TemporaryDirectory() as place:
        for line in chain(damaged_table(Path(place)), [""], trained_table(Path(place))):
            print(line, flush=True)

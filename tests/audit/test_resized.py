"""A result whose tensors got other sizes holds what was asked for, to the byte."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import initctl
from tests.execution.checkpoints import METADATA, network, sharded

if TYPE_CHECKING:
    from pathlib import Path

ASKED: Any = {
    "rows": {"embed.weight": 52, "layers.0.bias": 4},
    "dims": {"norm.weight": [3, 2], "layers.1.bias": [2]},
    "set_config": {"model_type": "more"},
    "rules": ["embed.weight[50:]=normal", "norm.weight=normal", "layers.1.*=ones"],
}
IN_FILE: Any = {key: value for key, value in ASKED.items() if key != "set_config"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A sharded directory, and what was made of it."""
    folder = tmp_path_factory.mktemp("resized")
    original = sharded(folder / "in")
    initctl.apply(original, folder / "out", **ASKED)
    return original, folder / "out"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same in one file."""
    folder = tmp_path_factory.mktemp("resized")
    save_file(network(), folder / "in.safetensors", metadata=METADATA)
    initctl.apply(folder / "in.safetensors", folder / "out.safetensors", **IN_FILE)
    return folder / "in.safetensors", folder / "out.safetensors"


def test_what_apply_wrote_holds(written: tuple[Path, Path], files: tuple[Path, Path]):
    for threads in (1, 3):
        assert initctl.verify(*written, threads=threads, **ASKED)
        assert initctl.verify(*files, threads=threads, **IN_FILE)
    assert initctl.verify(*written, sample=3, **ASKED)


def test_without_the_original_the_same_options_hold(written: tuple[Path, Path], files: tuple[Path, Path]):
    assert initctl.verify(written[1], **ASKED)
    assert initctl.verify(files[1], **IN_FILE)


HINT = "give the --rows and --dims that apply had"


def test_without_the_options_the_report_asks_for_them(written: tuple[Path, Path], files: tuple[Path, Path]):
    for pair in (written, files):
        found = initctl.verify(*pair, rules=["layers.1.*=ones"])
        assert f"sizes differ: {HINT}" in str(found)
    found = initctl.verify(*files, **IN_FILE | {"rows": {"embed.weight": 51, "layers.0.bias": 4}})
    assert f"sizes differ: {HINT}" in str(found)
    found = initctl.verify(*files, **IN_FILE | {"rules": [*IN_FILE["rules"][:2], "layers.1.*=zeros"]})
    assert not found
    assert "sizes differ" not in str(found)


def test_a_rule_for_new_rows_that_the_original_does_not_have_asks_for_the_options(files: tuple[Path, Path]):
    original, result = files
    with pytest.raises(initctl.FitError) as raised:
        initctl.verify(original, result, rules=["embed.weight[50:]=normal"])
    (problem,) = raised.value.problems
    assert problem.hint == f"the rules fit {result}, which has other sizes; {HINT}; see initctl help rows"
    with pytest.raises(initctl.FitError) as raised:
        initctl.verify(original, result, rules=["embed.weight[60:]=normal"])
    assert HINT not in str(raised.value)


def test_without_the_original_another_config_is_found(written: tuple[Path, Path]):
    found = initctl.verify(written[1], **{**ASKED, "set_config": {"model_type": "other"}})
    assert not found
    assert [(wrong.file, wrong.fault) for wrong in found.rest_differences] == [
        ("config.json", "does not say model_type=other")
    ]


def holds(*paths: Path, **asked: Any) -> bool:
    """Whether it holds; a result that cannot be read does not."""
    try:
        return bool(initctl.verify(*paths, **asked))
    except initctl.InputError:
        return False


def places(content: bytes) -> list[int]:
    """Some places of a file: the first and the last ones, and every so often one between."""
    return sorted(
        {*range(0, len(content), max(1, len(content) // 24)), *range(len(content))[:9], *range(len(content))[-3:]}
    )


@pytest.mark.parametrize(
    "name",
    ["model-1.safetensors", "model-2.safetensors", "model-3.safetensors", "model.safetensors.index.json", "config.json",
     "extra/deep/notes.txt"],
)  # fmt: skip
def test_any_flipped_byte_of_a_directory_is_found(written: tuple[Path, Path], tmp_path: Path, name: str):
    original, result = written
    shutil.copytree(result, tmp_path / "copy")
    file = tmp_path / "copy" / name
    content = file.read_bytes()
    for at in places(content):
        file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert not holds(original, tmp_path / "copy", **ASKED), at
    file.write_bytes(content)
    assert holds(original, tmp_path / "copy", **ASKED)


def test_any_flipped_byte_of_a_file_is_found(files: tuple[Path, Path], tmp_path: Path):
    original, result = files
    content, copy = result.read_bytes(), tmp_path / "copy.safetensors"
    for at in places(content):
        copy.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert not holds(original, copy, **IN_FILE), at


def test_the_element_that_differs_is_named(files: tuple[Path, Path], tmp_path: Path):
    tensors = load_file(files[1])
    for name, index in (("embed.weight", (3, 4)), ("embed.weight", (51, 2)), ("norm.weight", (2, 1))):
        wrong = tensors[name].clone()
        wrong[index] += 1
        save_file(tensors | {name: wrong}, tmp_path / "wrong.safetensors", metadata=METADATA)
        found = initctl.verify(files[0], tmp_path / "wrong.safetensors", **IN_FILE)
        (difference,) = found.differences
        assert (difference.tensor, difference.index) == (name, index)


def test_a_file_that_is_missing_or_has_more_bytes_is_named(written: tuple[Path, Path], tmp_path: Path):
    original, result = written
    shutil.copytree(result, tmp_path / "copy")
    (tmp_path / "copy" / "config.json").write_text('{"model_type": "more"}\n')
    found = initctl.verify(original, tmp_path / "copy", **ASKED)
    assert [(other.file, other.fault) for other in found.rest_differences] == [("config.json", "byte 22 differs")]
    (tmp_path / "copy" / "config.json").unlink()
    found = initctl.verify(original, tmp_path / "copy", **ASKED)
    assert [(other.file, other.fault) for other in found.rest_differences] == [("config.json", "is missing")]


def test_the_original_itself_does_not_hold(written: tuple[Path, Path], files: tuple[Path, Path]):
    for found in (initctl.verify(written[0], **ASKED), initctl.verify(written[0], written[0], **ASKED)):
        assert {lost.tensor for lost in found.lost} == {"embed.weight", "layers.0.bias", "norm.weight", "layers.1.bias"}
    assert not initctl.verify(files[0], **IN_FILE)


def test_a_result_of_other_sizes_does_not_hold(files: tuple[Path, Path], tmp_path: Path):
    asked = {**IN_FILE, "rows": {"embed.weight": 53, "layers.0.bias": 4}}
    found = initctl.verify(*files, **asked)
    assert [(lost.tensor, lost.fault) for lost in found.lost] == [
        ("embed.weight", "is [52, 8] float32 instead of [53, 8] float32")
    ]
    assert json.loads(json.dumps(found.to_json()))["lost"]


def test_conversions_of_resized_tensors_are_compared_by_name(written: tuple[Path, Path], tmp_path: Path):
    original, _ = written
    initctl.apply(original, tmp_path / "out.safetensors", **IN_FILE)
    assert initctl.verify(original, tmp_path / "out.safetensors", **IN_FILE)
    tensors = load_file(tmp_path / "out.safetensors")
    tensors["layers.0.weight"][7, 7] += 1
    save_file(tensors, tmp_path / "out.safetensors")
    assert not initctl.verify(original, tmp_path / "out.safetensors", **IN_FILE)


def test_several_tensors_without_old_values_are_compared_each_with_its_own(tmp_path: Path):
    save_file({"a": torch.ones(2), "b": torch.ones(2)}, tmp_path / "in.safetensors")
    asked: Any = {"dims": {"*": [3]}, "rules": ["*=normal"]}
    initctl.apply(tmp_path / "in.safetensors", tmp_path / "out.safetensors", **asked)
    assert initctl.verify(tmp_path / "in.safetensors", tmp_path / "out.safetensors", **asked)

"""What is no checkpoint is replaced only by force; what is one, or empty, is replaced as ever."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING

import pytest
import torch

import initctl
from initctl.cli.main import run
from initctl.formats import read_checkpoint
from tests.commit.folders import snapshot
from tests.execution.checkpoints import network, sharded, single
from tests.execution.torch_files import save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RULES = ["norm.weight=zeros"]


def zipped(path: Path, name: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "text")


STRANGERS: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("# Notes\n\nfor me\n"),
    "a recipe": lambda path: path.write_text('[[rule]]\nmatch = "*"\ninit = "zeros"\n'),
    "config.json": lambda path: path.write_text('{"model_type": "bert"}'),
    "an index": lambda path: path.write_text(json.dumps({"weight_map": {"w": "a.safetensors"}})),
    "source code": lambda path: path.write_text("import torch\n"),
    "a tokenizer": lambda path: path.write_bytes(b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02"),
    "one byte": lambda path: path.write_bytes(b"\n"),
    "GGUF": lambda path: path.write_bytes(b"GGUF\x03\0\0\0" + bytes(100)),
    "a document": lambda path: zipped(path, "word/document.xml"),
    "a program": lambda path: path.write_bytes(b"\x7fELF" + bytes(200)),
    "a plain pickle": lambda path: path.write_bytes(b"\x80\x04]q\0."),
    "an archive of NumPy": lambda path: zipped(path, "arr_0.npy"),
    "a broken archive of torch.save": lambda path: path.write_bytes(save(path, network()).read_bytes()[:-9]),
}
CHECKPOINTS: dict[str, Callable[[Path], object]] = {
    "nothing yet": lambda path: path.touch(),
    "safetensors": lambda path: single(path, torch.float16),
    "torch": lambda path: save(path, {"other": torch.ones(3)}),
    "legacy": lambda path: save(path, {"other": torch.ones(3)}, "legacy"),
    "a training state": lambda path: save(path, {"model": network(), "epoch": 3}),
}


@pytest.mark.parametrize("out", ["out.safetensors", "out.pt", "out"])
@pytest.mark.parametrize("kind", STRANGERS)
def test_what_is_no_checkpoint_stays_without_force_and_goes_with_it(tmp_path: Path, kind: str, out: str):
    source = single(tmp_path / "in.safetensors")
    STRANGERS[kind](tmp_path / out)
    before = snapshot(tmp_path)
    with pytest.raises(initctl.ConflictError) as raised:
        initctl.apply(source, tmp_path / out, rules=RULES)
    (problem,) = raised.value.problems
    assert problem.code == "output.not_checkpoint"
    assert problem.message.startswith(f"{tmp_path}/{out}: exists and ")
    assert problem.hint == "name another file, or replace it with --force"
    assert snapshot(tmp_path) == before
    initctl.apply(source, tmp_path / out, rules=RULES, overwrite=True)
    assert {tensor.name for tensor in read_checkpoint(tmp_path / out).tensors} == set(network())


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_archive_stays(tmp_path: Path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "out.pt")
    with pytest.raises(initctl.ConflictError, match=r"exists and cannot be read .*: is a TorchScript archive"):
        initctl.apply(single(tmp_path / "in.safetensors"), tmp_path / "out.pt")


SAID = {
    "text": "exists and is plain text, not a checkpoint",
    "a recipe": "exists and is a recipe, not a checkpoint",
    "GGUF": "exists and is a GGUF file, which is not supported",
    "a document": ("exists and cannot be read as a file of torch.save: is a zip archive that torch.save did not write"),
    "a tokenizer": "exists and is not a checkpoint",
    "a broken archive of torch.save": (
        "exists and cannot be read as a file of torch.save: does not end like a zip archive"
    ),
}


@pytest.mark.parametrize("kind", SAID)
def test_what_is_there_is_named(tmp_path: Path, kind: str):
    out = tmp_path / "out.safetensors"
    STRANGERS[kind](out)
    with pytest.raises(initctl.ConflictError) as raised:
        initctl.apply(single(tmp_path / "in.safetensors"), out, rules=RULES)
    assert str(raised.value) == f"{out}: {SAID[kind]}; name another file, or replace it with overwrite=True"


@pytest.mark.parametrize("out", ["out.safetensors", "out.pt"])
@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_what_is_one_is_replaced(tmp_path: Path, kind: str, out: str):
    CHECKPOINTS[kind](tmp_path / out)
    initctl.apply(single(tmp_path / "in.safetensors"), tmp_path / out, rules=RULES)
    assert {tensor.name for tensor in read_checkpoint(tmp_path / out).tensors} == set(network())


def test_a_link_is_judged_by_what_it_leads_to(tmp_path: Path):
    (tmp_path / "notes.md").write_text("# Notes\n")
    (tmp_path / "out.safetensors").symlink_to("notes.md")
    with pytest.raises(initctl.ConflictError, match=r"out.safetensors: exists and is plain text"):
        initctl.apply(single(tmp_path / "in.safetensors"), tmp_path / "out.safetensors", rules=RULES)
    assert (tmp_path / "notes.md").read_text() == "# Notes\n"


def test_no_directory_is_replaced_by_force(tmp_path: Path):
    for source in (sharded(tmp_path / "model"), single(tmp_path / "in.safetensors")):
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / "notes.md").write_text("# Notes\n")
        with pytest.raises(initctl.ConflictError) as raised:
            initctl.apply(source, f"{tmp_path}/out/", rules=RULES, overwrite=True)
        (problem,) = raised.value.problems
        assert problem.code == "output.strangers"
        assert problem.hint == "name a new directory, or remove them; --force replaces files only"


@pytest.mark.parametrize("overwrite", [None, True])
@pytest.mark.parametrize("kind", ["a file", "a shard", "a directory"])
def test_what_a_rule_copies_from_is_never_replaced(tmp_path: Path, kind: str, overwrite: bool | None):
    source = single(tmp_path / "in.safetensors")
    other = single(tmp_path / "other.safetensors") if kind == "a file" else sharded(tmp_path / "other")
    target = {"a file": other, "a shard": other / "model-1.safetensors", "a directory": other}[kind]
    given, rules = (
        (sharded(tmp_path / "given") if kind == "a directory" else source),
        [f"embed.weight=copy:from={other}#embed.weight"],
    )
    before = snapshot(tmp_path)
    with pytest.raises(initctl.UsageError, match="is a checkpoint that a rule copies from"):
        initctl.apply(given, target, rules=rules, overwrite=overwrite)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("overwrite", "said"),
    [
        (True, "overwrite=True has no effect with in_place=True, which always replaces the checkpoint"),
        (False, "in_place=True and overwrite=False exclude each other: in place, the checkpoint is replaced"),
    ],
)
def test_in_place_there_is_nothing_to_overwrite(tmp_path: Path, overwrite: bool, said: str):
    with pytest.raises(initctl.UsageError, match=said):
        initctl.apply(single(tmp_path / "in.safetensors"), rules=RULES, in_place=True, overwrite=overwrite)


class TestASavedPlan:
    @pytest.mark.parametrize("content", ["# Notes\n", '{"model_type": "bert"}', "[1]", "{", '{"schema": 3}'])
    def test_replaces_nothing_else_without_force(self, tmp_path: Path, content: str):
        plan, path = initctl.plan(single(tmp_path / "in.safetensors"), rules=RULES), tmp_path / "plan.json"
        path.write_text(content)
        with pytest.raises(initctl.ConflictError) as raised:
            plan.save(path)
        (problem,) = raised.value.problems
        assert problem.message == f"{path}: exists and is not a saved plan"
        assert problem.hint == "name another file, or replace it with --force"
        assert path.read_text() == content
        plan.save(path, overwrite=True)
        assert json.loads(path.read_text())["schema"] == "initctl-plan/1"

    def test_replaces_a_checkpoint_only_by_force(self, tmp_path: Path):
        other = single(tmp_path / "other.safetensors")
        with pytest.raises(initctl.ConflictError, match="is not a saved plan"):
            initctl.plan(single(tmp_path / "in.safetensors"), rules=RULES).save(other)
        assert read_checkpoint(other).tensors

    @pytest.mark.parametrize("content", [None, ""])
    def test_replaces_a_plan_and_an_empty_file(self, tmp_path: Path, content: str | None):
        plan, path = initctl.plan(single(tmp_path / "in.safetensors"), rules=RULES), tmp_path / "plan.json"
        plan.save(path) if content is None else path.write_text(content)
        plan.save(path)
        assert json.loads(path.read_text())["schema"] == "initctl-plan/1"

    def test_is_forced_from_the_command_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        source, path = single(tmp_path / "in.safetensors"), tmp_path / "plan.json"
        path.write_text("{}")
        command = ["plan", str(source), "-r", "norm.weight=zeros"]
        assert run([*command, "--save", str(path)]) == 6
        assert run([*command, "--save", str(path), "--force"]) == 0
        assert run([*command, "--force"]) == 2
        assert "--force needs --save, whose file it replaces; add --save" in capsys.readouterr().err


def test_the_command_line_says_what_it_is_and_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source, out = single(tmp_path / "in.safetensors"), tmp_path / "notes.md"
    out.write_text("# Notes\n\nfor me\n")
    command = ["apply", str(source), "-o", str(out), "-r", "norm.weight=zeros"]
    assert run(command) == 6
    assert "exists and is plain text, not a checkpoint; name another file" in capsys.readouterr().err
    assert run([*command, "--force"]) == 0
    warned = f"initctl: warning: {out}: is written as safetensors; give it the ending .safetensors\n"
    assert capsys.readouterr().err == warned

"""Bad input gets one clear line that says where and what, and leaves nothing behind."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.cli.checkpoints import checkpoint, shards
from tests.cli.processes import messages

if TYPE_CHECKING:
    from pathlib import Path

INDEX = "model/model.safetensors.index.json"
ONE, TWO = {"a": ("F32", (2,))}, {"b": ("F32", (2,))}


@dataclass(frozen=True)
class Row:
    """One kind of bad input: what is applied, and what is to be said of it."""

    fault: str
    status: int
    code: str
    words: str
    rule: str = "*.weight=ones"
    source: str = "net.safetensors"
    output: str = "out"


ROWS = [
    Row("unknown initializer", 2, "rule.initializer", "did you mean kaiming_normal", rule="*.weight=kaming_normal"),
    Row("unknown parameter", 2, "rule.parameter", "no parameter sdt; did you mean std?", rule="*=normal:sdt=1"),
    Row("missing parameter", 2, "rule.parameter", "constant needs val", rule="*=constant"),
    Row("value below its range", 2, "rule.value", "-1' is not a number of 0 or more", rule="*=normal:std=-1"),
    Row("value above its range", 2, "rule.value", "sparsity=2 is not a number from 0 to 1", rule="*=sparse:sparsity=2"),
    Row("value that is no number", 2, "rule.expression", "nan is not a finite number", rule="*=normal:std=nan"),
    Row("value that overflows", 2, "rule.number", "std=1e999 overflows", rule="*=normal:std=1e999"),
    Row("unknown word", 2, "rule.value", "did you mean relu?", rule="*=he_normal:nonlinearity=rel"),
    Row("rule without =", 2, "rule.syntax", "no '=' between pattern and initializer", rule="*.bias"),
    Row("rule without an initializer", 2, "rule.syntax", "the initializer is missing", rule="*.bias="),
    Row("rule without a pattern", 2, "rule.glob", "pattern '': empty", rule="=ones"),
    Row("broken pattern", 2, "rule.glob", "the brace at column 1 is not closed", rule="{a=ones"),
    Row("fans on a tensor of one dim", 4, "rule.unfit", "tensor fc1.bias [4]: xavier", rule="fc1.bias=xavier_normal"),
    Row("random values on integers", 4, "rule.unfit", "tensor steps [2]: normal does not fit", rule="steps=normal"),
    Row("constant that does not fit", 4, "rule.unfit", "int64 cannot hold 0.5", rule="steps=constant:val=0.5"),
    Row("name that is not there", 4, "rule.unused", "did you mean fc2.weight", rule="fc3.weight=ones"),
    Row("missing file", 3, "file.missing", "missing: no such file or directory", source="missing"),
    Row("malformed file", 3, "safetensors.malformed", "header: ", source="malformed"),
    Row("empty file", 3, "safetensors.malformed", "file is empty", source="empty"),
    Row("header longer than the file", 3, "safetensors.malformed", "header length 4096 exceeds", source="long"),
    Row("truncated file", 3, "safetensors.malformed", "3 of ", source="truncated"),
    Row("pipe", 3, "file.kind", "pipe: is not a regular file", source="pipe"),
    Row("absent shard", 3, "index.shard_missing", "lists shards that are missing: gone.safetensors", source="absent"),
    Row("entry that leaves the directory", 3, "index.escape", "../net.safetensors: leads", source="escape"),
    Row("tensor in two shards", 3, "index.duplicate", "tensor a is in both", source="twice"),
    Row("tensor not in its shard", 3, "index.tensor_missing", "tensor c is not in one.safetensors", source="lost"),
    Row("output directory that does not exist", 5, "output.parent", "no/out: the directory", output="no/out"),
    Row("output equal to input", 2, "output.is_input", "use --in-place to replace it", output="net.safetensors"),
    Row("output equal to input, spelled otherwise", 2, "output.is_input", "is the input", output="./net.safetensors"),
    Row("output that links to the input", 2, "output.is_input", "is the input", output="link"),
    Row("output that is another name of the input", 2, "output.is_input", "is the input", output="hard"),
    Row("file as the output of shards", 2, "output.kind", "but the result is a directory", "a=ones", "model", "empty"),
    Row("directory with more as the output of a file", 6, "output.strangers", "not part of the result", output="model"),
]  # fmt: skip


@pytest.fixture
def inputs(net: Path) -> Path:
    """Every file that the rows name, good and bad, below the working directory."""
    folder, content = net.parent, net.read_bytes()
    (folder / "malformed").write_bytes(content.replace(b'{"fc1', b'{"fc1"', 1))
    (folder / "empty").touch()
    (folder / "long").write_bytes((4096).to_bytes(8, "little") + content[8:])
    (folder / "truncated").write_bytes(content[:-3])
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("net.safetensors")
    os.link(net, folder / "hard")
    shards(folder / "model", one=ONE, two=TWO)
    rewritten(shards(folder / "absent", one=ONE), b="gone.safetensors")
    rewritten(shards(folder / "escape", one=ONE), b="../net.safetensors")
    checkpoint(shards(folder / "twice", one=ONE, two=TWO) / "two.safetensors", {**ONE, **TWO})
    rewritten(shards(folder / "lost", one=ONE), c="one.safetensors")
    return folder


def rewritten(model: Path, **entries: str) -> None:
    """The index of `model`, with `entries` added to it."""
    (index,) = model.glob("*.index.json")
    weight_map = json.loads(index.read_text())["weight_map"]
    index.write_text(json.dumps({"weight_map": {**weight_map, **entries}}))


def tree(folder: Path) -> list[tuple[str, int, int, int]]:
    entries = [(path, path.lstat()) for path in sorted(folder.rglob("*"))]
    return [(str(path), status.st_ino, status.st_size, status.st_mtime_ns) for path, status in entries]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
def test_bad_input_is_one_clear_line_and_leaves_nothing_behind(inputs, call, row):
    before = tree(inputs)
    arguments = ("apply", row.source, "-o", row.output, "-r", row.rule)
    text, document = call(*arguments), call(*arguments, "--json")
    (line,) = messages(text.err)
    assert (text.status, text.out) == (row.status, "")
    assert line.startswith("initctl: error: ")
    assert row.words in line
    assert (document.status, document.err) == (row.status, text.err)
    (error,) = document.document["errors"]
    assert error["code"] == row.code
    assert tree(inputs) == before


@pytest.mark.parametrize("row", [row for row in ROWS if not row.code.startswith("output")], ids=lambda row: row.fault)
def test_plan_refuses_what_apply_refuses(inputs, call, row):
    applied = call("apply", row.source, "-o", row.output, "-r", row.rule)
    assert call("plan", row.source, "-r", row.rule) == applied


@pytest.mark.parametrize("row", [row for row in ROWS if row.status == 3], ids=lambda row: row.fault)
def test_inspect_refuses_what_cannot_be_read(inputs, call, row):
    assert call("inspect", row.source) == call("plan", row.source, "-r", row.rule)


def test_the_rule_of_a_fault_is_named_by_its_number_and_text(net, call):
    done = call("plan", "net.safetensors", "-r", "*.weight=ones", "-r", "fc1.bias=xavier_normal")
    assert done.err.startswith("initctl: error: rule 2 (fc1.bias=xavier_normal): tensor fc1.bias [4]: ")


def test_every_faulty_rule_is_told_at_once(net, call):
    done = call("plan", "missing", "-r", "a", "-r", "b=nrmal", "-r", "c=normal:std=-1")
    assert [line.split()[3] for line in messages(done.err)] == ["1", "2", "3"]
    assert done.status == 2


def test_require_all_refuses_what_no_rule_decides(net, call):
    done = call("plan", "net.safetensors", "-r", "*.weight=ones", "--require-all")
    assert (done.status, done.out) == (4, "")
    assert "no rule decides fc1.bias (float32); add a rule" in done.err
    assert call("plan", "net.safetensors", "-r", "*=keep", "--require-all").status == 0


def test_allow_unused_warns_of_what_is_an_error_otherwise(net, call):
    done = call("plan", "net.safetensors", "-r", "*.bias=ones", "-r", "fc9.*=ones", "--allow-unused")
    assert done.status == 0
    assert done.err.startswith("initctl: warning: rule 2 (fc9.*=ones): matches no tensor")

"""`initctl stats` for people, for programs, and for terminals without blocks."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest
import torch
from jsonschema import Draft202012Validator
from safetensors.torch import save_file

import initctl
from tests.cli.processes import initctl as run
from tests.cli.processes import on_terminal

SCHEMA = json.loads((files("initctl.schemas") / "stats.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def weights(folder):
    """Three tensors: normal, constant, and one of what is out of the ordinary."""
    torch.manual_seed(0)
    odd = torch.tensor([float("nan"), float("inf"), 0.0, 1e-40])
    save_file({"w": torch.randn(100, 50), "b": torch.ones(50), "odd": odd}, folder / "m.safetensors")
    return "m.safetensors"


def test_a_table_shows_moments_and_blocks(weights, call):
    done = call("stats", weights)
    assert (done.status, done.err) == (0, "")
    heading, *rows, blank, totals = done.out.splitlines()
    assert heading.split() == ["tensor", "shape", "dtype", "mean", "std", "min", "max", "distribution"]
    by_name = {row.split()[0]: row for row in rows}
    assert re.search(r"float32 +1 +0 +1 +1  █$", by_name["b"])
    assert by_name["odd"].endswith("1 NaN, 1 Inf, 1 zero, 1 subnormal")
    assert re.search(r"[▁▂▃▄▅▆▇█ ]{14}", by_name["w"])
    assert (blank, totals) == ("", "3 tensors, 5,054 elements, 20.2 kB")


def test_json_holds_what_the_library_says_and_fits_its_schema(weights, call):
    document = call("stats", weights, "--json", "--digest").document
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(document["data"])
    assert document["data"] == initctl.stats(weights, digest=True).to_json()
    assert (document["command"], document["status"]) == ("stats", "ok")


def test_a_histogram_of_a_stream_without_blocks_is_ascii(weights):
    done = run("stats", weights, PYTHONIOENCODING="ascii")
    assert (done.status, done.err) == (0, "")
    assert done.out.isascii()
    assert re.search(r"float32 +1 +0 +1 +1  @\n", done.out)
    assert re.search(r"  [.:=+*#@-]+\n", done.out)


def test_a_name_of_blocks_is_escaped_where_there_are_none(folder):
    save_file({"█▁": torch.ones(3)}, folder / "m.safetensors")
    done = run("stats", "m.safetensors", PYTHONIOENCODING="ascii")
    assert re.search(r"^\\u2588\\u2581 .* @\n", done.out, re.MULTILINE)


def test_a_narrow_terminal_gets_all_of_it(weights):
    done = on_terminal("stats", weights, columns=40)
    assert done.status == 0
    report = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.out).split("\r")[-1]
    assert max(map(len, report.splitlines())) <= 40
    words = " ".join(report.split())
    for word in ("odd", "1 NaN", "max 1e-40", "█"):
        assert word in words


def test_digests_can_be_checked_line_by_line(weights, call):
    lines = call("stats", weights, "w", "--digest").out.splitlines()
    found = initctl.stats(weights, ["w"], digest=True).tensors[0].digest
    assert f"{found}  w" in lines


def test_by_layer_shows_depth(folder, call):
    save_file({f"layers.{n}.weight": torch.tensor([-1.0, 1]) * 2**n for n in range(8)}, folder / "m.safetensors")
    out = call("stats", "m.safetensors", "--by-layer").out
    assert "layers.{0..7}.weight ×8" in out
    assert "▁▁▁▁▁▂▄█" in out


def test_by_layer_shows_digests_too(weights, call):
    lines = call("stats", weights, "w", "--by-layer", "--digest").out.splitlines()
    assert f"{initctl.stats(weights, ['w'], digest=True).tensors[0].digest}  w" in lines


def test_without_layers_by_layer_says_so(weights, call):
    assert call("stats", weights, "--by-layer").out == "no two tensors differ only in their layer numbers\n"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["m.safetensors", "w["], 2, "initctl: error: pattern w[: "),
        (["m.safetensors", "w[1:]"], 2, "initctl: error: pattern w[1:]: selects rows; name whole tensors"),
        (["none.safetensors"], 3, "initctl: error: none.safetensors: "),
        (["m.safetensors", "wight"], 4, "initctl: error: pattern wight: matches no tensor; "),
        (["m.safetensors", "--threads", "0"], 2, "initctl: error: threads: 0 is not"),
    ],
)
def test_each_failure_is_one_line_and_a_status(weights, call, arguments, status, message):
    done = call("stats", *arguments)
    assert (done.status, done.out) == (status, "")
    assert done.err.startswith(message)
    document = call("stats", *arguments, "--json").document
    assert (document["exit_code"], document["data"]) == (status, None)
    Draft202012Validator(SCHEMA).validate(document["data"])

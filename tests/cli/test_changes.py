"""`plan --diff` and `apply --diff`: what tensors hold before and after, for people and for programs."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

import initctl
from tests.cli.processes import initctl as run
from tests.cli.processes import messages, on_terminal
from tests.schemas import schema

RULES = ("-r", "w=normal:std=0.02", "-r", "b[2:]=ones")


@pytest.fixture
def weights(folder):
    save_file({"w": torch.full((100, 50), 3.0), "b": torch.arange(4.0), "k": torch.ones(2)}, folder / "m.safetensors")
    return "m.safetensors"


def test_plan_shows_numbers_before_and_after_and_writes_nothing(weights, call, folder):
    done = call("plan", weights, *RULES, "--diff")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [
        "tensor           mean       std          min         max  initializer",
        "b[2:4]        2.5 → 1   0.5 → 0        2 → 1       3 → 1  ones",
        "w       3 → -1.59e-05  0 → 0.02  3 → -0.0812  3 → 0.0754  normal mean=0 std=0.02",
        "",
        initctl.plan(weights, rules=RULES[1::2]).summary(),
    ]
    assert [path.name for path in folder.iterdir()] == ["m.safetensors"]


@pytest.mark.parametrize("place", [("-o", "out.safetensors"), ("--in-place",), ("--in-place", "--patch")])
def test_apply_shows_the_same_wherever_the_result_goes(weights, call, place):
    planned = call("plan", weights, *RULES, "--diff").out.split("\n\n")[0]
    done = call("apply", weights, *RULES, *place, "--diff")
    assert (done.status, done.err) == (0, "")
    table, summary = done.out.split("\n\n")
    assert table == planned
    assert summary.splitlines()[-1].startswith("wrote ")


def test_the_values_are_those_that_apply_writes_without_it(weights, call, folder):
    call("apply", weights, *RULES, "-o", "with.safetensors", "--diff")
    call("apply", weights, *RULES, "-o", "without.safetensors")
    one, other = ((folder / f"{name}.safetensors").read_bytes() for name in ("with", "without"))
    assert one == other


@pytest.mark.parametrize("command", [("plan",), ("apply", "-o", "out.safetensors")])
def test_json_holds_what_the_library_says_and_fits_its_schema(weights, call, command):
    wanted = initctl.changes(initctl.plan(weights, rules=RULES[1::2])).to_json()["changes"]
    document = call(*command, weights, *RULES, "--diff", "--json").document
    schema(command[0]).validate(document["data"])
    assert document["data"]["changes"] == wanted
    assert [change["tensor"] for change in wanted] == ["b", "w"]
    assert (document["command"], document["status"]) == (command[0], "ok")


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "m.safetensors", *RULES),
        ("plan", "m.safetensors", *RULES, "--emit-recipe"),
        ("apply", "m.safetensors", *RULES, "-o", "out.safetensors"),
        ("apply", "m.safetensors", "-o", "out.pt", "--diff"),
        ("plan", "none.safetensors", *RULES, "--diff"),
    ],
)
def test_every_document_fits_its_schema(weights, call, arguments):
    data = call(*arguments, "--json").document["data"]
    schema(arguments[0]).validate(data)
    if data:
        assert not schema(arguments[0]).is_valid({**data, "unknown": 1})
        assert not schema(arguments[0]).is_valid({key: data[key] for key in data if key != "kept"})


def test_an_arrow_is_ascii_where_there_is_none(weights):
    done = run("plan", weights, *RULES, "--diff", PYTHONIOENCODING="ascii")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[1] == "b[2:4]        2.5 -> 1   0.5 -> 0        2 -> 1       3 -> 1  ones"


def test_a_narrow_terminal_gets_the_mean_and_the_spread(weights):
    heading, *rows = on_terminal("plan", weights, *RULES, "--diff", "--no-color", columns=60).out.splitlines()
    assert heading.split() == ["tensor", "mean", "std", "initializer"]
    assert rows[0].split("  ") == ["b[2:4]", "", "", "", "2.5 → 1", " 0.5 → 0", "ones"]
    assert "to fit 60 columns: min, max left out; `| less -S` shows all" in rows


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("plan", "m.safetensors", *RULES, "--diff", "--emit-recipe"), 2, "--emit-recipe prints a recipe"),
        (("plan", "none.safetensors", *RULES, "--diff"), 3, "none.safetensors: no such file"),
        (("plan", "h.safetensors", "-r", "h=scale:by=2", "--diff"), 4, "overflow float16"),
        (("apply", "h.safetensors", "-r", "h=scale:by=2", "--in-place", "--diff"), 4, "overflow float16"),
        (("apply", "m.safetensors", *RULES, "-o", "none/out.safetensors", "--diff"), 5, "none/out.safetensors: "),
    ],
)
def test_each_failure_is_one_line_and_a_status_and_changes_nothing(weights, call, folder, arguments, status, message):
    save_file({"h": torch.full((3,), 60000.0, dtype=torch.float16)}, folder / "h.safetensors")
    done = call(*arguments)
    assert (done.status, done.out, len(messages(done.err))) == (status, "", 1)
    assert message in done.err
    assert load_file("h.safetensors")["h"].eq(60000).all()
    assert sorted(path.name for path in folder.iterdir()) == ["h.safetensors", "m.safetensors"]

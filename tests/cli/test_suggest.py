"""`initctl suggest`: its recipe goes straight into `apply`, and each failure is one line."""

from __future__ import annotations

import json
import tomllib
from importlib.resources import files

import pytest
import torch
from jsonschema import Draft202012Validator
from safetensors.torch import save_file
from torch import nn

import initctl
from initctl.suggesting import ROLES
from initctl.suggesting.activations import ACTIVATIONS
from tests.cli.checkpoints import checkpoint
from tests.cli.processes import initctl as run
from tests.cli.processes import messages, on_terminal, shell
from tests.hostile import PLANTED, is_safe

SCHEMA = json.loads((files("initctl.schemas") / "suggest.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def network(folder):
    """fc1, ReLU, fc2."""
    layers = nn.ModuleDict({"fc1": nn.Linear(784, 128), "fc2": nn.Linear(128, 10)})
    save_file(layers.state_dict(), folder / "m.safetensors")
    return "m.safetensors"


def test_the_recipe_says_what_was_found_and_why(network, call):
    done = call("suggest", network)
    assert (done.status, done.err) == (0, "")
    assert done.out == initctl.suggest(network).recipe()
    rules = done.out.replace("\n# ", " ")
    assert "The activation between layers is relu (assumed; change it with --activation).\n" in rules
    assert (
        "linear: ReLU halves the mean square of its inputs, and variance 2 / fan_in compensates for that. "
        'Source: He et al. 2015, eq. 10\n[[rule]]\nmatch = "fc1.weight"\ninit = "kaiming_normal:nonlinearity=relu"\n'
    ) in rules


def test_it_can_be_applied_as_it_is(network, folder):
    done = shell(
        "initctl suggest m.safetensors > r.toml && initctl apply m.safetensors -o o.safetensors -f r.toml --require-all"
    )
    assert (done.status, done.err) == (0, "")
    assert "initialized 4 tensors" in done.out


def test_json_fits_its_schema_and_holds_what_the_library_says(network, call):
    document = call("suggest", network, "--json").document
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(document["data"])
    assert document["data"] == initctl.suggest(network).to_json()
    assert (document["command"], document["status"]) == ("suggest", "ok")
    assert tomllib.loads(document["data"]["recipe"])["rule"][0] == {"match": "*.bias", "init": "zeros"}


def test_the_schema_lists_every_role_and_every_activation():
    assert SCHEMA["properties"]["tensors"]["items"]["properties"]["role"]["enum"] == list(ROLES)
    assert SCHEMA["properties"]["activation"]["enum"] == [*ACTIVATIONS, None]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_help_lists_every_activation(activation, call):
    assert activation in call("suggest", "--help").out


def test_an_activation_that_makes_no_difference_is_warned_of(folder, call):
    save_file({"norm.weight": torch.ones(3)}, folder / "m.safetensors")
    done = call("suggest", "m.safetensors", "--activation", "tanh")
    assert done.status == 0
    assert done.err == ("initctl: warning: activation tanh has no effect: there are no layers around it\n")


def test_a_terminal_gets_the_same_lines(network):
    done = on_terminal("suggest", network, columns=60)
    assert done.status == 0
    assert 'match = "fc1.weight"' in done.out
    assert "\x1b[" not in done.out


def test_hostile_names_reach_no_terminal_and_no_log(folder):
    names = [f"{text}.weight" for text in PLANTED.values() if "\ud800" not in text]
    checkpoint(folder / "m.safetensors", dict.fromkeys(names, ("F32", (2, 2))))
    for done in (run("suggest", "m.safetensors"), on_terminal("suggest", "m.safetensors", columns=200)):
        assert done.status == 0
        assert is_safe(done.out.replace("\r\n", "\n"))
    assert len(tomllib.loads(run("suggest", "m.safetensors").out)["rule"]) == 2


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["m.safetensors", "--activation", "ReLU"], 2, "unknown activation ReLU; did you mean relu?"),
        (["m.safetensors", "--activation", "swish"], 2, "unknown activation swish; did you mean silu?"),
        (["m.safetensors", "--activation", "x"], 2, f"unknown activation x; use {', '.join(ACTIVATIONS)}"),
        (["none.safetensors"], 3, "none.safetensors: "),
        (["notes.txt"], 3, "notes.txt: "),
        (["counts.safetensors"], 3, "counts.safetensors: has no floating-point tensor, so there is nothing to suggest"),
        (["broken/m.safetensors"], 3, "/"),
        (["m.safetensors", "--root", "model"], 2, "m.safetensors: there is no tensor under model; "),
    ],
)
def test_each_failure_is_one_line_and_a_status(network, folder, call, arguments, status, message):
    (folder / "notes.txt").write_text("not a checkpoint")
    save_file({"steps": torch.tensor(3)}, folder / "counts.safetensors")
    (folder / "broken").mkdir()
    save_file({"w": torch.ones(3)}, folder / "broken" / "m.safetensors")
    (folder / "broken" / "config.json").write_text('{"model_type": ')
    done = call("suggest", *arguments)
    assert (done.status, done.out) == (status, "")
    assert done.err.startswith(f"initctl: error: {message}")
    assert len(messages(done.err)) == 1
    document = call("suggest", *arguments, "--json").document
    assert (document["exit_code"], document["data"]) == (status, None)
    Draft202012Validator(SCHEMA).validate(document["data"])

"""`--base-config`: the widths of a base model, in every command that takes rules."""

from __future__ import annotations

import json

import pytest

RULE = "fc1.weight=normal:std=sqrt(base.d_model/config.d_model)"
RECIPE = '[[rule]]\nmatch = "fc1.weight"\ninit = "normal"\nstd = "sqrt(base.d_model/config.d_model)"\n'
REFUSED = "no base model is given: name its config.json with --base-config, or write "


@pytest.fixture
def widths(net, folder):
    """A small checkpoint of width 1024, and a directory with the config.json of a base model of width 256."""
    (folder / "config.json").write_text('{"d_model": 1024, "model_type": "gpt2"}')
    (folder / "small").mkdir()
    (folder / "small" / "config.json").write_text('{"d_model": 256}')
    return folder


def std_of(done):
    assert (done.status, done.err) == (0, "")
    (action,) = done.document["data"]["actions"]
    return action["params"]["std"]


@pytest.mark.parametrize("base", ["small", "small/", "small/config.json"])
def test_a_base_model_is_a_config_json_or_the_directory_that_has_it(widths, call, base):
    assert std_of(call("plan", "net.safetensors", "-r", RULE, "--base-config", base, "--json")) == 0.5


def test_what_was_applied_with_it_is_verified_with_it_and_not_with_another(widths, call):
    rules = ("-r", RULE, "--base-config")
    assert call("apply", "net.safetensors", "-o", "out.safetensors", *rules, "small").status == 0
    assert call("verify", "out.safetensors", *rules, "small").status == 0
    (widths / "other.json").write_text('{"d_model": 64}')
    assert call("verify", "out.safetensors", *rules, "other.json").status == 1


def test_the_recipe_of_a_plan_and_the_saved_plan_need_it_no_more(widths, call):
    done = call("plan", "net.safetensors", "-r", RULE, "--base-config", "small", "--emit-recipe", "--save", "p.json")
    assert "\n[base]\nd_model = 256\n" in done.out
    (widths / "r.toml").write_text(done.out)
    (widths / "small" / "config.json").unlink()
    assert std_of(call("plan", "net.safetensors", "-f", "r.toml", "--json")) == 0.5
    assert call("apply", "--plan", "p.json", "net.safetensors", "-o", "one.safetensors").status == 0
    assert call("verify", "one.safetensors", "-f", "r.toml").status == 0


def test_a_rule_that_needs_it_says_which_option_names_it(widths, call):
    done = call("plan", "net.safetensors", "-r", RULE)
    assert done.status == 4
    assert done.err.splitlines()[0].endswith(f"{REFUSED}the value itself")
    assert done.err.splitlines()[-1] == "see: initctl help expressions"


@pytest.mark.parametrize("rules", [("-r", "*=zeros"), ("-p", "auto", "--allow-partial", "--allow-unused")])
def test_a_base_model_that_no_rule_uses_is_refused(widths, call, rules):
    done = call("plan", "net.safetensors", *rules, "--base-config", "small")
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        "initctl: error: --base-config has no effect: no rule uses a value base.KEY of it; "
        "use one in a rule, or leave --base-config out\nsee: initctl help expressions\n"
    )


def test_a_rule_beside_the_automatic_preset_may_use_it(widths, call):
    done = call(
        "plan", "net.safetensors", "-p", "auto", "-r", RULE, "--base-config", "small", "--allow-partial",
        "--allow-unused", "--json",
    )  # fmt: skip
    assert done.status == 0
    assert [action["params"]["std"] for action in done.document["data"]["actions"] if action["rule"] == RULE] == [0.5]


@pytest.mark.parametrize(
    ("base", "fault"),
    [
        ("smal", "smal: no such file or directory; did you mean small?"),
        ("empty", "empty/config.json: no such file or directory"),
        ("net.safetensors", "net.safetensors: is not valid JSON: "),
        ("list.json", "list.json: is not valid JSON: "),
    ],
)
def test_a_base_model_that_cannot_be_read_is_refused_before_the_checkpoint_is_read(widths, call, base, fault):
    (widths / "empty").mkdir()
    (widths / "list.json").write_text("[256]")
    done = call("plan", "missing.safetensors", "-r", RULE, "--base-config", base)
    assert (done.status, done.out) == (3, "")
    assert done.err.startswith(f"initctl: error: {fault}")


def test_a_saved_plan_takes_no_other_base_model(widths, call):
    call("plan", "net.safetensors", "-r", RULE, "--base-config", "small", "--save", "p.json")
    done = call("apply", "net.safetensors", "--plan", "p.json", "-o", "o.safetensors", "--base-config", "small")
    assert done.status == 2
    assert "--plan cannot be combined with --base-config" in done.err


def test_a_recipe_is_checked_with_it(widths, call):
    (widths / "r.toml").write_text(RECIPE)
    assert call("recipe-check", "r.toml").status == 0
    done = call("recipe-check", "r.toml", "net.safetensors")
    assert done.status == 4
    assert f"{REFUSED}d_model = … under [base] of the recipe" in done.err
    assert call("recipe-check", "r.toml", "net.safetensors", "--base-config", "small").status == 0
    (widths / "r.toml").write_text("[base]\nd_model = 256\n" + RECIPE)
    assert call("recipe-check", "r.toml", "net.safetensors").status == 0


def test_the_plan_in_json_says_nothing_more_of_it_than_the_numbers(widths, call):
    done = call("plan", "net.safetensors", "-r", RULE, "--base-config", "small", "--json")
    assert "small" not in json.dumps(done.document)

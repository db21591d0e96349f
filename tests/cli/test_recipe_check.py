"""`initctl recipe-check` finds what is wrong with a recipe, by itself and for a checkpoint."""

from __future__ import annotations

import pytest

RECIPE = """
seed = 7

[[rule]]
match = "fc1.weight"
init = "normal:std=0.02"

[[rule]]
match = "*.bias"
init = "zeros"
"""


@pytest.fixture
def recipe(folder):
    (folder / "recipe.toml").write_text(RECIPE)
    return folder / "recipe.toml"


def test_a_valid_recipe_is_said_to_be_valid(recipe, call):
    done = call("recipe-check", "recipe.toml")
    assert (done.status, done.out, done.err) == (0, "recipe.toml: is valid: 2 rules\n", "")


def test_a_rule_with_several_patterns_is_one_rule(recipe, call):
    recipe.write_text(RECIPE.replace('"*.bias"', '["*.bias", "norm.weight"]'))
    assert call("recipe-check", "recipe.toml").out == "recipe.toml: is valid: 2 rules with 3 patterns\n"
    data = call("recipe-check", "recipe.toml", "--json").document["data"]
    assert (data["rules"], data["patterns"]) == (2, 3)


def test_one_that_fits_a_checkpoint_says_how_many_tensors_it_fills(recipe, net, call):
    done = call("recipe-check", "recipe.toml", "net.safetensors")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[1].startswith("net.safetensors: fits: ")
    data = call("recipe-check", "recipe.toml", "net.safetensors", "--json").document["data"]
    assert (data["recipe"], data["rules"], data["seed"]) == ("recipe.toml", 2, 7)
    assert data["fills"]["tensors"] > 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("seed = -1", "seed"),
        (RECIPE.replace("normal", "nrmal"), "unknown initializer nrmal; did you mean normal"),
        (RECIPE.replace("match", "mach", 1), "recipe.toml:5:1: rule 1: mach is not a key of a rule"),
        (RECIPE.replace("0.02", "sqrt("), "recipe.toml:6:25: rule 1"),
        (RECIPE.replace("std=0.02", "std=-1"), "std"),
        (RECIPE + "extends = 3", "extends"),
        ("[[rule", "recipe.toml"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_said_with_status_2(recipe, call, wrong, words):
    recipe.write_text(wrong)
    done = call("recipe-check", "recipe.toml")
    assert (done.status, done.out) == (2, "")
    assert words in done.err


def test_a_rule_that_decides_nothing_there_does_not_fit(recipe, net, call):
    recipe.write_text(RECIPE.replace("fc1.weight", "fc9.weight"))
    assert call("recipe-check", "recipe.toml").status == 0
    done = call("recipe-check", "recipe.toml", "net.safetensors")
    assert done.status == 4
    assert "fc9.weight" in done.err


class TestForGitHub:
    def test_a_fault_is_an_annotation_at_its_line_and_its_column(self, recipe, call):
        recipe.write_text(RECIPE.replace("std=0.02", "sdt=0.02"))
        done = call("recipe-check", "recipe.toml", "--format", "github")
        assert done.status == 2
        fault = "rule 1 (fc1.weight=normal:sdt=0.02): normal has no parameter sdt; did you mean std?"
        assert done.out == f"::error file={recipe},line=6,col=16,title=rule.parameter::{fault}\n"
        assert f"recipe.toml:6:16: {fault}\n" in done.err

    def test_so_is_each_rule_that_does_not_fit_the_checkpoint(self, recipe, net, call):
        recipe.write_text(RECIPE.replace("fc1", "fc8").replace("*.bias", "fc9.bias"))
        done = call("recipe-check", "recipe.toml", "net.safetensors", "--format", "github")
        assert done.status == 4
        lines = [line.partition("::rule")[0] for line in done.out.splitlines()]
        assert lines == [f"::error file={recipe},line={n},col=10,title=rule.unused" for n in (5, 9)]

    def test_so_is_a_warning(self, recipe, net, call):
        recipe.write_text(f"{RECIPE}\n[vars]\nunused = 1\n")
        done = call("recipe-check", "recipe.toml", "net.safetensors", "--format", "github")
        assert done.status == 0
        first, *rest = done.out.splitlines()
        assert first == f"::warning file={recipe},line=13,col=1,title=recipe.unused::vars.unused: no rule uses it"
        assert rest[0] == "recipe.toml: is valid: 2 rules"

    def test_what_is_not_in_a_file_is_an_annotation_without_a_place(self, recipe, call):
        done = call("recipe-check", "recipe.toml", "no.safetensors", "--format", "github")
        assert done.status == 3
        assert done.out.startswith("::error title=file.missing::no.safetensors: no such file")

    def test_json_is_another_format(self, recipe, call):
        done = call("recipe-check", "recipe.toml", "--format", "github", "--json")
        assert (done.status, done.document["errors"][0]["code"]) == (2, "usage.format")
        assert call("recipe-check", "recipe.toml", "--format", "json").document["data"]["rules"] == 2


def test_a_program_gets_the_place_of_a_fault(recipe, call):
    recipe.write_text(RECIPE.replace("std=0.02", "sdt=0.02"))
    (error,) = call("recipe-check", "recipe.toml", "--json").document["errors"]
    assert error["place"] == {"file": "recipe.toml", "line": 6, "column": 16}


def test_a_missing_file_is_refused(folder, call):
    assert call("recipe-check", "recipe.toml").status == 2

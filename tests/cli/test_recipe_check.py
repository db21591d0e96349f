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
        (RECIPE.replace("normal", "nrmal"), "no initializer is called nrmal; did you mean normal"),
        (RECIPE.replace("match", "mach", 1), "match is missing"),
        (RECIPE.replace("0.02", "sqrt("), "recipe.toml:4: rule 1"),
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


def test_a_missing_file_is_refused(folder, call):
    assert call("recipe-check", "recipe.toml").status == 2

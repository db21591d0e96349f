"""`--rows`, `--dims` and `--set-config` of `plan`, `apply` and `verify`, for people and for programs."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.cli.processes import initctl
from tests.schemas import schema

SIZES = ("--rows", "fc.*=5", "--set-config", "num_labels=5,act=gelu")
RULES = ("-r", "fc.*[3:]=zeros")


@pytest.fixture
def model(folder):
    (folder / "model").mkdir()
    save_file({"fc.weight": torch.ones(3, 2), "fc.bias": torch.ones(3)}, folder / "model" / "model.safetensors")
    (folder / "model" / "config.json").write_text('{"num_labels": 3, "act": "relu"}')
    return "model"


def test_plan_shows_old_and_new_shapes_and_the_fields_that_change(model, call):
    done = call("plan", model, *SIZES, *RULES)
    assert (done.status, done.err) == (0, "")
    summary = (
        "initialize 2 tensors in part (6 elements, 24 bytes); keep 2 tensors in part (9 elements, 36 bytes); "
        "resize 2 tensors; set num_labels=5, act=gelu; seed 0"
    )
    assert done.out.splitlines() == [
        "tensor          shape            dtype    rule              initializer",
        "fc.bias[0:3]    [3] → [5]        float32  -                 keep",
        "fc.bias[3:5]    [3] → [5]        float32  rule 1: fc.*[3:]  zeros",
        "fc.weight[0:3]  [3, 2] → [5, 2]  float32  -                 keep",
        "fc.weight[3:5]  [3, 2] → [5, 2]  float32  rule 1: fc.*[3:]  zeros",
        "",
        summary,
    ]


def test_json_has_old_shapes_and_the_fields_that_change(model, call):
    for command, more in (("plan", ()), ("apply", ("-o", "out")), ("verify", ("--against", model))):
        done = call(command, "out" if command == "verify" else model, *SIZES, *RULES, *more, "--json")
        assert done.status == 0
        data = json.loads(done.out)["data"]
        schema(command).validate(data)
        assert {part["tensor"]: (part["old_shape"], part["shape"]) for part in data["actions"]} == {
            "fc.bias": ([3], [5]), "fc.weight": ([3, 2], [5, 2]),
        }  # fmt: skip
        assert data["set_config"] == {"num_labels": 5, "act": "gelu"}


def test_apply_and_verify_take_the_same_options(model, call, folder):
    done = call("apply", model, "-o", "out", *SIZES, *RULES)
    assert (done.status, done.err) == (0, "")
    assert "resized 2 tensors; set num_labels=5, act=gelu" in done.out
    assert load_file(folder / "out" / "model.safetensors")["fc.weight"].shape == (5, 2)
    assert (folder / "out" / "config.json").read_text() == '{"num_labels": 5, "act": "gelu"}'
    assert call("verify", "out", "--against", model, *SIZES, *RULES).status == 0
    assert call("verify", "out", *SIZES, *RULES).status == 0
    assert call("verify", model, *SIZES, *RULES).status == 1
    assert call("verify", "out", "--against", model, *RULES).status != 0


def test_a_saved_plan_has_them(model, call):
    assert call("plan", model, *SIZES, *RULES, "--save", "plan.json").status == 0
    assert call("apply", model, "--plan", "plan.json", "-o", "out").status == 0
    assert call("verify", "out", "--plan", "plan.json").status == 0
    assert call("verify", "out", "--plan", "plan.json", "--against", model).status == 0
    done = call("apply", model, "--plan", "plan.json", "-o", "out", "--rows", "fc.*=4")
    assert (done.status, "--plan cannot be combined with --rows" in done.err) == (2, True)


def test_a_recipe_of_sizes_alone_is_checked(model, call, folder):
    (folder / "recipe.toml").write_text('[rows]\n"fc.*" = 2\n')
    done = call("recipe-check", "recipe.toml", model)
    assert done.status == 0
    assert done.out == "recipe.toml: is valid: 0 rules and 1 size\nmodel: fits: 0 tensors would be filled, 2 resized\n"


def test_reports_have_the_new_shapes(model, call, folder):
    done = call("apply", model, "-o", "out", *SIZES, *RULES, "--report", "report.json", "--html", "page.html", "--diff")
    assert (done.status, done.err) == (0, "")
    assert "fc.weight[3:5]  - → 0" in done.out
    assert "[3, 2] → [5, 2]" in (folder / "page.html").read_text()
    report = json.loads((folder / "report.json").read_text())
    schema("report").validate(report)
    assert [change["old_shape"] for change in report["predicate"]["changes"]] == [[3], [3, 2]]
    assert call("verify", "out", "--report", "report.json").status == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--rows", "fc.weight"), "rows: fc.weight is not PATTERN=SIZE; write PATTERN=5, or PATTERN=pad:64"),
        (("--rows", "fc.weight=0"), "rows: fc.weight: 0 is not a number of 1 or more"),
        (("--dims", "fc.weight=a,b"), "dims: fc.weight: a,b is not a list of numbers"),
        (("--set-config", "num_labels"), "set-config: num_labels is not KEY=VALUE"),
        (("--rows", "fc.weight[2:]=5"), "selects rows, but the number is of all rows"),
    ],
)
def test_a_wrong_option_is_refused_with_what_to_write(model, call, options, said):
    done = call("plan", model, *options)
    assert done.status == 2
    assert said in done.err
    assert "see: initctl help rows" in done.err


def test_the_last_of_several_options_decides(model):
    done = initctl("plan", model, "--rows", "fc.*=2", "--rows", "fc.bias=1", "--rows", "fc.*=3", "--json")
    assert {part["old_shape"] for part in json.loads(done.out)["data"]["kept"]} == {None}
    done = initctl("plan", model, "--rows", "fc.*=2", "--rows", "fc.bias=1", "--json")
    assert [part["shape"] for part in json.loads(done.out)["data"]["kept"]] == [[1], [2, 2]]

"""A plan is plain data: the keys of its JSON are a contract."""

from __future__ import annotations

import json
from math import sqrt
from typing import TYPE_CHECKING

import pytest

from tests.planning.tables import planned

if TYPE_CHECKING:
    from pathlib import Path

NET = {"fc1.weight": ("BF16", [3, 4]), "fc1.bias": ("F32", [3]), "steps": ("I64", []), "none": ("F32", [0, 2])}


def test_the_plan_as_json_to_the_key(tmp_path: Path):
    plan = planned(tmp_path, NET, "*.weight=normal:std=0.02", "*.bias=keep", "none=zeros", seed=7)
    assert plan.to_json() == {
        "checkpoint": str(tmp_path / "model.safetensors"),
        "format": "safetensors",
        "root": "",
        "seed": 7,
        "rng": "philox",
        "actions": [
            {
                "tensor": "fc1.weight",
                "shape": [3, 4],
                "old_shape": None,
                "dtype": "bfloat16",
                "rows": None,
                "rule": "*.weight=normal:std=0.02",
                "source": "rule 1",
                "init": "normal",
                "params": {"mean": 0, "std": 0.02},
                "device": "cpu",
                "elements": 12,
                "bytes": 24,
            },
            {
                "tensor": "none",
                "shape": [0, 2],
                "old_shape": None,
                "dtype": "float32",
                "rows": None,
                "rule": "none=zeros",
                "source": "rule 3",
                "init": "zeros",
                "params": {},
                "device": "cpu",
                "elements": 0,
                "bytes": 0,
            },
        ],
        "kept": [
            {
                "tensor": "fc1.bias",
                "shape": [3],
                "old_shape": None,
                "dtype": "float32",
                "rows": None,
                "rule": "*.bias=keep",
                "source": "rule 2",
                "elements": 3,
                "bytes": 12,
            },
            {
                "tensor": "steps",
                "shape": [],
                "old_shape": None,
                "dtype": "int64",
                "rows": None,
                "rule": None,
                "source": None,
                "elements": 1,
                "bytes": 8,
            },
        ],
        "resets": [],
        "set_config": {},
        "totals": {
            "tensors": 4,
            "elements": 16,
            "bytes": 44,
            "initialized": {"tensors": 2, "elements": 12, "bytes": 24},
            "kept": {"tensors": 2, "elements": 4, "bytes": 20},
            "reset": {"tensors": 0, "elements": 0, "bytes": 0},
        },
    }


def test_the_keys_of_the_plan_stand_in_the_documented_order(tmp_path: Path):
    document = planned(tmp_path, NET, "*.weight=ones").to_json()
    assert list(document) == [
        "checkpoint",
        "format",
        "root",
        "seed",
        "rng",
        "actions",
        "kept",
        "resets",
        "set_config",
        "totals",
    ]
    assert list(document["actions"][0]) == [
        "tensor", "shape", "old_shape", "dtype", "rows", "rule", "source", "init", "params", "device", "elements",
        "bytes",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "params"),
    [
        ("zeros", {}),
        ("constant:val=-4", {"val": -4}),
        ("uniform", {"a": 0, "b": 1}),
        ("trunc_normal:std=0.5,cut=2", {"mean": 0, "std": 0.5, "a": -1.0, "b": 1.0, "cut": 2}),
        ("xavier_normal:gain=2", {"gain": 2, "fan_in": 4, "fan_out": 3, "std": 2 * sqrt(2 / 7)}),
        (
            "xavier_normal:split=2:1",
            {
                "gain": 1,
                "split": "2:1",
                "fan_in": 4,
                "fan_out[0]": 2,
                "fan_out[1]": 1,
                "std[0]": sqrt(2 / 6),
                "std[1]": sqrt(2 / 5),
            },
        ),
        ("trunc_normal:cut=2,var_correct=false", {"mean": 0, "std": 1, "a": -2, "b": 2, "cut": 2}),
        ("glorot_uniform", {"gain": 1, "fan_in": 4, "fan_out": 3, "bound": sqrt(6 / 7)}),
        (
            "kaiming_normal:nonlinearity=relu",
            {"a": 0, "mode": "fan_in", "nonlinearity": "relu", "fan_in": 4, "std": sqrt(2 / 4)},
        ),
        (
            "he_normal:mode=fan_out,nonlinearity=tanh,layout=io",
            {"a": 0, "mode": "fan_out", "nonlinearity": "tanh", "layout": "io", "fan_out": 4, "std": 5 / 3 / 2},
        ),
        ("sparse:sparsity=0.4", {"sparsity": 0.4, "std": 0.01, "zeros_per_column": 2}),
        ("orthogonal:gain=3", {"gain": 3}),
    ],
)
def test_params_are_the_arguments_with_defaults_and_the_numbers_that_follow(
    tmp_path: Path, call: str, params: dict[str, float | str]
):
    (action,) = planned(tmp_path, NET, f"fc1.weight={call}").actions
    assert action.params == pytest.approx(params)


def test_an_alias_is_told_by_the_initializers_own_name(tmp_path: Path):
    assert planned(tmp_path, NET, "fc1.weight=he_uniform").actions[0].initializer == "kaiming_uniform"


def test_a_plan_of_any_initializers_is_strict_json(tmp_path: Path):
    shapes = {"m": ("F32", [4, 4]), "k": ("F32", [4, 4, 3]), "e": ("F32", [0, 4])}
    rules = ["m=lecun_normal", "k=delta_orthogonal", "e=kaiming_normal"]
    text = json.dumps(planned(tmp_path, shapes, *rules).to_json(), allow_nan=False)
    assert [action["init"] for action in json.loads(text)["actions"]] == [
        "lecun_normal",
        "delta_orthogonal",
        "kaiming_normal",
    ]


def test_totals_are_the_sums_over_both_lists(tmp_path: Path):
    plan = planned(tmp_path, NET, "fc1.*=ones")
    assert plan.initialized == (2, 15, 36)
    assert plan.kept_totals == (2, 1, 8)

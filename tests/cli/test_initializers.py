"""The list of initializers, and the page of each."""

from __future__ import annotations

import json

import pytest

from initctl.cli.initializers import initializer_json, initializer_report, initializers_report
from initctl.initializers import REGISTRY
from initctl.planning import bind
from initctl.rules import parse_rule
from initctl.suggesting.activations import ACTIVATIONS, known_activation
from tests.display.text import on_terminal, piped

EACH = pytest.mark.parametrize("initializer", list(REGISTRY), ids=lambda initializer: initializer.name)


@EACH
def test_a_page_says_all_there_is_to_know(initializer):
    page = piped(initializer_report(initializer))
    assert page.splitlines()[0] == initializer.name
    for fact in (initializer.summary, initializer.formula, initializer.source, initializer.example):
        assert fact
        assert fact in page
    for alias in initializer.aliases:
        assert alias in page
    rows = [line.split(maxsplit=2) for line in page.partition("parameter ")[2].splitlines()[1:]]
    assert [(name, takes) for name, _, takes in rows] == [(p.name, p.type.accepts) for p in initializer.parameters]


@EACH
def test_the_example_of_a_page_is_a_rule_that_calls_it(initializer):
    bound = bind(parse_rule(initializer.example, "rule 1"))
    assert bound.initializer.initializer is initializer


@EACH
def test_a_page_as_json_has_the_same_facts(initializer):
    data = json.loads(json.dumps(initializer_json(initializer), allow_nan=False))
    assert list(data) == ["name", "aliases", "summary", "formula", "source", "example", "parameters"]
    assert data["name"] == initializer.name
    assert [list(parameter) for parameter in data["parameters"]] == [
        ["name", "default", "required", "accepts"] for _ in initializer.parameters
    ]


@EACH
def test_a_page_fits_a_narrow_terminal(initializer):
    page = on_terminal(initializer_report(initializer), 30)
    assert max(map(len, page.splitlines())) <= 30
    assert "".join(initializer.formula.split()) in "".join(page.split())


def test_the_list_has_a_row_for_each_with_the_call_that_its_defaults_make():
    lines = piped(initializers_report(REGISTRY)).splitlines()
    calls = [line.split()[0] for line in lines]
    assert [call.partition(":")[0] for call in calls] == ["initializer", *(i.name for i in REGISTRY)]
    assert {"zeros", "normal:mean=0,std=1", "constant:val=…", "sparse:sparsity=…,std=0.01"} <= set(calls)


def test_a_parameter_without_which_there_is_no_call_is_told_from_one_that_may_be_absent():
    page = piped(initializer_report(REGISTRY.find("variance_scaling")))
    defaults = {line.split()[0]: line.split()[1] for line in page.partition("parameter ")[2].splitlines()[1:]}
    assert defaults == {
        "scale": "…", "mode": "…", "distribution": "…", "layout": "-", "transposed": "false", "groups": "1",
        "split": "-",
    }  # fmt: skip


def test_the_list_leaves_out_what_is_seldom_needed_and_the_page_has_it():
    row = next(line for line in piped(initializers_report(REGISTRY)).splitlines() if line.startswith("xavier_normal"))
    assert row.split()[0] == "xavier_normal:gain=1"
    page = piped(initializer_report(REGISTRY.find("xavier_normal")))
    assert "groups 1 a whole number of 1 or more" in " ".join(page.split())


@pytest.mark.parametrize("word", ["relu", "tanh", "gelu", "swish", "selu", "quick_gelu"])
def test_an_activation_is_answered_with_the_initializer_for_the_layers_before_it(call, word):
    advice = ACTIVATIONS[known_activation(word)].advice
    done = call("initializers", word)
    assert done.status == 0
    assert done.out.splitlines()[0] == word
    assert advice.initializer in done.out
    assert advice.reason in done.out
    assert call("initializers", word, "--json").document["data"] == {
        "activation": known_activation(word),
        **advice._asdict(),
    }

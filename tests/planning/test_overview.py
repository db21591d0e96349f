"""A plan as people read it: one row a tensor with the numbers that decide, and totals."""

from __future__ import annotations

import pytest
import torch

import initctl
from initctl.planning.overview import number
from tests.cli.checkpoints import NET, checkpoint
from tests.display.text import on_terminal, piped


@pytest.fixture
def net(tmp_path):
    return checkpoint(tmp_path / "net.safetensors", NET)


def report(path, *rules, unfold=False):
    return piped(initctl.plan(path, rules=rules).report(unfold=unfold))


def rows(text):
    return {line.split()[0]: line for line in text.splitlines() if line}


def test_a_kaiming_normal_shows_its_fan_and_std(net):
    row = rows(report(net, "fc1.weight=kaiming_normal:nonlinearity=relu"))["fc1.weight"]
    assert row.endswith("rule 1: fc1.weight  kaiming_normal nonlinearity=relu fan_in=3 std=0.816497")


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        ("normal", "normal mean=0 std=1"),
        ("normal:std=0.02", "normal mean=0 std=0.02"),
        ("zeros", "zeros"),
        ("constant:val=1e-5", "constant val=1e-05"),
        ("he_normal", "kaiming_normal fan_in=3 std=0.816497"),
        ("kaiming_normal:mode=fan_out", "kaiming_normal mode=fan_out fan_out=4 std=0.707107"),
        ("xavier_uniform:gain=0.5", "xavier_uniform gain=0.5 fan_in=3 fan_out=4 bound=0.46291"),
        ("trunc_normal:std=0.02,cut=2", "trunc_normal std=0.02 cut=2 a=-0.04 b=0.04"),
    ],
)
def test_an_initializer_is_shown_with_the_numbers_that_decide(net, rule, shown):
    assert rows(report(net, f"fc1.weight={rule}"))["fc1.weight"].endswith(f"rule 1: fc1.weight  {shown}")


def test_rows_stand_in_the_checkpoints_order_and_say_what_is_kept_and_why(net):
    lines = report(net, "*.weight=ones", "fc2.*=keep").splitlines()
    assert [line.split() for line in lines[:5]] == [
        ["tensor", "shape", "dtype", "rule", "initializer"],
        ["fc1.weight", "[4,", "3]", "float32", "rule", "1:", "*.weight", "ones"],
        ["fc1.bias", "[4]", "float32", "-", "keep"],
        ["fc2.weight", "[2,", "4]", "float32", "rule", "2:", "fc2.*", "keep"],
        ["steps", "[2]", "int64", "-", "keep"],
    ]


def test_totals_count_what_is_filled_and_what_is_kept(net):
    last = report(net, "fc1.*=ones").splitlines()[-1]
    assert last == "initialize 2 tensors (16 elements, 64 bytes); keep 2 tensors (10 elements, 48 bytes); seed 0"
    assert report(net, "*=keep").splitlines()[-1] == "initialize none; keep 4 tensors (26 elements, 112 bytes); seed 0"


class TestALongPlan:
    @pytest.fixture
    def llm(self, tmp_path):
        layers = {f"layers.{n}.{part}": ("BF16", (8, 4)) for n in range(16) for part in ("up.weight", "down.weight")}
        return checkpoint(tmp_path / "llm.safetensors", layers)

    def test_is_folded(self, llm):
        lines = report(llm, "*=lecun_normal", "layers.3.up.*=zeros").splitlines()
        assert [line.split()[0] for line in lines[1:4]] == [
            "layers.{0..2,4..15}.up.weight",
            "layers.{0..15}.down.weight",
            "layers.3.up.weight",
        ]
        assert lines[1].endswith("rule 1: *              lecun_normal fan_in=4 std=0.5")

    def test_is_unfolded_when_asked_to(self, llm):
        named = rows(report(llm, "*=lecun_normal", unfold=True))
        assert {f"layers.{n}.up.weight" for n in range(16)} <= set(named)
        assert len(report(llm, "*=lecun_normal", unfold=True).splitlines()) == 1 + 32 + 2

    def test_of_a_piped_report_is_whole_in_every_line(self, llm):
        assert "…" not in report(llm, "*=lecun_normal")


def test_the_narrowest_terminal_shows_what_each_tensor_gets_and_what_is_cut(net):
    plan = initctl.plan(net, rules=["fc1.weight=kaiming_normal"])
    narrow = on_terminal(plan.report(), 20)
    rows, cut, _ = narrow.partition("to fit 20")
    assert rows.split() == [
        *("tensor", "initializer"),
        *("fc1.weight", "kaiming_normal", "fan_in=3", "std=0.816497"),
        *("fc1.bias", "keep", "fc2.weight", "keep", "steps", "keep"),
    ]
    assert cut
    assert max(map(len, narrow.splitlines())) <= 20


@pytest.mark.parametrize(
    ("value", "text"), [(0.1 + 0.2, "0.3"), (3, "3"), (2**70, str(2**70)), ("relu", "relu"), (1e-12, "1e-12")]
)
def test_a_number_has_six_digits_unless_it_is_whole(value, text):
    assert number(value) == text


class TestWhatWasApplied:
    def test_is_told_in_the_past_with_where_it_lies_and_the_seed(self, net, tmp_path):
        applied = initctl.apply(net, tmp_path / "out.safetensors", rules=["*.bias=ones"], seed=7)
        lines = piped(applied.report()).splitlines()
        assert [line.split()[0] for line in lines[:2]] == ["tensor", "fc1.bias"]
        filled, kept = "initialized 1 tensor (4 elements, 16 bytes)", "kept 3 tensors (22 elements, 96 bytes)"
        assert lines[-2] == f"{filled}; {kept}; seed 7"
        assert lines[-1] == f"wrote {tmp_path / 'out.safetensors'} (1 file)"

    def test_is_told_to_be_nothing_where_nothing_was_to_change(self, net):
        applied = initctl.apply(net, rules=["*=keep"], in_place=True)
        assert piped(applied.report()).endswith(f"{net}: nothing to change")


def test_tensors_that_another_device_than_the_processor_computes_are_counted(net):
    made = initctl.plan(net, rules=["fc1.*=normal"], device="cpu:0")
    assert piped(made.report()).endswith("; seed 0; 2 tensors on cpu:0")
    assert report(net, "fc1.*=normal").endswith("; seed 0")


@pytest.mark.parametrize(("beside", "told"), [
    ({}, "; root model; seed 0"),
    ({"epoch": 3}, "; root model; seed 0"),
    ({"g_ema": {"w": torch.ones(2), "v": torch.ones(1)}}, "; root model, 2 tensors outside of it; seed 0"),
])  # fmt: skip
def test_totals_name_the_root_that_was_taken_and_count_what_is_outside(tmp_path, beside, told):
    torch.save({"model": {"w": torch.ones(3), "v": torch.ones(1)}, **beside}, tmp_path / "in.pt")
    assert report(tmp_path / "in.pt", "w=zeros").splitlines()[-1].endswith(told)
    applied = initctl.apply(tmp_path / "in.pt", tmp_path / "out.pt", rules=["w=zeros"])
    assert piped(applied.report()).splitlines()[-2].endswith(told)


def test_totals_of_a_plain_state_dict_name_no_root(tmp_path):
    torch.save({"w": torch.ones(3)}, tmp_path / "in.pt")
    assert "root" not in report(tmp_path / "in.pt", "w=zeros")


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        (["fc1.weight[:2]=zeros"], "initialize 1 tensor in part (6 elements, 24 bytes); keep {n} tensors, 1 of them"),
        (["fc1.weight[:2]=zeros", "fc1.bias=ones"], "initialize 2 tensors, 1 of them in part ("),
        (["fc1.weight[:2]=zeros", "fc1.weight[2:]=ones"], "initialize 1 tensor (12 elements, 48 bytes); keep {rest}"),
        (["*=keep", "fc1.weight[1:]=zeros"], "initialize 1 tensor in part (9 elements, 36 bytes); keep {n} tensors, 1"),
    ],
)  # fmt: skip
def test_totals_say_of_how_many_tensors_only_some_rows_are_meant(net, rules, told):
    assert told.format(n=len(NET), rest=len(NET) - 1) in report(net, *rules)


def test_a_number_that_nobody_gave_is_not_shown_as_a_parameter(net):
    assert "mean_rows of=0:2 std=0 " in f"{report(net, 'fc1.weight[2:]=mean_rows:of=0:2')} ".replace("\n", " ")


def test_resets_of_many_parameters_are_a_few_narrow_rows(tmp_path):
    """A number out of three has this shape, as in a model of three weights a layer."""
    shapes = [shape for _ in range(40) for shape in ((2, 2), (3,), (4,))]
    names = [f"layers.{i // 3}.{'abc'[i % 3]}" for i in range(len(shapes))]
    state = {i: {"step": torch.ones(()), "exp_avg": torch.ones(shape)} for i, shape in enumerate(shapes)}
    optimizer = {"state": state, "param_groups": [{"params": list(state)}]}
    model = {name: torch.ones(shape) for name, shape in zip(names, shapes, strict=True)}
    torch.save({"model": model, "optimizer": optimizer}, tmp_path / "in.pt")
    plan = initctl.plan(tmp_path / "in.pt", rules=["*=zeros"], reset_optimizer=True)
    text = piped(plan.report())
    resets = [" ".join(line.split()) for line in text.splitlines() if "--reset-optimizer" in line]
    assert resets == [
        "optimizer.state.{0..119}.step ×120 [] float32 --reset-optimizer zeros",
        "optimizer.state.{0,3,6,…,117}.exp_avg ×40 [2, 2] float32 --reset-optimizer zeros",
        "optimizer.state.{1,4,7,…,118}.exp_avg ×40 [3] float32 --reset-optimizer zeros",
        "optimizer.state.{2,5,8,…,119}.exp_avg ×40 [4] float32 --reset-optimizer zeros",
    ]

"""A rule that does not fit a tensor is refused before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import initctl
from initctl.dtypes import BY_TAG
from initctl.stream import NotANumber
from tests.planning.tables import checkpoint_of, codes, planned, refusal, refused

if TYPE_CHECKING:
    from pathlib import Path

INTEGERS = ["U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"]
FLOATING = ["F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0", "F16", "BF16", "F32", "F64", "C64"]
PACKED = ["F4", "F6_E2M3", "F6_E3M2"]
RANDOM = [
    "uniform", "normal", "trunc_normal", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal",
    "lecun_uniform", "lecun_normal", "variance_scaling:scale=1,mode=fan_in,distribution=normal", "orthogonal",
    "spectral", "sparse:sparsity=0.5", "log_uniform:a=1,b=2", "inv_softplus_log_uniform", "uniform_log:a=1,b=2",
    "xavier_normal:split=1:1",
]  # fmt: skip
FORMULAS = ["sinusoid", "arange_log", "lstm_bias", "zero_hadamard"]
EVERY = [
    *RANDOM,
    *FORMULAS,
    "nan",
    "bias_from_prob",
    "zeros",
    "ones",
    "constant:val=2",
    "eye",
    "dirac",
    "delta_orthogonal",
    "dirac:groups=3",
]
SCALED = [
    "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "lecun_uniform", "lecun_normal",
    "variance_scaling:scale=1,mode=fan_avg,distribution=uniform", "spectral", "orthogonal",
]  # fmt: skip

FIT = [
    ("U8", "constant:val=255"), ("U8", "constant:val=0"), ("I8", "constant:val=-128"), ("BOOL", "ones"),
    ("I64", "constant:val=-9223372036854775808"), ("U64", "constant:val=18446744073709551615"),
    ("I32", "constant:val=2.0"), ("BOOL", "constant:val=0.0"), ("F16", "constant:val=65504"),
    ("F8_E4M3", "constant:val=448"), ("F8_E5M2", "constant:val=57344"), ("BF16", "constant:val=1e38"),
    ("F32", "constant:val=-3.4e38"), ("F64", "constant:val=1e300"), ("F8_E8M0", "ones"),
    ("F8_E8M0", "constant:val=0.25"), ("C64", "constant:val=1.5"), ("F16", "normal:std=9000"),
    ("F8_E4M3", "uniform:a=-200,b=200"), ("F32", "normal:std=5e37"), ("F64", "normal:std=5e37"),
]  # fmt: skip
UNFIT = [
    ("U8", "constant:val=256", "uint8 cannot hold 256"),
    ("U8", "constant:val=-1", "uint8 cannot hold -1"),
    ("I64", "constant:val=0.5", "int64 cannot hold 0.5"),
    ("I64", "constant:val=9223372036854775808", "int64 cannot hold 9223372036854775808"),
    ("U64", "constant:val=18446744073709551616", "uint64 cannot hold 1.8446744073709552e+19"),
    ("U64", "constant:val=1.8446744073709552e19", "uint64 cannot hold 1.8446744073709552e+19"),
    ("BOOL", "constant:val=2", "bool cannot hold 2"),
    ("F16", "constant:val=1e6", "float16 cannot hold 1000000.0"),
    ("F16", "constant:val=1e-9", "float16 cannot hold 1e-09"),
    ("F16", "normal:std=1e-9", "values up to 6.77e-09 would all round to 0 in float16"),
    ("F32", "uniform:a=0,b=1e-50", "values up to 1e-50 would all round to 0 in float32"),
    ("F64", "normal:std=1e-60", "would all round to 0 in float64"),
    ("F16", "constant:val=-65520", "float16 cannot hold -65520"),
    ("F8_E4M3", "constant:val=500", "float8_e4m3fn cannot hold 500"),
    ("F8_E5M2", "constant:val=1e5", "float8_e5m2 cannot hold 100000"),
    ("F8_E8M0", "zeros", "float8_e8m0fnu cannot hold 0"),
    ("F8_E8M0", "constant:val=3", "float8_e8m0fnu cannot hold 3"),
    ("F8_E8M0", "constant:val=-1", "float8_e8m0fnu cannot hold -1"),
    ("F8_E8M0", "eye", "float8_e8m0fnu cannot hold 0 and 1"),
    ("BF16", "constant:val=3.4e38", "bfloat16 cannot hold 3.4e+38"),
    ("F32", "constant:val=1e39", "float32 cannot hold 1e+39"),
    ("C64", "constant:val=1e39", "complex64 cannot hold 1e+39"),
    ("F16", "normal:std=10000", "values up to 6.77e+04 would overflow float16"),
    ("F8_E4M3", "uniform:a=0,b=500", "values up to 500 would overflow float8_e4m3fn"),
    ("F64", "normal:std=1e38", "values up to 6.77e+38 would overflow float32"),
    ("F32", "uniform:a=-3e38,b=3e38", "values up to 6e+38 would overflow float32"),
    ("F16", "xavier_uniform:gain=1e6", "would overflow float16"),
    ("F32", "xavier_normal:gain=1e308", "would overflow float32"),
    ("F32", "trunc_normal:mean=0,std=1,a=50,b=60", "is too far away, too narrow or too wide for std=1"),
    ("C64", "trunc_normal", "it is complex, but this law is defined only for real numbers"),
    ("C64", "orthogonal", "it is complex, but this law is defined only for real numbers"),
    ("C64", "log_uniform:a=1,b=2", "it is complex, but this law is defined only for real numbers"),
    ("F16", "log_uniform:a=1,b=1e6", "values up to 1e+06 would overflow float16"),
    ("F32", "log_uniform:a=1,b=1e39", "values up to 1e+39 would overflow float32"),
    ("F32", "log_uniform:a=1e39,b=1e40", "there is no float32 number from a=1e+39 to b=1e+40"),
    ("F32", "trunc_normal:std=1e39,a=1e39,b=1e40", "is too far away, too narrow or too wide for std=1e+39"),
    ("F16", "inv_softplus_log_uniform:b=1e6", "values up to 1e+06 would overflow float16"),
    ("F8_E4M3", "uniform_log:a=1e300,b=2e300", "values up to 691 would overflow float8_e4m3fn"),
    ("F32", "inv_softplus_log_uniform:b=1e308", "values up to 1e+308 would overflow float32"),
    ("F8_E4M3", "arange_log:start=1e300", "values up to 691 would overflow float8_e4m3fn"),
    ("F16", "xavier_normal:split=1:1,gain=1e6", "would overflow float16"),
    ("F32", "xavier_normal:split=3", "its 2 outputs cannot be divided into 3 parts"),
    ("F32", "xavier_normal:groups=4", "its 2 outputs cannot be divided into 4 groups"),
]  # fmt: skip


@pytest.mark.parametrize(("tag", "call"), FIT)
def test_what_the_dtype_can_hold_fits(tmp_path: Path, tag: str, call: str):
    assert len(planned(tmp_path, {"w": (tag, [2, 4])}, f"w={call}").actions) == 1


@pytest.mark.parametrize(("tag", "call", "fact"), UNFIT)
def test_what_the_dtype_cannot_hold_does_not_fit(tmp_path: Path, tag: str, call: str, fact: str):
    name = call.partition(":")[0]
    told = refusal(tmp_path, {"w": (tag, [2, 4])}, f"w={call}")
    assert told.startswith(f"rule 1 (w={call}): tensor w [2, 4]: {name} does not fit: ")
    assert fact in told


@pytest.mark.parametrize("tag", [*INTEGERS, "BOOL", "F8_E8M0"])
@pytest.mark.parametrize("call", RANDOM)
def test_random_values_fit_no_integer_bool_or_scale(tmp_path: Path, tag: str, call: str):
    assert "which only constants can fill" in refusal(tmp_path, {"w": (tag, [2, 4])}, f"w={call}")


@pytest.mark.parametrize("tag", [*INTEGERS, "BOOL", "F8_E8M0"])
@pytest.mark.parametrize(
    ("call", "shape"), [("sinusoid", [2, 4]), ("arange_log", [2, 4]), ("lstm_bias", [4]), ("zero_hadamard", [4, 2])]
)
def test_formulas_fit_no_integer_bool_or_scale(tmp_path: Path, tag: str, call: str, shape: list[int]):
    assert "which only constants can fill" in refusal(tmp_path, {"w": (tag, shape)}, f"w={call}")


def test_an_lstm_bias_fits_where_its_number_does(tmp_path: Path):
    assert planned(tmp_path, {"b": ("F16", [8])}, "b=lstm_bias:forget=65504").actions
    told = refusal(tmp_path, {"b": ("F16", [8])}, "b=lstm_bias:forget=1e6")
    assert told.endswith("values up to 1e+06 would overflow float16")


def test_each_part_must_fit_on_its_own(tmp_path: Path):
    table = {"w": ("F16", [1000, 2])}
    call = "variance_scaling:scale=1e-15,mode=fan_out,distribution=normal,split=1:999"
    assert "would all round to 0 in float16" in refusal(tmp_path, table, f"w={call}")
    assert planned(tmp_path, table, f"w={call.replace('1e-15', '1e-8')}").actions


@pytest.mark.parametrize("tag", FLOATING)
def test_nan_fits_every_type_that_has_one(tmp_path: Path, tag: str):
    (action,) = planned(tmp_path, {"w": (tag, [2, 4])}, "w=nan").actions
    assert (action.initializer, action.params, action.law) == ("nan", {}, NotANumber())


@pytest.mark.parametrize("tag", [*INTEGERS, "BOOL"])
def test_nan_fits_no_other(tmp_path: Path, tag: str):
    told = refusal(tmp_path, {"w": (tag, [2, 4])}, "w=nan")
    name = BY_TAG[tag].name
    assert told == f"rule 1 (w=nan): tensor w [2, 4]: nan does not fit: its dtype is {name}, which has no NaN"


@pytest.mark.parametrize("tag", PACKED)
@pytest.mark.parametrize("call", ["nan", "zeros", "constant:val=1", "normal", "eye"])
def test_nothing_fits_elements_smaller_than_a_byte(tmp_path: Path, tag: str, call: str):
    told = refusal(tmp_path, {"w": (tag, [4, 4])}, f"w={call}")
    assert "elements are smaller than a byte and cannot be written" in told


@pytest.mark.parametrize("call", SCALED)
@pytest.mark.parametrize(("shape", "dims"), [([3], "1 dim"), ([], "0 dims")])
def test_fans_take_two_dims(tmp_path: Path, call: str, shape: list[int], dims: str):
    told = refusal(tmp_path, {"w": ("F32", shape)}, f"w={call}")
    assert told.startswith(f"rule 1 (w={call}): tensor w {shape}: ")
    assert told.endswith(f"it needs at least 2 dims (inputs and outputs), but the tensor has {dims}")


def test_a_fault_names_the_first_tensor_and_counts_the_others(tmp_path: Path):
    biases = {f"fc{i}.bias": ("F32", [3]) for i in range(4)}
    assert refusal(tmp_path, biases, "*.bias=kaiming_normal") == (
        "rule 1 (*.bias=kaiming_normal): tensor fc0.bias [3] (and 3 more like it): "
        "kaiming_normal does not fit: it needs at least 2 dims (inputs and outputs), but the tensor has 1 dim"
    )


def test_every_rule_and_every_reason_that_does_not_fit_is_told_at_once(tmp_path: Path):
    table = {"a": ("F32", [3]), "b": ("F32", []), "c": ("F16", [2, 2]), "d": ("F32", [2, 2]), "n": ("I32", [2])}
    problems = refused(tmp_path, table, "[ab]=xavier_normal", "c=constant:val=1e9", "d=ones", "n=normal")
    assert codes(problems) == ["rule.unfit"] * 4
    for problem, place in zip(problems, ["a [3]", "b []", "c [2, 2]", "n [2]"], strict=True):
        assert f"): tensor {place}: " in problem.message


def test_what_a_later_rule_decides_need_not_fit_an_earlier_one(tmp_path: Path):
    table = {"w": ("F32", [2, 2]), "b": ("F32", [2])}
    assert len(planned(tmp_path, table, "*=kaiming_normal", "b=zeros").actions) == 2
    assert len(planned(tmp_path, table, "*=kaiming_normal", "b=keep").actions) == 1


@pytest.mark.parametrize("call", EVERY)
@pytest.mark.parametrize("shape", [[0], [0, 3], [3, 0], [2, 0, 5], [2**62, 0]])
def test_nothing_has_to_be_done_to_a_tensor_without_elements(tmp_path: Path, call: str, shape: list[int]):
    plan = planned(tmp_path, {"w": ("F32", shape), "b": ("F32", [2])}, f"w={call}", "b=zeros")
    assert {action.tensor.name: action.tensor.nbytes for action in plan.actions} == {"w": 0, "b": 8}


@pytest.mark.parametrize("tag", [*INTEGERS, *PACKED, "BOOL", "C64", "F8_E8M0"])
def test_nothing_has_to_be_done_without_elements_whatever_the_dtype(tmp_path: Path, tag: str):
    table = {"w": (tag, [0, 4]), "b": ("F32", [2])}
    assert len(planned(tmp_path, table, "w=kaiming_normal", "b=zeros").actions) == 2


def test_nothing_is_written_where_something_does_not_fit(tmp_path: Path):
    path = checkpoint_of(tmp_path, {"w": ("F32", [2, 2]), "b": ("F32", [2])})
    with pytest.raises(initctl.FitError):
        initctl.apply(path, tmp_path / "out.safetensors", rules=["w=zeros", "b=kaiming_normal"])
    assert list(tmp_path.iterdir()) == [path]

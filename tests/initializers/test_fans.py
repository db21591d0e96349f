"""Fans: torch's, or what a rule says of the layout, of groups and of parts."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.init import _calculate_fan_in_and_fan_out

from initctl.dtypes import BY_NAME
from initctl.errors import RuleError
from initctl.initializers import REGISTRY, Unfit
from initctl.initializers.fans import layout_of, weights
from initctl.rules import parse_call
from initctl.tensors import Fans, TensorSpec

shapes = st.lists(st.integers(0, 9), min_size=2, max_size=6).map(tuple)


def fans(shape, layout=None):
    """Those of the one weight that a tensor of `shape` holds."""
    (weight,) = weights(shape, layout=layout)
    return weight.fans


@given(shapes)
def test_fans_are_torchs(shape):
    tensor = TensorSpec("w", BY_NAME["float32"], shape, ())
    assert fans(shape) == tensor.fans == _calculate_fan_in_and_fan_out(torch.empty(shape, device="meta"))


@given(shapes)
def test_torchs_own_layout_may_be_written_out(shape):
    assert fans(shape, "oi" + "k" * (len(shape) - 2)) == fans(shape)


@given(shapes, st.data())
def test_permuting_dims_and_layout_together_changes_nothing(shape, data):
    order = data.draw(st.permutations(range(len(shape))))
    letters = layout_of(shape, None)
    permuted = tuple(shape[axis] for axis in order)
    assert fans(permuted, "".join(letters[axis] for axis in order)) == fans(shape)


@pytest.mark.parametrize(
    ("shape", "layout", "expected"),
    [
        ((768, 2304), "io", Fans(768, 2304)),
        ((8, 512, 256), "boi", Fans(256, 512)),
        ((8, 256, 512), "bio", Fans(256, 512)),
        ((64, 32, 3, 5), "oikk", Fans(32 * 15, 64 * 15)),
        ((3, 5, 32, 64), "kkio", Fans(32 * 15, 64 * 15)),
        ((2, 3, 8, 4), "bboi", Fans(4, 8)),
        ((4, 2, 6), "ooi", Fans(6, 8)),
        ((10, 20, 30), "iio", Fans(200, 30)),
        ((7, 5), "oi", Fans(5, 7)),
    ],
)
def test_a_layout_says_what_each_dim_stands_for(shape, layout, expected):
    assert fans(shape, layout) == expected


@pytest.mark.parametrize(("shape", "dims"), [((), "0 dims"), ((5,), "1 dim")])
@pytest.mark.parametrize("layout", [None, "oi"])
def test_fewer_than_two_dims_have_no_fans(shape, dims, layout):
    with pytest.raises(Unfit, match=rf"^it needs at least 2 dims \(inputs and outputs\), but the tensor has {dims}$"):
        fans(shape, layout)


@pytest.mark.parametrize(("shape", "layout"), [((4, 3), "boi"), ((4, 3, 2), "oi")])
def test_a_layout_has_one_letter_a_dim(shape, layout):
    with pytest.raises(Unfit, match=f"^layout={layout} has {len(layout)} letters for {len(shape)} dims$"):
        fans(shape, layout)


CONVOLUTIONS = [(12, 6, 1, (3,)), (12, 6, 3, (3, 5)), (8, 8, 8, (3, 3)), (4, 6, 2, (1, 2, 3)), (6, 6, 1, (1,))]
"""Outputs, inputs, groups, kernel."""


def reached(layer, inputs, kernel):
    """How many inputs reach an output of a convolution in its middle, and how many outputs an input in the middle."""
    nn.init.ones_(layer.weight)
    image = torch.ones(1, inputs, *(9 * size for size in kernel), requires_grad=True)
    out = layer(image)
    out[0, 0, *(size // 2 for size in out.shape[2:])].backward()
    return Fans(int(image.grad.count_nonzero()), _outputs_of(layer, image))


def _outputs_of(layer, image):
    with torch.no_grad():
        image.zero_()
        image[0, 0, *(size // 2 for size in image.shape[2:])] = 1
        return int(layer(image).count_nonzero())


@pytest.mark.parametrize(("outputs", "inputs", "groups", "kernel"), CONVOLUTIONS)
@pytest.mark.parametrize("transposed", ["false", "true"])
def test_fans_of_groups_count_what_a_convolution_of_torch_connects(outputs, inputs, groups, kernel, transposed):
    dims = f"{len(kernel)}d"
    kind = getattr(nn, f"ConvTranspose{dims}" if transposed == "true" else f"Conv{dims}")
    layer = kind(inputs, outputs, kernel, groups=groups, bias=False)
    (weight,) = weights(tuple(layer.weight.shape), transposed=transposed, groups=groups)
    assert weight.fans == reached(layer, inputs, kernel)


def test_torchs_own_fan_out_of_groups_counts_outputs_that_an_input_does_not_reach():
    shape = tuple(nn.Conv2d(8, 16, 3, groups=4).weight.shape)
    assert fans(shape) == Fans(18, 144)
    assert [weight.fans for weight in weights(shape, groups=4)] == [Fans(18, 36)]


def test_without_groups_a_transposed_convolution_swaps_torchs_fans():
    shape = tuple(nn.ConvTranspose2d(8, 16, 3).weight.shape)
    assert [weight.fans for weight in weights(shape, transposed="true")] == [Fans(*reversed(fans(shape)))]
    assert weights(shape, layout="iokk") == weights(shape, transposed="true")


@given(shapes, st.integers(2, 6))
def test_equal_parts_have_the_fans_of_one_of_them(shape, count):
    out, *rest = shape
    fused = (count * out, *rest)
    assert [weight.fans for weight in weights(fused, split=str(count))] == [fans(shape)]
    assert weights(fused, split=":".join(["7"] * count)) == weights(fused, split=str(count))


@given(st.lists(st.integers(1, 5), min_size=2, max_size=5), st.integers(1, 3), st.integers(1, 4))
def test_unequal_parts_have_the_fans_of_their_size(sizes, unit, into):
    sizes = [*sizes, 6]
    found = weights((unit * sum(sizes), into), split=":".join(map(str, sizes)))
    assert [weight.fans for weight in found] == [Fans(into, unit * size) for size in sizes]


def test_proportions_may_be_the_sizes_themselves_or_any_multiple_of_the_smallest():
    shape = (6144, 4096)
    assert weights(shape, split="4096:1024:1024") == weights(shape, split="4:1:1")
    assert weights((6, 4), split="8:2:2") == weights((6, 4), split="4:1:1")


@pytest.mark.parametrize(
    ("shape", "arrangement", "expected"),
    [
        ((768, 2304), {"layout": "io", "split": "3"}, [Fans(768, 768)]),
        ((768, 1152), {"layout": "io", "split": "4:1:1"}, [Fans(768, 768), Fans(768, 192), Fans(768, 192)]),
        ((8, 1024, 256), {"layout": "boi", "split": "2"}, [Fans(256, 512)]),
        ((64, 12, 3), {"transposed": "true", "split": "3"}, [Fans(192, 12)]),
        ((12, 64, 3, 3), {"split": "2:1"}, [Fans(576, 72), Fans(576, 36)]),
        ((3, 12, 8), {"layout": "koi", "groups": 4}, [Fans(24, 9)]),
        ((6, 4), {"split": "1"}, [Fans(4, 6)]),
        ((6, 4), {"groups": 1}, [Fans(4, 6)]),
    ],
)
def test_groups_and_parts_go_with_a_layout(shape, arrangement, expected):
    assert [weight.fans for weight in weights(shape, **arrangement)] == expected


@pytest.mark.parametrize(
    ("shape", "arrangement", "fault"),
    [
        ((6, 3, 3), {"groups": 4}, "its 6 outputs cannot be divided into 4 groups"),
        ((6, 3, 3), {"groups": 4, "transposed": "true"}, "its 6 inputs cannot be divided into 4 groups"),
        ((10, 3), {"split": "3"}, "its 10 outputs cannot be divided into 3 parts"),
        ((10, 3), {"split": "4:1:1"}, "its 10 outputs cannot be divided as 4:1:1"),
        ((10, 3), {"split": "999999999999999999"}, "its 10 outputs cannot be divided into 999999999999999999 parts"),
        ((3, 10), {"split": "3", "transposed": "true"}, "its 10 outputs cannot be divided into 3 parts"),
        (
            (4, 4, 4),
            {"split": "2", "layout": "ooi"},
            "layout=ooi has more than one o, but groups and parts divide a single",
        ),
        (
            (4, 4, 4),
            {"groups": 2, "layout": "ooi"},
            "layout=ooi has more than one o, but groups and parts divide a single",
        ),
        ((4,), {"transposed": "true"}, "it needs at least 2 dims (inputs and outputs), but the tensor has 1 dim"),
        ((), {"split": "3"}, "it needs at least 2 dims (inputs and outputs), but the tensor has 0 dims"),
    ],
)
def test_what_does_not_divide_does_not_fit(shape, arrangement, fault):
    with pytest.raises(Unfit, match=f"^{re.escape(fault)}"):
        weights(shape, **arrangement)


ARRANGED = [
    "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "lecun_uniform", "lecun_normal",
    "variance_scaling:scale=1,mode=fan_in,distribution=normal", "orthogonal",
]  # fmt: skip


@pytest.mark.parametrize("call", ARRANGED)
@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (
            "layout=io,transposed=true",
            "layout and transposed exclude each other; write layout=io…, with k for the kernel dims",
        ),
        ("groups=2,split=3", "groups and split exclude each other"),
        ("groups=0", "groups=0 is not a whole number of 1 or more"),
        ("transposed=1", "transposed=1 is not one of false, true"),
        ("split=a", "split=a is not a number of equal parts, or their sizes in proportion"),
    ],
)
def test_what_contradicts_itself_is_refused_before_any_tensor_is_seen(call, arguments, fault):
    with pytest.raises(RuleError) as raised:
        REGISTRY.bind(parse_call(f"{call}{',' if ':' in call else ':'}{arguments}"))
    assert str(raised.value).startswith(fault)


@pytest.mark.parametrize("call", ["lecun_normal:layout=io,transposed=false", "lecun_normal:groups=1,split=3"])
def test_what_is_said_twice_but_does_not_contradict_itself_is_taken(call):
    assert REGISTRY.bind(parse_call(call))

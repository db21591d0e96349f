"""Values that stay: the bytes of one small tensor for each built-in initializer, seed 0, name fc1.weight.

Value stream v1 is a promise to every file ever written with it, so a vector that changes is a break, not an update.
A new initializer gets its line from

    python -c "from tests.golden.test_golden import line; line('normal:std=0.02', 'float32', (2, 4))"
"""

from __future__ import annotations

import numpy as np
import pytest

from initctl.initializers.builtin import LAWS
from initctl.rules import parse_call
from tests.initializers.running import NAME, stored

VECTORS = [
    ("zeros", "float32", (2, 2), "00000000 00000000 00000000 00000000"),
    ("ones", "float32", (2, 2), "0000803f 0000803f 0000803f 0000803f"),
    ("constant:val=0.1", "float32", (2, 2), "cdcccc3d cdcccc3d cdcccc3d cdcccc3d"),
    ("constant:val=0.1", "bfloat16", (2, 2), "cd3dcd3d cd3dcd3d"),
    ("constant:val=0.1", "float64", (2,), "9a999999 9999b93f 9a999999 9999b93f"),
    ("constant:val=-7", "int16", (2, 2), "f9fff9ff f9fff9ff"),
    ("eye", "float32", (2, 3), "0000803f 00000000 00000000 00000000 0000803f 00000000"),
    ("dirac", "float32", (2, 2, 2), "00000000 0000803f 00000000 00000000 00000000 00000000 00000000 0000803f"),
    ("uniform:a=-0.1,b=0.3", "float32", (2, 3), "acc4323e 7987b13d 480f723e ce09553e bf47803e fe94683e"),
    ("uniform", "float16", (2, 3), "7e397837 ba3a293a 033b8b3a"),
    ("normal:std=0.02", "float32", (2, 4), "2e068bbc 83156c3b 3776c23a a1523fbc ee2e8b3b 9b4919bc 546bd4bc 99532dbc"),
    ("normal:std=0.02", "bfloat16", (2, 4), "8bbc6c3b c23a3fbc 8b3b19bc d4bc2dbc"),
    ("normal:std=0.02", "float16", (2, 4), "58a4611b 1416fba1 591ccaa0 a3a66ba1"),
    ("normal:std=0.02", "float64", (2, 2), "000000c0 c56091bf 00000060 b0826d3f 000000e0 c64e583f 00000020 54ea87bf"),
    ("normal", "float8_e4m3fn", (2, 4), "b62419b1 26afbab0"),
    ("normal", "float8_e5m2", (2, 4), "bb322db9 33b7bdb8"),
    ("normal", "complex64", (2, 2), "f79919bf 536b023e 18da563d 4062d3be fdc6193e 425ca9be 3db16abf 2780bfbe"),
    (
        "trunc_normal:mean=0.5,std=0.02,cut=2",
        "float32",
        (2, 4),
        "905d023f fd2eff3e 49cb043f 9c94033f 8d83053f f85e043f 19e5fc3e 0cc2003f",
    ),
    (
        "trunc_normal:a=1,b=3",
        "float32",
        (2, 4),
        "abb5d13f 0d72af3f c6f2f73f 4ce1e33f 1d670240 a3baf03f 974da43f 8a9cbc3f",
    ),
    (
        "xavier_uniform:gain=2",
        "float32",
        (2, 4),
        "aceb3e3f a05a08be 1893ae3f 404c8a3f 5cb3c03f 3cbaa23f f0a2ffbe 60867c3e",
    ),
    ("xavier_normal", "float32", (2, 4), "80d4fabe 46f9d43d 066d2f3d 1a98acbe 051efb3d 3c488abe 20a03fbf 0e5c9cbe"),
    (
        "kaiming_uniform:a=2.23606797749979",
        "float32",
        (2, 4),
        "aceb3e3e a05a08bd 1893ae3e 404c8a3e 5cb3c03e 3cbaa23e f0a2ffbd 60867c3d",
    ),
    (
        "kaiming_normal:mode=fan_out,nonlinearity=relu",
        "float32",
        (2, 4),
        "a83959bf cf70383e 5bec973d 8e7815bf 5479593e 0283efbe daf3a5bf 506907bf",
    ),
    ("lecun_uniform", "float32", (2, 4), "9257a53e 102c6cbd 9f2f173f f689ef3e 35e2263f 17ed0c3f 40635dbe 68b1da3d"),
    ("lecun_normal", "float32", (2, 4), "b675863e 2da339bd e240083f 2786cb3e e8b51c3f d774f83e 148030be 1958ac3d"),
    (
        "variance_scaling:scale=2,mode=fan_avg,distribution=normal",
        "float32",
        (2, 4),
        "195d31bf 5d98163e f416783d c215f4be 1591313e 7f8fc3be ec7f87bf 3820ddbe",
    ),
    ("orthogonal", "float32", (2, 4), "22394fbf bbf22f3e 93ed903d ae960ebf 58d0ec3d dec09dbe 830c5ebf d620bfbe"),
    (
        "orthogonal:layout=boi",
        "float32",
        (2, 2, 2),
        "fd067fbf 805cb2bd 805cb23d fd067fbf 5588253e 0da27cbf 0da27cbf 558825be",
    ),
    (
        "delta_orthogonal",
        "float32",
        (2, 2, 2),
        "fd067fbf 00000000 805cb2bd 00000000 805cb23d 00000000 fd067fbf 00000000",
    ),
    (
        "sparse:sparsity=0.5",
        "float32",
        (4, 2),
        "00000000 8315ec3a 3776423a 00000000 ee2e0b3b 00000000 00000000 9953adbb",
    ),
    (
        "trunc_normal:std=0.02,cut=2,var_correct=true",
        "float32",
        (2, 4),
        "ca1b2c3c aa9dedba 8767ae3c 6141823c eb96c83c 19039f3c 9eebe1bb b9995c3b",
    ),
    (
        "log_uniform:a=0.001,b=0.1",
        "float32",
        (2, 4),
        "7c52c13c a28d0c3c c6eb443d ec180e3d 87ca673d 4704313d 306bb83b d9a1593c",
    ),
    ("log_uniform:a=1,b=16", "bfloat16", (2, 4), "d7406940 25410741 36411a41 35409840"),
    (
        "inv_softplus_log_uniform",
        "float32",
        (2, 4),
        "db056fc0 422298c0 6db140c0 c40156c0 edfb35c0 63ab47c0 7daba5c0 3e118ac0",
    ),
    (
        "inv_softplus_log_uniform:a=0.5,b=2,floor=1",
        "float32",
        (2, 4),
        "7b90793f 44940a3f f79eb03f d415983f 666cbd3f 4e74a83f 44940a3f 33d52d3f",
    ),
    (
        "uniform_log:a=0.01,b=16",
        "float32",
        (2, 4),
        "a7621940 6db80040 415e2640 5bbd2040 5d012940 7b952440 f989e53f 978e0c40",
    ),
    (
        "xavier_normal:split=2:1:1",
        "float32",
        (4, 2),
        "f79919bf 536b023e 18da563d 4062d3be 1591313e 7f8fc3be ec7f87bf 3820ddbe",
    ),
    (
        "xavier_uniform:layout=io,split=1:3",
        "float32",
        (2, 4),
        "5200073f 505e95bd a43c3f3f 6a7f173f 8942883f 5042323f 94048cbe 48500a3e",
    ),
    (
        "variance_scaling:scale=1,mode=fan_out,distribution=truncated_normal,groups=2",
        "float32",
        (4, 1, 2),
        "b675863e 2da339bd e240083f 2786cb3e e8b51c3f d774f83e 148030be 1958ac3d",
    ),
    (
        "kaiming_normal:nonlinearity=gelu",
        "float32",
        (2, 4),
        "8d8f26bf 356c0d3e 9dfa683d dc37e5be 5fc0263e 37a6b7be 487e7ebf 50a8cfbe",
    ),
    (
        "kaiming_uniform:nonlinearity=silu,transposed=true",
        "float32",
        (2, 2, 2),
        "c6990a3f a0f9c5bd e2777d3f 22cc483f 95e48b3f 6a446c3f f094b9be b052373e",
    ),
    (
        "orthogonal:split=2",
        "float32",
        (4, 2),
        "fd067fbf 805cb2bd 805cb23d fd067fbf 5588253e 0da27cbf 0da27cbf 558825be",
    ),
    (
        "sinusoid",
        "float32",
        (3, 4),
        "00000000 00000000 0000803f 0000803f a46a573f 17b7d138 40510a3f 0000803f b7c7683f 17b75139 3311d5be 0000803f",
    ),
    ("sinusoid:max_timescale=100", "bfloat16", (2, 6), "00000000 0000803f 803f803f 573fcc3d 243c0a3f 7f3f803f"),
    ("arange_log", "float32", (2, 4), "00000000 1872313f 549f8c3f 1872b13f 00000000 1872313f 549f8c3f 1872b13f"),
    ("arange_log:start=0.5", "float64", (3,), "00000000 432ee6bf 000000e0 23f3d93f 00000000 4152ed3f"),
    ("lstm_bias", "float32", (8,), "00000000 00000000 0000803f 0000803f 00000000 00000000 00000000 00000000"),
    ("lstm_bias:forget=0.1", "float32", (4,), "00000000 cdcccc3d 00000000 00000000"),
    (
        "zero_hadamard",
        "float32",
        (3, 4),
        "0000803f 00000000 00000000 00000000 00000000 0000803f 00000000 00000000 00000000 00000000 0000803f 00000000",
    ),
    ("zero_hadamard", "float32", (3, 2), "0000003f 0000003f 0000003f 000000bf 0000003f 0000003f"),
    ("zero_hadamard", "float16", (5, 1, 3), "0000 a8350000 0000a835 00000000 a8350000 0000a835 00000000 a8350000"),
    ("nan", "float32", (2, 2), "0000c07f 0000c07f 0000c07f 0000c07f"),
    ("nan", "bfloat16", (2, 2), "c07fc07f c07fc07f"),
    ("nan", "float16", (2,), "007e007e"),
    ("nan", "float64", (1,), "00000000 0000f87f"),
    ("nan", "float8_e4m3fn", (4,), "7f7f7f7f"),
    ("nan", "float8_e5m2", (4,), "7f7f7f7f"),
    ("nan", "float8_e4m3fnuz", (4,), "80808080"),
    ("nan", "float8_e5m2fnuz", (4,), "80808080"),
    ("nan", "float8_e8m0fnu", (4,), "ffffffff"),
    ("nan", "complex64", (2,), "0000c07f 0000c07f 0000c07f 0000c07f"),
    ("bias_from_prob", "float32", (2,), "390b93c0 390b93c0"),
    ("bias_from_prob:p=0.3", "float64", (1,), "00000060 101debbf"),
    ("bias_from_prob:p=0.9", "bfloat16", (2,), "0d400d40"),
    ("spectral", "float32", (2, 4), "f79999be 536b823d 18dad63c 406253be fdc6993d 425c29be 3db1eabe 27803fbe"),
    (
        "spectral:gain=2,split=3:1",
        "float32",
        (4, 2),
        "f79999bf 536b823e 18dad63d 406253bf fdc6993e 425c29bf daf3a5bf 506907bf",
    ),
]
"""Call, dtype, shape, little-endian bytes."""

TO_ROUNDING = {"orthogonal", "delta_orthogonal"}
"""Equal on every machine within a millionth, not to the bit: the decomposition is LAPACK's."""


def line(call: str, dtype: str, shape: tuple[int, ...]) -> None:
    """Print the line of VECTORS for a call."""
    print(f"    ({call!r}, {dtype!r}, {shape}, {stored(call, shape, dtype).hex(' ', 4)!r}),")


@pytest.mark.parametrize(("call", "dtype", "shape", "expected"), VECTORS, ids=[f"{v[0]}-{v[1]}" for v in VECTORS])
def test_the_bytes_are_what_they_always_were(call, dtype, shape, expected):
    assert NAME == "fc1.weight"
    computed = stored(call, shape, dtype)
    if parse_call(call).name in TO_ROUNDING:
        floats, expected_floats = (np.frombuffer(raw, "<f4") for raw in (computed, bytes.fromhex(expected)))
        np.testing.assert_allclose(floats, expected_floats, rtol=0, atol=1e-6)
    else:
        assert computed.hex(" ", 4) == expected


def test_every_built_in_initializer_has_a_vector():
    assert {parse_call(call).name for call, *_ in VECTORS} == {initializer.name for initializer in LAWS}

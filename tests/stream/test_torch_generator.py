"""`rng="torch"` gives what a script gives that seeds torch and calls torch.nn.init on one tensor after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import init

import initctl
from initctl.stream.draws import Draws
from initctl.stream.torch_draw import TorchDraw
from initctl.stream.torch_generator import NotDrawn, TorchGenerator
from tests.execution.checkpoints import raw_bytes, sharded
from tests.execution.torch_files import load, save

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
CALLS: dict[str, Callable[[torch.Tensor], Any]] = {
    "uniform": init.uniform_,
    "uniform:a=-0.3,b=0.7": lambda t: init.uniform_(t, -0.3, 0.7),
    "normal": init.normal_,
    "normal:mean=1,std=0.02": lambda t: init.normal_(t, 1, 0.02),
    "trunc_normal:std=1.5": lambda t: init.trunc_normal_(t, std=1.5),
    "trunc_normal:a=-0.5,b=1": lambda t: init.trunc_normal_(t, a=-0.5, b=1),
    "xavier_uniform": init.xavier_uniform_,
    "glorot_normal:gain=0.5": lambda t: init.xavier_normal_(t, 0.5),
    "kaiming_uniform": init.kaiming_uniform_,
    "kaiming_uniform:a=sqrt(5)": lambda t: init.kaiming_uniform_(t, a=5**0.5),
    "he_normal:mode=fan_out,nonlinearity=relu": lambda t: init.kaiming_normal_(t, mode="fan_out", nonlinearity="relu"),
    "orthogonal": init.orthogonal_,
    "orthogonal:gain=2": lambda t: init.orthogonal_(t, 2),
    "sparse:sparsity=0.3,std=0.1": lambda t: init.sparse_(t, 0.3, 0.1),
}
IN_HALF = ("orthogonal",)
"""What torch cannot draw in float16 and bfloat16 on a processor."""


def wide_normal(t: torch.Tensor) -> None:
    init.normal_(t, std=2)


def script(seed: int, *steps: tuple[Callable[[torch.Tensor], Any], torch.Size, torch.dtype]) -> list[torch.Tensor]:
    """What the script gives, in a process whose generator is put back."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        tensors = []
        for call, shape, dtype in steps:
            tensors.append(torch.empty(shape, dtype=dtype))
            call(tensors[-1])
    return tensors


def written(folder: Path, tensors: Mapping[str, torch.Tensor], *rules: str, **options: Any) -> dict[str, torch.Tensor]:
    save_file(dict(tensors), folder / "m.safetensors")
    initctl.apply(folder / "m.safetensors", folder / "o.safetensors", rules=rules, **{"rng": "torch", **options})
    return load_file(folder / "o.safetensors")


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and raw_bytes(one) == raw_bytes(other)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("shape", [(7, 3), (40, 30)])
def test_every_initializer_that_torch_has_gives_its_bits(
    tmp_path: Path, call: str, dtype: torch.dtype, shape: tuple[int, ...]
):
    tensors = {"w": torch.zeros(shape, dtype=dtype)}
    if call.startswith(IN_HALF) and dtype.itemsize == 2:
        with pytest.raises(
            initctl.FitError, match=r"orthogonal does not fit: rng='torch': torch cannot decompose b?float16"
        ):
            written(tmp_path, tensors, f"w={call}")
        assert not (tmp_path / "o.safetensors").exists()
        return
    (wanted,) = script(11, (CALLS[call], torch.Size(shape), dtype))
    assert same(written(tmp_path, tensors, f"w={call}", seed=11)["w"], wanted)


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_tensors_are_drawn_in_the_order_of_the_checkpoint(tmp_path: Path, kind: str):
    shapes = {"z": (5, 3), "a": (40, 30), "m": (3, 5), "s": (9,)}
    state = {name: torch.zeros(shape) for name, shape in shapes.items()}
    state["m"] = torch.zeros(5, 3).T
    save(tmp_path / "m.pt", state, kind)
    rules = ["*=normal:std=2", "a=uniform", "s=constant:val=1"]
    initctl.apply(tmp_path / "m.pt", tmp_path / "o.pt", rules=rules, rng="torch", seed=3)
    found = load(tmp_path / "o.pt")
    calls = (wide_normal, init.uniform_, wide_normal)
    steps = [(call, torch.Size(shapes[name]), torch.float32) for call, name in zip(calls, "zam", strict=True)]
    z, a, m = script(3, *steps)
    assert [name for name, wanted in {"z": z, "a": a, "m": m}.items() if not same(found[name], wanted)] == []
    assert (found["s"] == 1).all()


@pytest.mark.parametrize("options", [{}, {"in_place": True}, {"in_place": "patch"}])
def test_the_order_goes_over_shards(tmp_path: Path, options: dict[str, Any]):
    folder = sharded(tmp_path / "m")
    names = [a.tensor.name for a in initctl.plan(folder, rules=["*.weight=normal"]).actions]
    shapes = {t.name: torch.Size(t.shape) for t in initctl.inspect(folder).tensors}
    out = None if options else tmp_path / "o"
    result = initctl.apply(folder, out, rules=["*.weight=normal"], rng="torch", seed=1, threads=3, **options).output
    found: dict[str, torch.Tensor] = {}
    for path in sorted((tmp_path / ("m" if options else "o")).glob("*.safetensors")):
        found |= load_file(path)
    wanted = script(1, *((init.normal_, shapes[name], torch.float32) for name in names))
    assert [n for n, tensor in zip(names, wanted, strict=True) if not same(found[n], tensor)] == []
    assert initctl.verify(result, rules=["*.weight=normal"], rng="torch", seed=1).holds


def test_rows_are_drawn_as_a_tensor_of_their_own(tmp_path: Path):
    tensors = {"w": torch.zeros(20, 6), "x": torch.zeros(4)}
    found = written(tmp_path, tensors, "w[3:11]=xavier_uniform", "w[15:]=normal", "x=uniform", seed=2)
    one, other, x = script(
        2, (init.xavier_uniform_, torch.Size((8, 6)), torch.float32), (init.normal_, torch.Size((5, 6)), torch.float32),
        (init.uniform_, torch.Size((4,)), torch.float32),
    )  # fmt: skip
    assert same(found["w"][3:11], one)
    assert same(found["w"][15:], other)
    assert same(found["x"], x)
    assert (found["w"][:3] == 0).all()
    assert (found["w"][11:15] == 0).all()


def test_tied_tensors_are_drawn_once(tmp_path: Path):
    shared = torch.zeros(6, 2)
    save(tmp_path / "m.pt", {"b": shared, "a": shared, "c": torch.zeros(3)})
    initctl.apply(tmp_path / "m.pt", tmp_path / "o.pt", rules=["*=normal"], rng="torch")
    found = load(tmp_path / "o.pt")
    one, c = script(
        0, (init.normal_, torch.Size((6, 2)), torch.float32), (init.normal_, torch.Size((3,)), torch.float32)
    )
    assert same(found["a"], one)
    assert same(found["b"], one)
    assert same(found["c"], c)


def test_what_draws_nothing_changes_nothing_and_empty_tensors_draw_nothing(tmp_path: Path):
    tensors = {
        "a": torch.ones(3),
        "e": torch.ones(3, 3),
        "n": torch.empty(0, 2),
        "w": torch.zeros(4),
        "z": torch.ones(2),
    }
    found = written(tmp_path, tensors, "a=zeros", "e=eye", "n=normal", "w=normal", "z=constant:val=4")
    (wanted,) = script(0, (init.normal_, torch.Size((4,)), torch.float32))
    assert same(found["w"], wanted)
    assert same(found["e"], torch.eye(3))
    assert (found["a"] == 0).all()
    assert (found["z"] == 4).all()


def test_the_generator_of_the_process_is_left_as_it_was(tmp_path: Path):
    torch.manual_seed(123)
    before = torch.get_rng_state()
    written(tmp_path, {"w": torch.zeros(5, 3), "x": torch.zeros(9)}, "*=normal")
    assert torch.equal(torch.get_rng_state(), before)
    first = torch.randn(3)
    torch.manual_seed(123)
    assert torch.equal(torch.randn(3), first)


def test_it_is_left_as_it_was_where_torch_refuses(tmp_path: Path):
    before = torch.get_rng_state()
    with pytest.raises(initctl.FitError):
        written(tmp_path, {"w": torch.zeros(5, 3, dtype=torch.float16)}, "w=orthogonal")
    assert torch.equal(torch.get_rng_state(), before)
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


def test_seeds_matter_and_threads_do_not(tmp_path: Path):
    tensors = {"w": torch.zeros(50, 30), "x": torch.zeros(90)}
    one = written(tmp_path, tensors, "*=normal", seed=1, threads=1)
    assert all(same(one[n], written(tmp_path, tensors, "*=normal", seed=1, threads=4)[n]) for n in tensors)
    assert not same(one["w"], written(tmp_path, tensors, "*=normal", seed=2)["w"])
    assert not same(one["w"], written(tmp_path, tensors, "*=normal", seed=1, rng="philox")["w"])
    for seed in (2**63, 2**64 - 1):
        (wanted,) = script(seed, (init.normal_, torch.Size((50, 30)), torch.float32))
        assert same(written(tmp_path, tensors, "w=normal", seed=seed)["w"], wanted)


@pytest.mark.parametrize(
    ("rule", "dtype", "told"),
    [
        ("w=lecun_normal", torch.float32, "torch.nn.init has no such initializer"),
        ("w=trunc_normal:cut=2", torch.float32, "torch.nn.init.trunc_normal_ has no parameter cut"),
        ("w=xavier_uniform:layout=io", torch.float32, "torch.nn.init.xavier_uniform_ has no parameter layout"),
        ("w=normal", torch.complex64, "torch cannot draw complex64"),
        ("w=normal", torch.float8_e5m2, "torch cannot draw float8_e5m2"),
        ("w=scale:by=2", torch.float32, "torch.nn.init has no such initializer"),
    ],
)
def test_what_torch_does_not_have_is_refused_while_planning(tmp_path: Path, rule: str, dtype: torch.dtype, told: str):
    save_file({"w": torch.zeros(6, 4).to(dtype)}, tmp_path / "m.safetensors")
    with pytest.raises(initctl.FitError) as raised:
        initctl.plan(tmp_path / "m.safetensors", rules=[rule], rng="torch")
    message = str(raised.value)
    assert message.startswith(f"rule 1 ({rule}): tensor w [6, 4]: ")
    assert f"{told}" in message
    assert ": rng='torch': " in message


def test_defaults_that_torch_has_too_may_be_written_out(tmp_path: Path):
    rules = "w=trunc_normal:mean=0,std=1,a=-2,b=2"
    (wanted,) = script(0, (init.trunc_normal_, torch.Size((6, 4)), torch.float32))
    assert same(written(tmp_path, {"w": torch.zeros(6, 4)}, rules)["w"], wanted)


@pytest.mark.parametrize("rng", ["", "Torch", "numpy", None])
def test_another_source_of_random_numbers_is_refused(tmp_path: Path, rng: Any):
    with pytest.raises(initctl.UsageError, match="unknown rng"):
        initctl.plan("/no/such/file", rules=["*=normal"], rng=rng)


def test_a_generator_goes_on_where_it_stopped():
    generator = TorchGenerator(5)
    normal = ("normal_", {}, (3, 2), "float32", "cpu")
    one, other = (torch.from_numpy(generator.draw(*normal)) for _ in range(2))
    assert all(
        same(found, wanted)
        for found, wanted in zip(
            (one, other), script(5, *[(init.normal_, torch.Size((3, 2)), torch.float32)] * 2), strict=True
        )
    )
    with pytest.raises(NotDrawn):
        TorchDraw(*normal).prepared(Draws.of(0, "w"))

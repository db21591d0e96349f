"""What a pickle would call is warned of unless checkpoints are known to call it; what they call is not."""

from __future__ import annotations

import argparse
import collections
import datetime as dt
import decimal
import enum
import functools
import io
import logging
import pathlib
import pickle
import pickletools
import random
import re
import types
import typing
import uuid
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch import nn

from initctl.formats import read_checkpoint
from initctl.formats.torch_save.calls import HANDING_ON
from initctl.formats.torch_save.dangers import KNOWN, dangers, resolved, runs_code
from initctl.formats.torch_save.pickle import read_pickle
from initctl.formats.torch_save.standins import Global
from tests.broken.torch_faults import REAL
from tests.formats.torch_save.rewritten import legacy, saved, with_pickle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from initctl.errors import Problem

RUN_CODE = [
    dotted
    for row in (
        "os.system posix.system nt.system os.popen posix.execv subprocess.Popen subprocess.check_output",
        "commands.getoutput pty.spawn timeit.timeit pdb.run pdb.Pdb cProfile.run profile.run trace.Trace",
        "bdb.Bdb doctest.debug_script asyncio.create_subprocess_shell asyncio.create_subprocess_exec",
        "asyncio.subprocess.create_subprocess_shell builtins.getattr builtins.eval builtins.exec",
        "builtins.compile builtins.__import__ builtins.open builtins.setattr __builtin__.eval",
        "__builtin__.execfile __builtin__.getattr io.open io.FileIO _io.FileIO urllib.request.urlopen",
        "urllib2.urlopen http.client.HTTPSConnection httplib.HTTPConnection requests.get requests.api.post",
        "socket.create_connection socket.socket webbrowser.open pip.main pip._internal.main",
        "pip._internal.cli.main.main ensurepip._run_pip venv.create setuptools.sandbox.run_setup",
        "_pickle.loads pickle.loads cPickle.loads marshal.loads dill.loads dill._dill._create_function",
        "cloudpickle.loads cloudpickle.cloudpickle._make_function joblib.load joblib.numpy_pickle.load",
        "yaml.unsafe_load shelve.open runpy.run_path runpy._run_code importlib.import_module",
        "importlib._bootstrap._gcd_import pkgutil.resolve_name torch.load torch.serialization.load",
        "torch.storage._load_from_bytes torch.hub.load torch.jit.load torch.package.PackageImporter",
        "torch.utils.cpp_extension.load torch.distributed.rpc.rpc_sync",
        "torch.fx.graph_module.reduce_graph_module torch._inductor.codecache.PyCodeCache torch.save",
        "numpy.load numpy.testing._private.utils.runstring numpy.f2py.compile pandas.read_pickle ctypes.CDLL",
        "ctypes.cdll _ctypes.dlopen code.interact codeop.compile_command lib2to3.pgen2.pgen.ParserGenerator",
        "idlelib.pyshell.ModifiedInterpreter operator.attrgetter operator.methodcaller _operator.methodcaller",
        "types.CodeType types.FunctionType shutil.rmtree tempfile.mktemp multiprocessing.util.spawnv_passfds",
        "multiprocessing.Process concurrent.futures.ProcessPoolExecutor threading.Thread threading.Timer",
        "torch.utils.data.datapipes.datapipe._IterDataPipeSerializationWrapper mailbox.Maildir sympy.core.add.Add",
        "numba.cuda.deviceufunc.DeviceVectorize jinja2.Template",
        "thread.start_new_thread sys.modules sys.settrace antigravity.fly atexit.register",
    )
    for dotted in row.split()
]
"""What scanners of pickles look for, and what they were bypassed with."""
DOTTED = [
    ("torch", "_utils.os.system"),
    ("torch.serialization", "os.system"),
    ("shutil", "os.system"),
    ("collections", "abc.sys.modules"),
    ("torch", "hub.os.popen"),
    ("numpy", "__builtins__"),
    ("torch._utils", "_rebuild_tensor.__globals__"),
    ("collections", "OrderedDict.__subclasses__"),
    ("logging", "getLogger.__globals__"),
]
UNKNOWN = [
    "my.module.build",
    "torch._utils._import_dotted_name",
    "builtins.print",
    "builtins.iter",
    "some.package.Color",
    "numpy.core.multiarray.fromstring",
    "transformers.AutoModel.from_pretrained",
    "_functools.reduce",
]
ANY = Global("my.pkg", "thing")


def name(module: str, inner: str) -> bytes:
    """STACK_GLOBAL, which takes names with dots, too."""
    texts = (text.encode() for text in (module, inner))
    return b"".join(b"\x8c" + bytes([len(text)]) + text for text in texts) + b"\x93"


def named(dotted: str) -> bytes:
    module, _, inner = dotted.rpartition(".")
    return name(module, inner)


def warned(payload: bytes) -> list[Problem]:
    """What is said of a pickle that makes `payload`."""
    return list(dangers("x.pt", read_pickle(b"\x80\x04" + payload + b".").names))


def codes(payload: bytes) -> list[str]:
    return [problem.code for problem in warned(payload)]


def in_file(path: Path, content: bytes) -> list[str]:
    path.write_bytes(content)
    return [problem.code for problem in read_checkpoint(path).warnings if problem.code.startswith("torch.")]


def save_directory(state: dict[str, Any], path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that there are no other processes
        dcp.save(state, checkpoint_id=path, no_dist=True)


class Calls:
    """Calls `function` when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.made_by = function, arguments

    def __reduce__(self) -> Any:
        return self.made_by


class Config:
    """A user's own class, which pickle makes anew and gives its attributes."""

    def __init__(self) -> None:
        self.width = 3


class Color(enum.Enum):
    RED = 1


OF_PYTHON_3 = {
    "__builtin__": "builtins", "commands": "subprocess", "urllib2": "urllib.request", "httplib": "http.client",
    "cPickle": "pickle", "thread": "_thread",
}  # fmt: skip


def renamed(dotted: str) -> str:
    """The name that Python 3 has for what is called `dotted`."""
    module, _, name = dotted.rpartition(".")
    return f"{OF_PYTHON_3.get(module, module)}.{name}"


class TestWhatRunsCode:
    @pytest.mark.parametrize("dotted", RUN_CODE)
    def test_is_warned_of_if_it_is_called(self, dotted: str):
        (problem,) = warned(named(dotted) + b")R")
        assert problem.code == "torch.runs_code"
        assert problem.message == (
            f"x.pt: its pickle can run any command or code: torch.load(weights_only=False) may call {renamed(dotted)}"
        )
        assert problem.hint == "initctl ran nothing; load the file only if you trust its source"

    @pytest.mark.parametrize("dotted", RUN_CODE[::7])
    def test_is_warned_of_if_it_is_only_named(self, dotted: str):
        assert codes(named(dotted)) == ["torch.runs_code"]

    @pytest.mark.parametrize("pair", DOTTED, ids=".".join)
    def test_is_found_behind_dots(self, pair: tuple[str, str]):
        assert codes(name(*pair) + b")R") == ["torch.runs_code"]

    def test_is_found_inside_a_partial(self):
        assert "torch.runs_code" in codes(named("functools.partial") + named("os.system") + b"\x85R")

    @pytest.mark.parametrize("write", [saved, legacy])
    def test_is_found_in_a_file(self, tmp_path: Path, write: Any):
        bomb = Calls(eval, "1")
        assert in_file(tmp_path / "m.pt", write({"w": torch.zeros(2), "x": bomb})) == ["torch.runs_code"]

    def test_is_found_in_the_pickles_before_the_object_s(self, tmp_path: Path):
        content = legacy({"w": torch.zeros(2)})
        protocol = content[:2]
        assert in_file(tmp_path / "m.pt", content) == []
        bomb = protocol + b"cos\nsystem\nX\4\0\0\0true\x85R0" + content[2:]
        assert in_file(tmp_path / "m.pt", bomb) == ["torch.runs_code"]

    def test_is_found_in_the_metadata_of_a_directory(self, tmp_path: Path):
        save_directory({"w": torch.zeros(2)}, tmp_path / "d")
        assert read_checkpoint(tmp_path / "d").warnings == ()
        described = tmp_path / "d" / ".metadata"
        metadata = pickle.loads(described.read_bytes())
        metadata.storage_meta = Calls(print, "x")
        described.write_bytes(pickle.dumps(metadata))
        (problem,) = read_checkpoint(tmp_path / "d").warnings
        assert "torch.distributed.checkpoint may call builtins.print" in problem.message


class TestWhatNobodyKnows:
    @pytest.mark.parametrize("dotted", UNKNOWN)
    @pytest.mark.parametrize("call", [b")R", b"\x85R", b"N\x85R"], ids=["none", "nested", "argument"])
    def test_is_named_in_a_warning_if_it_is_called(self, dotted: str, call: bytes):
        (problem,) = warned(named(dotted) + (b")" if call == b"\x85R" else b"") + (b"R" if call == b"\x85R" else call))
        assert problem.code == "torch.unknown_calls"
        assert problem.message == (
            f"x.pt: torch.load(weights_only=False) may call {dotted}, which initctl does not know"
        )
        assert problem.hint == "initctl ran nothing; load the file only if you know what this code does"

    @pytest.mark.parametrize(
        "payload",
        [b"(X\1\0\0\0aimy.pkg\nthing\n", b"(cmy.pkg\nthing\nX\1\0\0\0ao"],
        ids=["INST", "OBJ"],
    )
    def test_is_named_however_it_is_called(self, payload: bytes):
        assert codes(payload) == ["torch.unknown_calls"]

    @pytest.mark.parametrize(
        "payload",
        [
            named("torch._tensor._rebuild_from_type_v2")
            + b"("
            + named("my.pkg.thing")
            + named("torch.Tensor")
            + b")}tR",
            named("copyreg._reconstructor") + named("my.pkg.A") + named("my.pkg.thing") + b"N\x87R",
            named("numpy.random._pickle.__generator_ctor") + b"X\1\0\0\0a" + named("my.pkg.thing") + b"\x86R",
            named("numpy.random._pickle.__bit_generator_ctor") + named("my.pkg.thing") + b"\x85R",
        ],
    )
    def test_is_named_if_something_known_calls_it(self, payload: bytes):
        (problem,) = warned(payload)
        assert "may call my.pkg.thing, which" in problem.message

    def test_a_value_that_is_handed_on_to_be_called_and_is_not_a_function_has_no_name(self):
        rebuild = named("torch._tensor._rebuild_from_type_v2")
        (problem,) = warned(rebuild + b"(X\1\0\0\0a" + named("torch.Tensor") + b")}tR0" + named("my.pkg.thing") + b")R")
        assert "may call my.pkg.thing, which" in problem.message
        assert warned(rebuild + b"(X\1\0\0\0a" + named("torch.Tensor") + b")}tR") == []

    def test_is_named_if_it_is_handed_on_twice(self):
        rebuild = named("torch._tensor._rebuild_from_type_v2")
        inner = b"(" + named("my.pkg.thing") + named("torch.Tensor") + b")}t"
        payload = rebuild + b"(" + rebuild + named("torch.Tensor") + inner + b"}tR"
        assert "my.pkg.thing" in warned(payload)[0].message

    @pytest.mark.parametrize(
        "payload",
        [
            named("functools.partial") + named("my.pkg.thing") + b"\x85R)R",
            named("operator.getitem") + b"}X\1\0\0\0a\x86RN\x85R",
            named("builtins.type") + b"X\1\0\0\0a)}\x87R)\x81",
            named("my.pkg.Callable") + b")\x81)R",
        ],
        ids=["partial", "getitem", "a class made there", "an object of an own class"],
    )
    def test_what_something_returns_is_named_if_it_is_called(self, payload: bytes):
        (problem,) = warned(payload)
        assert problem.code == "torch.unknown_calls"
        assert re.search(r"may call the result of [\w.]+", problem.message)

    @pytest.mark.parametrize(
        "payload",
        [
            named("my.pkg.A") + b")\x81}X\x0c\0\0\0__setstate__" + named("my.pkg.thing") + b"sbNb",
            named("my.pkg.A") + b")\x81}X\6\0\0\0append" + named("my.pkg.thing") + b"sbNa",
            named("my.pkg.A") + b")\x81}X\3\0\0\0add" + named("my.pkg.thing") + b"sb(N\x90",
        ],
        ids=["attributes twice", "an item after attributes", "items after attributes"],
    )
    def test_a_function_that_is_set_as_a_method_is_named(self, payload: bytes):
        assert "my.pkg.thing" in warned(payload)[0].message

    def test_many_are_listed_and_counted(self):
        (problem,) = warned(b"".join(named(f"my.pkg.f{number}") + b")R0" for number in range(13)) + b"N")
        assert problem.message.count("my.pkg.f") == 10
        assert " and 3 more, which initctl does not know" in problem.message

    def test_an_enum_of_one_s_own_is_called_by_its_value(self, tmp_path: Path):
        content = saved({"w": torch.zeros(2), "color": Color.RED})
        (tmp_path / "m.pt").write_bytes(content)
        (problem,) = read_checkpoint(tmp_path / "m.pt").warnings
        assert f"may call {__name__}.Color, which initctl does not know" in problem.message

    def test_it_is_read_and_warned_of_in_a_file(self, tmp_path: Path):
        content = with_pickle(REAL, b"\x80\x04}X\1\0\0\0x" + named("my.pkg.thing") + b")Rs.")
        assert in_file(tmp_path / "m.pt", content) == ["torch.unknown_calls"]


class TestWhatCheckpointsCall:
    """No warning: people would learn to look away."""

    def objects(self) -> Iterator[Any]:
        yield {"config": Config(), "nested": [Config(), {"a": Config()}]}
        yield argparse.Namespace(lr=0.1, path=pathlib.Path("a/b"), when=dt.datetime.now(dt.UTC))
        yield collections.OrderedDict(a=1), collections.defaultdict(list, a=[1]), collections.Counter("aab")
        yield (
            collections.deque([1]),
            decimal.Decimal("1.5"),
            uuid.uuid4(),
            {1, 2},
            frozenset({3}),
            1j,
            b"bytes",
            range(3),
        )
        yield re.compile("a"), typing.Optional[int], list[int], types.SimpleNamespace(a=1), logging.getLogger("x")  # noqa: UP045
        yield functools.partial(nn.init.normal_, std=0.02), random.getstate(), random.Random(0), ValueError("x")
        yield np.zeros(3), np.float32(3), np.dtype("f4"), np.random.default_rng(0), np.bool_(1)
        yield np.random.RandomState(0), np.random.RandomState(0).get_state(), np.array([None]), np.ma.zeros(2)
        yield torch.Size([1]), torch.device("cpu"), torch.float16, torch.per_tensor_affine, int, nn.Linear
        yield torch.zeros(2, 2).to_sparse(), torch.zeros(2, device="meta")
        yield nn.Parameter(torch.zeros(2)), nn.ParameterList([torch.zeros(2)]), nn.Parameter(torch.zeros(2)).data
        yield torch.get_rng_state(), torch.tensor(1 + 1j), torch.zeros(2, dtype=torch.float8_e4m3fn)

    def test_what_configurations_and_states_hold_is_known(self, tmp_path: Path):
        for value in self.objects():
            for write in (saved, legacy):
                assert in_file(tmp_path / "m.pt", write({"w": torch.zeros(2), "x": value})) == [], value

    @pytest.mark.parametrize("write", [saved, legacy])
    def test_modules_and_optimizers_saved_whole_are_known(self, tmp_path: Path, write: Any):
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.TransformerEncoderLayer(16, 2), nn.LSTM(3, 4))
        optimizer = torch.optim.AdamW(model.parameters())
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
        content = {"model": model, "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
        assert in_file(tmp_path / "m.pt", write(content)) == []
        assert in_file(tmp_path / "m.pt", write({"w": torch.zeros(2), "optimizer": optimizer})) == []

    def test_transformers_models_and_arguments_are_known(self, tmp_path: Path):
        from transformers import BertConfig, BertModel
        from transformers.trainer_utils import HubStrategy, IntervalStrategy, SchedulerType
        from transformers.training_args import OptimizerNames

        sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
        model = BertModel(BertConfig(**sizes, vocab_size=20))
        enums = [SchedulerType("cosine"), IntervalStrategy("steps"), HubStrategy("end"), OptimizerNames("adafactor")]
        assert in_file(tmp_path / "m.pt", saved({"model": model, "args": enums})) == []

    def test_a_directory_of_torch_distributed_is_known(self, tmp_path: Path):
        state = {"model": {"w": torch.zeros(2, 3)}, "step": 3, "config": Config()}
        save_directory(state, tmp_path / "d")
        assert read_checkpoint(tmp_path / "d").warnings == ()

    def test_all_that_torch_allows_with_weights_only_is_known(self):
        from torch._weights_only_unpickler import _get_allowed_globals

        called = {name for name in _get_allowed_globals() if "." in name} - VALUES
        assert {name for name in called if tuple(name.rsplit(".", 1)) not in KNOWN} == set()

    def test_a_class_of_one_s_own_with_a_danger_s_last_name_is_no_danger(self):
        for module, inner in (
            ("my.os", "system"),
            ("code.model", "Net"),
            ("trace_net.os", "Model"),
            ("pickles", "loads"),
        ):
            assert not runs_code(Global(module, inner))


VALUES = {f"torch.{name}" for name, value in vars(torch).items() if isinstance(value, (torch.dtype, torch.qscheme))}
"""Named, and not called."""


def test_nothing_that_is_known_runs_code():
    assert [pair for pair in KNOWN if runs_code(Global(*pair))] == []
    assert HANDING_ON.keys() <= KNOWN


def test_names_are_resolved_as_the_pickle_module_does():
    for old in (b"__builtin__\nset", b"copy_reg\n_reconstructor", b"itertools\nimap", b"collections\nUserDict"):
        module, inner = resolved(Global(*old.decode().split("\n")))
        found = pickle.loads(b"\x80\x02c" + old + b"\n.")
        assert found.__name__ == inner
        assert getattr(__import__(module, fromlist=[inner]), inner) is found


def test_what_is_called_here_is_called_by_pickle_too():
    """Every payload is a pickle: pickletools understands it."""
    for payload in (named("my.pkg.thing") + b")R", name(*DOTTED[0]) + b")R"):
        pickletools.dis(b"\x80\x04" + payload + b".", out=io.StringIO())
    with pytest.raises(TypeError, match=r"not callable|takes"):
        pickle.loads(b"\x80\x04" + named("functools.partial") + named("builtins.len") + b"\x85R)R.")

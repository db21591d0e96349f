"""A pickle is followed to the same data that the pickle module comes to, and nothing that it names is touched."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import struct
import subprocess
import sys
import warnings
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
from hypothesis import example, given, settings
from hypothesis import strategies as st

from initctl.formats import read_checkpoint
from initctl.formats.opening import Malformed
from initctl.formats.torch_save import pickle as machine
from initctl.formats.torch_save.pickle import read_pickle
from initctl.formats.torch_save.standins import DICT, FROZENSET, SET, Global, Made, StorageRef
from initctl.formats.torch_save.tensor_arguments import tensor_arguments
from tests.broken.torch_faults import OLD, REAL
from tests.formats.edits import Edit, edited, edits
from tests.formats.torch_save.rewritten import pickle_of, saved, with_pickle

if TYPE_CHECKING:
    from pathlib import Path


def test_every_instruction_that_there_is_is_followed():
    assert machine._MAKING.keys() | machine._MAKING_NOTHING.keys() | {"STOP"} == {
        opcode.name for opcode in pickletools.opcodes
    }


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple)
    | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip
sets = st.sets(st.integers() | st.text(max_size=3), max_size=5)


def data_of(value: Any) -> Any:
    """The data that stand-ins stand for."""
    if isinstance(value, list):
        return [data_of(item) for item in value]
    if isinstance(value, tuple):
        return tuple(data_of(item) for item in value)
    if not isinstance(value, Made):
        return value
    arguments = data_of(value.arguments)
    match value.called:
        case Global("builtins" | "__builtin__", ("set" | "frozenset") as name):
            items = data_of(value.items or []) or (arguments[0] if arguments else [])
            return (set if name == "set" else frozenset)(items)
        case Global("builtins", "dict"):
            assert not arguments
            return {data_of(key): data_of(held) for key, held in value.pairs or []}
        case Global("_codecs", "encode"):  # bytes, before protocol 3
            return arguments[0].encode(arguments[1])
        case Global("builtins" | "__builtin__", "bytes" | "bytearray" as name):
            text = arguments[0].encode(arguments[1]) if len(arguments) == 2 else (arguments or (b"",))[0]
            return bytearray(text) if name == "bytearray" else text
    raise AssertionError(value.called)


@settings(deadline=None, max_examples=300)
@given(plain | sets | sets.map(frozenset) | st.binary().map(bytearray), st.integers(0, 5))
@example(b"", 2)
@example(10**1000, 0)
@example({"a": [()], "b": {}}, 1)
def test_plain_data_come_to_the_same_as_in_the_pickle_module(value: Any, protocol: int):
    data = pickle.dumps(value, protocol)
    read = read_pickle(b"before" + data + b"after", len(b"before"))
    assert read.stop == len(b"before") + len(data)
    found = data_of(read.value)
    assert found == value
    assert type(found) is type(value)


def test_what_appears_twice_is_one_and_the_same():
    shared: list[Any] = []
    first, second, own = read_pickle(pickle.dumps([shared, shared, []])).value
    assert first is second
    assert first is not own


def test_stand_ins_hold_what_a_call_would_get_in_order():
    called = Global("m", "f")
    read = read_pickle(b"cm\nf\nK\1\x85RNK\2sK\1K\3sK\5aX\1\0\0\0sb.")
    assert isinstance(read.value, Made)
    assert (read.value.called, read.value.arguments, read.value.state) == (called, (1,), "s")
    assert (read.value.pairs, read.value.items) == ([(None, 2), (1, 3)], [5])
    assert read.names.named == {called}


@pytest.mark.parametrize(
    ("data", "kind"), [(b"\x8f(K\1\x90.", SET), (b"(K\1\x91.", FROZENSET), (b"}.", DICT), (b"(d.", DICT)]
)
def test_sets_and_dicts_are_made_by_their_classes(data: bytes, kind: Global):
    assert read_pickle(data).value.called == kind


def spelled(value: Any, above: tuple[int, ...] = ()) -> Any:
    """All that a stand-in holds, as plain data; what it is in itself is only its depth."""
    if id(value) in above:
        return above.index(id(value))
    if isinstance(value, Made):
        parts = [value.called, value.arguments, value.pairs, value.items, value.state, value.is_shared]
    elif isinstance(value, StorageRef):
        parts = [value.id]
    elif isinstance(value, (list, tuple)):
        parts = list(value)
    else:
        return repr(value) if isinstance(value, float) else value
    return [type(value), *(spelled(part, (*above, id(value))) for part in parts)]


SHAPES = [(2, 3), (4,), (1, 2, 3), (2, 1, 2, 1, 3), (), (0, 7), (300, 1)]
TENSORS = pickle_of(saved({f"t{number}": torch.zeros(shape) for number, shape in enumerate(SHAPES * 9)}))


def outcome(data: bytes) -> Any:
    """What comes of reading a pickle."""
    try:
        read = read_pickle(data)
    except Malformed as fact:
        return str(fact)
    counts = len(read.storages), len(read.discarded), sorted(map(str, read.names.called))
    return [spelled(read.value), read.stop, counts]


def step_by_step(data: bytes) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "tensor_arguments", lambda *_: None)
        return outcome(data)


def test_tensors_are_the_same_in_one_step_as_step_by_step(monkeypatch: pytest.MonkeyPatch):
    taken = []

    def noted(*given: Any) -> Any:
        found = tensor_arguments(*given)
        taken.append(found is not None)
        return found

    monkeypatch.setattr(machine, "tensor_arguments", noted)
    assert outcome(TENSORS) == step_by_step(TENSORS)
    assert sum(taken) > len(SHAPES) * 7


@settings(deadline=None, max_examples=300)
@given(edits)
def test_whatever_is_changed_in_a_tensor_is_the_same_in_one_step_as_step_by_step(edits: list[Edit]):
    data = edited(TENSORS, edits)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        assert outcome(data) == step_by_step(data)


def test_a_tensor_counts_the_same_in_one_step_as_step_by_step():
    def least(data: bytes) -> int:
        low, high = 0, 10_000
        while low < high:
            middle = (low + high) // 2
            try:
                read_pickle(data, at_most=middle)
            except Malformed:
                low = middle + 1
            else:
                high = middle
        return low

    found = least(TENSORS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "tensor_arguments", lambda *_: None)
        assert least(TENSORS) == found


def test_ids_are_kept_for_whoever_knows_them():
    read = read_pickle(b"(K\1QPtwo\nt.")
    assert [type(value) for value in read.value] == [StorageRef, StorageRef]
    assert [held.id for held in read.storages] == [1, "two"]


def test_a_pickle_of_too_many_instructions_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "MOST_INSTRUCTIONS", 5)
    assert read_pickle(b"N0NN.").value is None
    with pytest.raises(Malformed, match="has more than 5 instructions"):
        read_pickle(b"N0N0N.")


@settings(deadline=None, max_examples=1000)
@given(st.binary(max_size=40) | st.lists(st.sampled_from([op.code.encode("latin-1") for op in pickletools.opcodes])
       | st.binary(max_size=2), max_size=30).map(b"".join))  # fmt: skip
def test_whatever_the_bytes_nothing_but_malformed_is_raised(data: bytes):
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of escapes in texts of protocol 0
        try:
            read_pickle(data)
        except Malformed as fact:
            message = str(fact)
        else:
            message = ""
    assert message.isprintable()


SYSTEM = b"cos\nsystem\n"
COMMAND = b"X\x0e\0\0\0touch executed"
EVERYWHERE = {
    "REDUCE": SYSTEM + COMMAND + b"\x85R",
    "INST": b"(" + COMMAND + b"ios\nsystem\n",
    "OBJ": b"(" + SYSTEM + COMMAND + b"o",
    "NEWOBJ": SYSTEM + COMMAND + b"\x85\x81",
    "NEWOBJ_EX": SYSTEM + COMMAND + b"\x85}\x92",
    "STACK_GLOBAL": b"\x8c\2os\x8c\6system\x93" + COMMAND + b"\x85R",
    "BUILD": b"cbuiltins\nobject\n)R}(X\x0c\0\0\0__setstate__" + SYSTEM + b"ub" + COMMAND + b"b",
    "EXT1": b"\x82\xf0" + COMMAND + b"\x85R",
    "EXT2": b"\x83\xf0\xf0" + COMMAND + b"\x85R",
    "EXT4": b"\x84\xf0\xf0\xf0\x70" + COMMAND + b"\x85R",
    "BINPERSID": SYSTEM + COMMAND + b"\x85RQ",
    "key": b"}" + SYSTEM + COMMAND + b"\x85RNs",
    "nested getattr": b"cbuiltins\ngetattr\ncos\n__dict__\nX\3\0\0\0get\x86RX\6\0\0\0system\x85R" + COMMAND + b"\x85R",
    "module import": b"cantigravity\nfly\n)R",
}
GUARDED = """
import os, sys, runpy
import initctl.arguments  # for the text of an error
from initctl.errors import InputError
from initctl.formats import read_checkpoint
for path in sys.argv[1:4]:  # imports what reading takes
    read_checkpoint(path)
def hook(event, arguments):
    if event.partition(".")[0] in ("import", "subprocess", "exec", "compile", "pickle") or event in (
        "os.system", "os.exec", "os.posix_spawn", "os.fork"
    ):
        print("AUDIT", event, arguments[:1])
sys.addaudithook(hook)
for path in sys.argv[4:]:
    try:
        print("read", len(read_checkpoint(path).tensors))
    except InputError as error:
        print("refused", error)
"""


def with_payload(number: int, payload: bytes) -> bytes:
    """A file in the older format, which is five pickles and the storages, with one of the pickles replaced."""
    stream = io.BytesIO(OLD)
    pickles = []
    for _ in range(5):
        start = stream.tell()
        deque(pickletools.genops(stream), maxlen=0)
        pickles.append(OLD[start : stream.tell()])
    pickles[number] = payload
    return b"".join([*pickles, stream.read()])


def test_nothing_that_a_pickle_names_is_imported_or_called(tmp_path: Path):
    paths = []
    for name, payload in EVERYWHERE.items():
        for put, content in (
            ("alone", payload),
            ("inside", b"}X\1\0\0\0x" + payload + b"s"),
            ("as tensor", b"}X\1\0\0\0xctorch._utils\n_rebuild_tensor_v2\n" + payload + b"\x85Rs"),
            ("as storage", b"}X\1\0\0\0xctorch._utils\n_rebuild_tensor_v2\n(" + payload + b"QK\0))tRs"),
        ):
            bad = b"\x80\x04" + content + b"."
            files = {"zip.pt": with_pickle(REAL, bad), "raw.pkl": bad, "parts/.metadata": bad}
            files |= {f"old-{at}.pt": with_payload(at, bad) for at in range(5)}
            for file, content in files.items():
                path = tmp_path / f"{name} {put}" / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                paths.append(os.fspath(path.parent if path.name == ".metadata" else path))
    (tmp_path / "plain.pt").write_bytes(REAL)
    (tmp_path / "old.pt").write_bytes(OLD)
    with warnings.catch_warnings(action="ignore"):  # that there is only one process
        dcp.save({"w": torch.ones(2)}, checkpoint_id=tmp_path / "dcp", no_dist=True)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    ran = subprocess.run(
        [sys.executable, "-c", GUARDED, "plain.pt", "old.pt", "dcp", *paths],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = ran.stdout.splitlines()
    assert [line for line in lines if line.startswith("AUDIT")] == []
    assert len(lines) == len(paths)
    assert any(".metadata: " in line for line in lines)
    assert not (tmp_path / "executed").exists()


def test_the_payloads_would_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The same bytes, given to the pickle module: the test above tests something."""
    monkeypatch.chdir(tmp_path)
    for name in ("REDUCE", "INST", "OBJ", "STACK_GLOBAL", "key"):
        pickle.loads(b"\x80\x04" + EVERYWHERE[name] + b".")
        assert (tmp_path / "executed").exists()
        (tmp_path / "executed").unlink()


@pytest.mark.parametrize("name", ["REDUCE", "STACK_GLOBAL", "INST"])
def test_a_pickle_that_would_run_something_is_read_with_a_warning(name: str, tmp_path: Path):
    path = tmp_path / "m.pt"
    path.write_bytes(with_pickle(REAL, b"\x80\x04}X\1\0\0\0x" + EVERYWHERE[name] + b"s."))
    (warning,) = read_checkpoint(path).warnings
    assert warning.code == "torch.runs_code"
    assert "os.system" in warning.message


def test_a_number_of_the_memo_costs_nothing():
    assert read_pickle(b"Nr" + struct.pack("<I", 2**32 - 1) + b"0j" + struct.pack("<I", 2**32 - 1) + b".").value is None


def test_names_and_old_texts_may_hold_backslashes():
    value = read_pickle(b"\x80\x02ctorch\n\\ong\nS'a\\o'\n\x86.").value
    assert value == (Global("torch", "\\ong"), "a\\o")
    assert read_pickle(b"P\\o\n.").value.id == "\\o"


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        (b"I5", "a number does not end with a newline"),
        (b"VA", "a text does not end with a newline"),
        (b"cos\nsystem", "a name does not end with a newline"),
        (b"cos", "a name does not end with a newline"),
        (b"S'a'", "no newline found"),
        (b"L5L", "no newline found"),
        (b"F1.5", "no newline found"),
        (b"X\5\0\0\0text", "a text is longer than the pickle"),
        (b"\x8c\5text", "a text is longer than the pickle"),
        (b"\x8d\0\0\0\0\0\0\0\1text", "a text is longer than the pickle"),
    ],
)
def test_what_the_end_of_the_file_cuts_off_is_named(content: bytes, missing: str):
    with pytest.raises(Malformed, match=missing):
        read_pickle(content)


@pytest.mark.parametrize("content", [b"\x85.", b"N\x86.", b"NN\x87.", b"(N\x86."])
def test_a_tuple_of_more_values_than_there_are_is_refused(content: bytes):
    with pytest.raises(Malformed):
        read_pickle(content)

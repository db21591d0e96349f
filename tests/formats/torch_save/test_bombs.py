"""No file below 100 MB costs much, whatever it holds; and a large one that is honest is read."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import pytest
import torch

from initctl.formats.torch_save.looks import MOST_LOOKS
from tests.broken.torch_faults import OLD, REAL, RECORDS
from tests.broken.torch_oddities import TENSOR
from tests.formats.limited import read
from tests.formats.torch_save.rewritten import Record, packed, with_pickle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def put(number: int) -> bytes:
    return b"r" + struct.pack("<I", _FREE + number)


def get(number: int) -> bytes:
    return b"j" + struct.pack("<I", _FREE + number)


_FREE = 100
"""`TENSOR` keeps its own parts under smaller numbers."""


def lists_in_each_other(part: int, count: int = 14) -> bytes:
    """Lists that each hold all others, and the root, which holds a tensor: 14! ways lead around, one to a tensor."""
    root = b"}" + put(999) + b"(X\1\0\0\0t" + TENSOR
    root += b"".join(b"X\1\0\0\0" + bytes([97 + i]) + b"]" + put(1000 + i) for i in range(count)) + b"u"
    for i in range(count):
        root += get(1000 + i) + b"(" + b"".join(get(1000 + k) for k in range(count) if k != i) + get(999) + b"e0"
    return root


def laughs_with_a_tensor(part: int) -> bytes:
    """2^30 ways lead to one tensor."""
    body = TENSOR + put(1000) + b"0"
    for i in range(30):
        body += b"]" + put(1001 + i) + b"(" + get(1000 + i) * 2 + b"e0"
    return body + get(1030)


def one_long_key_400_times(part: int) -> bytes:
    """Names that come to 8 GB, all of one key of 100 kB."""
    key = b"X" + struct.pack("<I", 100_000) + b"k" * 100_000 + put(500) + b"0"
    level = b"}(X\1\0\0\0t" + get(501) + get(500)
    return key + TENSOR + put(501) + b"0" + level * 400 + b"N" + b"u" * 400


def tensors_far_below(part: int) -> bytes:
    """20,000 tensors below 20,000 lists: names that come to 800 MB."""
    body = TENSOR + put(501) + b"0"
    return body + b"]" * 20_000 + b"(" + get(501) * 20_000 + b"e" + b"a" * 19_999


def one_wide_list_1000_times(part: int) -> bytes:
    """A list of a million things and a tensor, 1000 times in another: few ways, and much to pass by on each."""
    wide = b"]" + put(1) + b"(" + b"N" * (1_000_000 // part) + TENSOR + b"e0"
    return wide + b"](" + get(1) * 1000 + b"e"


MANY, MORE = 300_000, 1_000_000
SKIP = b"0"


def text(content: str) -> bytes:
    encoded = content.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def beside(*body: bytes) -> bytes:
    """A dict of a tensor and something else."""
    return b"}(" + text("w") + TENSOR + text("x") + b"".join(body) + b"u"


def kept(number: int, *body: bytes) -> bytes:
    """What is made and stays in the memo alone."""
    return b"".join(body) + put(number) + SKIP


def wide_dict(part: int, *, texts: bool) -> bytes:
    return b"}(" + b"".join((text(f"k{i}") if texts else number(i)) + b"N" for i in range(MORE // part)) + b"u"


def times(count: int, *body: bytes) -> bytes:
    return b"](" + b"".join(body) * count + b"e"


def arguments_of_300000_calls(part: int) -> bytes:
    return (
        kept(1, b"(" + b"N" * (MORE // part) + b"t")
        + kept(2, named("a", "b"))
        + beside(times(MANY // part, get(2), get(1), b"R"))
    )


def state_of_150000_objects(part: int) -> bytes:
    made = kept(1, wide_dict(part, texts=False)) + kept(2, named("a", "b"))
    return made + beside(times(MANY // 2 // part, get(2), b")R", get(1), b"b"))


def parts_of_100000_sparse_tensors(part: int) -> bytes:
    made = kept(1, b"(" + b"N" * (MORE // part) + b"t") + kept(2, named("torch._utils", "_rebuild_sparse_tensor"))
    return made + beside(times(MANY // 3 // part, get(2), b"N", get(1), b"\x86R"))


def metadata_of_50000_tensors(part: int) -> bytes:
    strided, arguments = TENSOR.split(b"(", 1)
    made = kept(1, wide_dict(part, texts=True)) + kept(2, strided)
    return made + beside(times(50_000 // part, get(2), b"(", arguments[: arguments.rindex(b"t")], get(1), b"tR"))


def wrappers_of_300000_tensors(part: int) -> bytes:
    wrapper, nested = named("torch._utils", "_rebuild_parameter"), named("torch._utils", "_rebuild_nested_tensor")
    chain = get(1) * (MANY // part) + b"N" + b"\x89N\x87R" * (MANY // part)
    made = kept(1, wrapper) + kept(2, chain) + kept(3, b"(" + get(2) * 10 + b"t") + kept(4, nested)
    return made + beside(times(199_000 // part, get(4), get(3), b"R"))


def ids_of_200000_storages(part: int) -> bytes:
    made = kept(1, b"(" + text("storage") + b"N" * (MORE // part) + b"t") + kept(2, TENSOR.split(b"(", 1)[0])
    return made + beside(times(200_000 // part, get(2), b"(", get(1), b"QNNNtR"))


def optimizer(state: bytes, groups: bytes) -> bytes:
    return b"}(" + text("state") + state + text("param_groups") + groups + b"u"


def state_of_300000_parameters(part: int) -> bytes:
    one = kept(1, wide_dict(part, texts=True))
    return one + beside(optimizer(b"}(" + b"".join(number(i) + get(1) for i in range(MANY // part)) + b"u", b"]"))


def one_group_300000_times(part: int) -> bytes:
    options = b"".join(text(f"k{i}") + b"N" for i in range(MORE // part))
    group = kept(1, b"}(" + text("params") + b"]" + options + b"u")
    return group + beside(optimizer(b"}", times(MANY // part, get(1))))


def parameters_of_300000_groups(part: int) -> bytes:
    parameters = kept(1, b"](" + b"".join(map(number, range(MORE // part))) + b"e")
    return parameters + beside(optimizer(b"}", times(MANY // part, b"}", text("params"), get(1), b"s")))


def old_dict_at_300000_keys(part: int) -> bytes:
    old = kept(1, named("collections", "OrderedDict"), times(MORE // part, b"N"), b"\x85R")
    return old + b"}(" + text("w") + TENSOR + b"".join(text(f"k{i}") + get(1) for i in range(MANY // part)) + b"u"


def parts_of_400000_modules(part: int) -> bytes:
    parameters = kept(1, wide_dict(part, texts=True))
    state = b"}(" + text("_parameters") + get(1) + text("_buffers") + b"}" + text("_modules") + b"}u"
    return (
        parameters
        + kept(2, state)
        + kept(3, named("m", "M"))
        + beside(times(400_000 // part, get(3), b")R", get(2), b"b"))
    )


def slots_of_300000_objects(part: int) -> bytes:
    state = kept(1, b"N" + wide_dict(part, texts=True) + b"\x86") + kept(2, named("a", "b"))
    return state + beside(times(MANY // part, get(2), b")R", get(1), b"b"))


def tuples_that_are_keys(part: int) -> bytes:
    return beside(b"}(" + (b"(N" + TENSOR + b"t" + b"N") * (70_000 // part) + b"u")


def keys_of_300000_objects(part: int) -> bytes:
    key = kept(1, b"(" + b"](NNe" * (100_000 // part) + b"t") + kept(2, named("a", "b"))
    return key + beside(times(MANY // part, get(2), b")R}", get(1), b"Nsb"))


def attributes_of_190000_tensors(part: int) -> bytes:
    made = kept(1, TENSOR) + kept(2, wide_dict(part, texts=True)) + kept(3, named("torch._utils", "_rebuild_parameter"))
    return made + beside(times(190_000 // part, get(3), get(1), b"\x89N\x87R", get(2), b"b"))


def attributes_of_300000_modules(part: int) -> bytes:
    parts = b"".join(text(name) + b"}" for name in ("_parameters", "_buffers", "_modules"))
    made = kept(1, b"}(" + parts + text("cache") + wide_dict(part, texts=False) + b"u") + kept(2, named("m", "M"))
    return made + beside(times(MANY // part, get(2), b")R", get(1), b"b"))


def storage_as_a_key_a_million_times(part: int) -> bytes:
    storage = kept(1, b"(" + text("storage") + named("torch", "FloatStorage") + text("0") + text("cpu") + b"K\1tQ")
    return storage + beside(b"}(", (get(1) + b"K\1") * (2_900_000 // part), b"u")


def optimizers_below_long_keys(part: int) -> bytes:
    long, empty = kept(1, text("k" * 1_000_000)), optimizer(b"}" + number(0) + b"Ns", b"](Ne")
    level = b"}(" + get(1)
    return long + beside(level * 2, b"}(", *(text(f"o{i}") + empty for i in range(2000)), b"u" * 3)


def steps_below_long_keys(part: int) -> bytes:
    long = kept(1, text("k" * 1_000_000)) + kept(2, text("step"))
    steps = b"}(" + b"".join(number(i) + b"}(" + get(2) + b"K\5u" for i in range(1000)) + b"u"
    return long + beside((b"}(" + get(1)) * 3, optimizer(steps, b"]"), b"u" * 3)


def long_class_name_at_3000_places(part: int) -> bytes:
    return (
        kept(1, named("m" * 500_000, "n" * 500_000))
        + b"}("
        + text("w")
        + TENSOR
        + b"".join(text(f"k{i}") + get(1) for i in range(3000))
        + b"u"
    )


def discarded_calls(part: int) -> bytes:
    return kept(1, named("a", "b")) + beside(
        b"N", *(get(1) + b"](N" + TENSOR + b"e\x85R0" for _ in range(80_000 // part))
    )


def list_at_a_million_places(part: int) -> bytes:
    return kept(1, b"]", TENSOR, b"a") + beside(times(MORE // part, get(1)))


def three_million_dicts(part: int) -> bytes:
    return beside(times(2_900_000 // part, b"}"))


def two_million_lists(part: int) -> bytes:
    return beside(times(1_450_000 // part, b"(l"))


def lists_a_million_deep(part: int) -> bytes:
    return beside(b"]" * (1_450_000 // part), b"a" * (1_449_999 // part))


def three_million_marks(part: int) -> bytes:
    return b"(" * (2_900_000 // part)


def memo_of_three_million(part: int) -> bytes:
    return beside(b"N", *(put(i) for i in range(2_900_000 // part)))


def dicts_in_the_memo(part: int) -> bytes:
    return beside(b"(", *(b"}" + put(i) for i in range(1_450_000 // part)), b"t")


def million_classes(part: int) -> bytes:
    return beside(b"(", *(named("a", str(i)) for i in range(1_400_000 // part)), b"t")


def million_steps(part: int) -> bytes:
    return kept(1, text("step")) + beside(b"(", (get(1) + b"M\xff\xff") * (1_450_000 // part), b"t")


def million_storages(part: int) -> bytes:
    return beside(b"(", *(text(str(i)) + b"Q" for i in range(1_400_000)), b"t")


def million_words(part: int) -> bytes:
    return b"}(" + text("w") + TENSOR + b"".join(text(f"{i:x}") + number(i) for i in range(1_400_000 // part)) + b"u"


def long_text_with_one_wide_character(part: int) -> bytes:
    return beside(text("a" * 95_000_000 + "\U0001f600"))


def long_line_with_one_wide_character(part: int) -> bytes:
    return beside(b"V" + b"a" * 95_000_000 + b"\\U0001f600\n")


def texts_with_one_wide_character_each(part: int) -> bytes:
    return beside(b"(", text("a" * 24 + "\U0001f600") * 2_900_000, b"t")


def plain_texts(part: int) -> bytes:
    return beside(b"(", text("a" * 28) * (2_900_000 // part), b"t")


def bytes_in_one_array(part: int) -> bytes:
    return beside(b"\x96" + struct.pack("<Q", 95_000_000) + bytes(95_000_000))


def number_of_100_million_digits(part: int) -> bytes:
    return beside(b"\x8b" + struct.pack("<I", 95_000_000) + b"\x7f" * 95_000_000)


def one_tensor_at_198000_places(part: int) -> bytes:
    return kept(1, TENSOR) + beside(times(198_000 // part, get(1)))


def roots_in_each_other(part: int) -> bytes:
    """Under a key that frameworks use, again and again, at last 13,000 tensors."""
    inner = b"}(" + b"".join(number(i) + get(1) for i in range(13_000 // part)) + b"u"
    return kept(1, TENSOR) + kept(2, text("net")) + (b"}(" + get(2)) * 95 + inner + b"u" * 95


READABLE = {
    one_wide_list_1000_times: (1000, 0), parts_of_100000_sparse_tensors: (1, 100_000),
    discarded_calls: (1, 0), tuples_that_are_keys: (1, 0),
    keys_of_300000_objects: (1, 0), attributes_of_190000_tensors: (1, 190_000), memo_of_three_million: (1, 0),
    million_steps: (1, 0), long_text_with_one_wide_character: (1, 0), plain_texts: (1, 0), bytes_in_one_array: (1, 0),
    number_of_100_million_digits: (1, 0), one_tensor_at_198000_places: (1, 198_000), roots_in_each_other: (0, 13_000),
}  # fmt: skip
"""How many tensors each holds: some in any case, and others of which a part holds a part."""
LOOKS = f"needs more than {MOST_LOOKS:,} steps: it has too many parts, or repeats them too often"
WAYS = "has more than 200,000 paths to tensors, paths of more than 100 keys, or too long names"
REFUSED = {
    laughs_with_a_tensor: WAYS,
    one_long_key_400_times: WAYS,
    tensors_far_below: WAYS,
    metadata_of_50000_tensors: "tensor x.0: has more metadata entries than torch ever writes",
    wrappers_of_300000_tensors: "a tensor at x.0: has too many wrappers",
    ids_of_200000_storages: "its pickle names a storage in an unknown way",
    three_million_marks: "its pickle takes a value from an empty stack",
    long_class_name_at_3000_places: "its pickle names a class with more than 1,000 characters",
    million_classes: "its pickle names more than 10,000 classes and functions",
    million_storages: "its pickle names more than 250,000 storages",
    long_line_with_one_wide_character: "its pickle is truncated or invalid: a text does not end with",
    texts_with_one_wide_character_each: "the texts in its pickle need more than 100,000,000 bytes of memory",
} | dict.fromkeys((
    lists_in_each_other, arguments_of_300000_calls, state_of_150000_objects, state_of_300000_parameters,
    one_group_300000_times, parameters_of_300000_groups, old_dict_at_300000_keys, parts_of_400000_modules,
    optimizers_below_long_keys, steps_below_long_keys, slots_of_300000_objects, attributes_of_300000_modules,
    list_at_a_million_places, three_million_dicts, two_million_lists, lists_a_million_deep, dicts_in_the_memo,
    million_words, storage_as_a_key_a_million_times,
), LOOKS)  # fmt: skip


PART = 10
"""What most are divided by, as the limits are, since the costliest take ten seconds at full size."""
WHOLE = (attributes_of_190000_tensors, storage_as_a_key_a_million_times, plain_texts, three_million_dicts)
"""Those that take most time or most memory, of what is read and of what is refused: also at full size, within the
limits as they are.
"""


def check(bomb: Callable[[int], bytes], path: Path, part: int) -> None:
    """Whether what comes of it is what should."""
    path.write_bytes(with_pickle(REAL, b"\x80\x02" + bomb(part) + b"."))
    told = read(path, part)
    if bomb in READABLE:
        always, more = READABLE[bomb]
        assert told == str(always + more // part)
        return
    reason = REFUSED[bomb].replace(f"{MOST_LOOKS:,}", f"{MOST_LOOKS // part:,}")
    assert f"model.pt: {reason}" in told
    assert len(told) < 400


@pytest.mark.parametrize("bomb", READABLE)
def test_an_odd_file_is_read_in_little_time_and_memory(bomb, tmp_path: Path):
    check(bomb, tmp_path / "model.pt", PART)


@pytest.mark.parametrize("bomb", REFUSED)
def test_a_file_that_would_cost_much_is_refused_in_little_time_and_memory(bomb, tmp_path: Path):
    check(bomb, tmp_path / "model.pt", PART)


@pytest.mark.parametrize("bomb", WHOLE)
def test_the_costliest_files_below_100_mb_cost_little_time_and_memory(bomb, tmp_path: Path):
    check(bomb, tmp_path / "model.pt", 1)


@pytest.mark.parametrize(("bomb", "outcome"), [
    (state_of_150000_objects, "it has too many parts, or repeats them too often"),
    (three_million_dicts, "it has too many parts, or repeats them too often"), (plain_texts, "1"),
])  # fmt: skip
def test_a_file_of_the_old_format_costs_little_time_and_memory(bomb, outcome: str, tmp_path: Path):
    path = tmp_path / "model.pt"
    head = OLD[: OLD.index(b"\x80\x02}q\x00X\1\0\0\0w")]
    storages = b"\x80\x02]" + text("0") + b"a." + struct.pack("<Q", 6) + bytes(24)
    with_views = bomb(PART).replace(b"K\6tq\7Q", b"K\6Ntq\7Q")  # of storages, which only the old format has
    path.write_bytes(head + b"\x80\x02" + with_views + b"." + storages)
    assert read(path, PART).endswith(outcome)


def test_what_has_no_name_is_told_in_few_words(tmp_path: Path):
    many = io.BytesIO()
    torch.save({f"t{i}": torch.ones(6) for i in range(300)}, many)
    kind = named("torch", "FloatStorage")
    storages = [b"(" + text("storage") + kind + text(f"{i}") + text("cpu") + b"K\6tQ" for i in range(300)]
    key = b"](" + b"".join(storages) + b"e\x85"
    body = beside((b"}(" + get(1)) * 18, b"}(" + key + b"Nu", b"u" * 18)
    pickle = b"\x80\x02" + kept(1, text("k" * 1_000_000)) + body + b"."
    (tmp_path / "model.pt").write_bytes(with_pickle(many.getvalue(), pickle))
    assert read(tmp_path / "model.pt") == "1"


def test_names_that_a_distributed_checkpoint_lists_cost_little_time_and_memory(tmp_path: Path):
    shared = kept(1, wide_dict(PART, texts=True)) + kept(2, named("m", "Info"))
    infos = b"}(" + (get(2) + b")R" + get(1) + b"b" + get(2) + b")R" + get(1) + b"b") * (MANY // 2 // PART) + b"u"
    fields = b"}(" + text("state_dict_metadata") + b"}" + text("storage_data") + infos + b"u"
    (tmp_path / ".metadata").write_bytes(b"\x80\x02" + shared + named("m", "Metadata") + b")R" + fields + b"b.")
    assert LOOKS.replace(f"{MOST_LOOKS:,}", f"{MOST_LOOKS // PART:,}") in read(tmp_path, PART)


def test_a_million_records_cost_little_time_and_memory(tmp_path: Path):
    path = tmp_path / "model.pt"
    path.write_bytes(packed([*RECORDS.values(), *(Record(f"archive/{i}", b"") for i in range(MANY))], zip64_end=True))
    assert "has more than 251,000 records" in read(path)


def test_a_hundred_thousand_tensors_with_an_optimizer_are_read(tmp_path: Path):
    parameters = {f"model.layers.{i}.mlp.weight": torch.zeros(1) for i in range(25_000)}
    state = {i: {kind: torch.zeros(1) for kind in ("step", "exp_avg", "exp_avg_sq")} for i in range(25_000)}
    optimizer = {"state": state, "param_groups": [{"lr": 0.1, "params": list(range(25_000))}]}
    torch.save({"model": parameters, "optimizer": optimizer}, tmp_path / "model.pt")
    assert read(tmp_path / "model.pt") == "100000"


def test_a_long_list_that_many_objects_share_is_looked_at_once(tmp_path: Path):
    words = [f"word{i}" for i in range(50_000)]
    torch.save({"w": torch.ones(2), "datasets": [{"words": words} for _ in range(1000)]}, tmp_path / "model.pt")
    assert read(tmp_path / "model.pt") == "1"

"""A new checkpoint after another one has its table, its layout and its other files, and none of its weights."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
import torch.distributed.checkpoint as dcp
import transformers
from safetensors.torch import load_file, save_file

import initctl
from initctl.errors import ConflictError, FitError, InitctlError, UsageError
from initctl.events import Progress
from tests.presets.fresh import quiet

if TYPE_CHECKING:
    from collections.abc import Callable

RULES = ["*=normal:std=0.02"]


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {"fc1.weight": torch.randn(4, 3), "fc1.bias": torch.randn(4), "fc2.weight": torch.randn(2, 4)}


@pytest.fixture
def gpt2(tmp_path: Path) -> Path:
    """A sharded GPT-2 with other files, and with a copy of its weights in another format."""
    config = transformers.GPT2Config(vocab_size=50, n_positions=8, n_embd=16, n_layer=2, n_head=2)
    with quiet():
        transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2", max_shard_size="8KB")
    for name in ("tokenizer.json", "tf_model.h5", "onnx/model.onnx", "optimizer.pt"):
        (tmp_path / "gpt2" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "gpt2" / name).write_text("{}")
    return tmp_path / "gpt2"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_directory_keeps_its_shards_headers_and_other_files_but_other_weights_stay_behind(gpt2: Path, tmp_path: Path):
    created = initctl.new(tmp_path / "new", like=gpt2, preset="auto")
    initctl.apply(gpt2, tmp_path / "applied", preset="auto", stale="drop")
    found, applied = files(tmp_path / "new"), files(tmp_path / "applied")
    assert found == {name: data for name, data in applied.items() if name != "optimizer.pt"}
    assert {"tokenizer.json", "config.json", "model.safetensors.index.json"} < found.keys()
    assert sum(name.endswith(".safetensors") for name in found) > 2
    assert created.plan.warnings == ()
    assert set(created.files) == found.keys()
    assert initctl.verify(created.plan, tmp_path / "new")


def test_a_file_keeps_its_header_and_its_permissions(tmp_path: Path):
    save_file(tensors(), tmp_path / "a.safetensors", {"format": "pt", "by": "me"})
    os.chmod(tmp_path / "a.safetensors", 0o640)
    initctl.new(tmp_path / "b.safetensors", like=tmp_path / "a.safetensors", rules=RULES)
    initctl.apply(tmp_path / "a.safetensors", tmp_path / "c.safetensors", rules=RULES)
    assert (tmp_path / "b.safetensors").read_bytes() == (tmp_path / "c.safetensors").read_bytes()
    assert (tmp_path / "b.safetensors").stat().st_mode & 0o777 == 0o640


def _saved(path: Path) -> Path:
    torch.save({"model": tensors(), "optimizer": {"state": {}, "param_groups": []}}, path)
    return path


def _distributed(path: Path) -> Path:
    dcp.save(tensors(), checkpoint_id=str(path), no_dist=True)
    return path


@pytest.mark.parametrize(("name", "write"), [("a.pt", _saved), ("pytorch_model.bin", _saved), ("step-1", _distributed)])
@pytest.mark.parametrize("out", ["new.safetensors", "new"])
@pytest.mark.filterwarnings("ignore:torch.distributed")
def test_a_checkpoint_of_any_format_gives_its_table_in_safetensors(
    tmp_path: Path, name: str, write: Callable[[Path], Path], out: str
):
    source = write(tmp_path / name)
    created = initctl.new(tmp_path / out, like=source, rules=RULES)
    initctl.apply(source, tmp_path / "applied.safetensors", rules=RULES)
    path = tmp_path / out / next(iter(created.files)) if out == "new" else tmp_path / out
    found, applied = load_file(path), load_file(tmp_path / "applied.safetensors")
    assert found.keys() == applied.keys() == tensors().keys()
    assert all(torch.equal(found[name], applied[name]) for name in found)
    if name == "pytorch_model.bin" and out == "new":
        assert created.files == ("model.safetensors",)


def test_the_state_dict_of_a_training_checkpoint_can_be_chosen(tmp_path: Path):
    torch.save({"a": {"w": torch.ones(2)}, "b": {"v": torch.ones(3)}}, tmp_path / "all.pt")
    initctl.new(tmp_path / "b.safetensors", like=tmp_path / "all.pt", root="b", rules=RULES)
    assert load_file(tmp_path / "b.safetensors").keys() == {"v"}


def bytes_read() -> int:
    """The bytes that this process has read from files, as Linux counts them."""
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="needs Linux, which counts what a process reads")
def test_no_weight_is_read(tmp_path: Path):
    size = 1 << 24
    save_file({"w": torch.ones(size // 4)}, tmp_path / "a.safetensors")
    read = {}
    for rule in ("w=zeros", "w=zeros", "w=scale:by=2"):  # at first, modules are read
        before = bytes_read()
        initctl.new(tmp_path / "b.safetensors", like=tmp_path / "a.safetensors", rules=[rule])
        read[rule] = bytes_read() - before
    assert read["w=zeros"] < size / 4
    assert read["w=scale:by=2"] >= size


def test_every_floating_point_tensor_needs_a_rule_and_integers_are_copied(tmp_path: Path):
    ids = torch.arange(5)
    save_file({**tensors(), "ids": ids, "rope.inv_freq": torch.full((3,), 0.5)}, tmp_path / "a.safetensors")
    with pytest.raises(FitError, match=r"no rule decides fc1\.weight \(float32\), fc2\.weight \(float32\)") as raised:
        initctl.new(tmp_path / "b.safetensors", like=tmp_path / "a.safetensors", rules=["*.bias=zeros"])
    assert [problem.code for problem in raised.value.problems] == ["tensor.undecided"]
    created = initctl.new(
        tmp_path / "b.safetensors", like=tmp_path / "a.safetensors", rules=["*.weight=ones", "*.bias=keep"]
    )
    found = load_file(tmp_path / "b.safetensors")
    assert torch.equal(found["ids"], ids)
    assert torch.equal(found["fc1.bias"], tensors()["fc1.bias"])
    assert bool((found["rope.inv_freq"] == 0.5).all())
    assert created.summary()[0].startswith("created 2 tensors (20 elements, 80 bytes); 3 tensors")
    assert "copied" in created.summary()[0]


@pytest.mark.parametrize("out", ["new.safetensors", "new"])
def test_another_dtype_is_for_what_rules_fill(tmp_path: Path, out: str):
    kept = {"ids": torch.arange(5), "rope.inv_freq": torch.full((3,), 0.5)}
    save_file({**tensors(), **kept}, tmp_path / "a.safetensors", {"format": "pt", "by": "me"})
    created = initctl.new(tmp_path / out, like=tmp_path / "a.safetensors", rules=RULES, dtype=torch.bfloat16)
    found = load_file(tmp_path / out / "a.safetensors" if out == "new" else tmp_path / out)
    initctl.apply(tmp_path / "a.safetensors", tmp_path / "wide.safetensors", rules=RULES)
    wide = load_file(tmp_path / "wide.safetensors")
    assert all(torch.equal(found[name], wide[name].bfloat16()) for name in tensors())
    assert all(torch.equal(found[name], kept[name]) for name in kept)
    assert initctl.verify(created.plan, tmp_path / out)
    with pytest.raises(FitError, match=r"cannot keep fc1\.bias: it has no value yet"):
        initctl.new(tmp_path / out, like=tmp_path / "a.safetensors", rules=[*RULES, "fc1.bias=keep"], dtype="bfloat16")


CONFIG = """{"dtype" :"float32",
  "text_config": {"model_type": "llama", "torch_dtype": "float32"}, "kept": [1.0,  2],
    "quantization_config": {"dtype": "int8"}, "vision_config": {"model_type": "vit", "dtype": null}}
"""


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_the_configuration_says_the_new_dtype_and_keeps_all_its_other_bytes(tmp_path: Path, dtype: str):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.json").write_text(CONFIG)
    save_file(tensors(), tmp_path / "a" / "model.safetensors")
    options = {"like": tmp_path / "a", "rules": RULES, "dtype": dtype}
    created = initctl.new(tmp_path / "b", **options)
    assert (tmp_path / "b" / "config.json").read_text() == CONFIG.replace("float32", dtype)
    assert sorted(created.files) == sorted(initctl.new(tmp_path / "c", **options, dry_run=True).files)
    assert initctl.verify(created.plan, tmp_path / "b")
    assert initctl.new(tmp_path / "b.safetensors", **options).files == ("b.safetensors",)
    assert (tmp_path / "a" / "config.json").read_text() == CONFIG


def test_tied_names_of_a_directory_of_torch_save_are_noted_once(tmp_path: Path):
    weight = torch.ones(4, 2)
    torch.save({"emb.weight": weight, "head.weight": weight}, tmp_path / "tied.pt")
    initctl.new(tmp_path / "new.safetensors", like=tmp_path / "tied.pt", rules=RULES, dtype="float16")
    assert load_file(tmp_path / "new.safetensors").keys() == {"emb.weight"}
    assert "head.weight" in initctl.inspect(tmp_path / "new.safetensors").by_name


def test_parts_of_quantized_weights_are_not_made_up(tmp_path: Path):
    parts = {"fc.qweight": torch.ones(4, 8, dtype=torch.int32), "fc.scales": torch.ones(1, 8, dtype=torch.float16)}
    parts |= {"fc.qzeros": torch.ones(1, 1, dtype=torch.int32), "fc.g_idx": torch.zeros(32, dtype=torch.int32)}
    save_file({**parts, "norm.weight": torch.ones(8)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "gptq", "bits": 4}}))
    for dtype in (None, "bfloat16"):
        with pytest.raises(FitError, match=r"fc\."):
            initctl.new(tmp_path / "new.safetensors", like=tmp_path / "model.safetensors", rules=RULES, dtype=dtype)


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("new.pt", {}, "a new checkpoint is written as safetensors"),
        ("new.gguf", {}, "a new checkpoint is written as safetensors"),
        ("new.json", {}, "a new checkpoint is written as safetensors"),
        ("new.safetensors", {"max_shard_size": "1GB"}, "names a file, but `max_shard_size` writes a directory"),
        ("new", {"max_shard_size": "big"}, "is not a size"),
        ("new", {"dtype": "bf17"}, "dtype: bf17 is not a floating-point dtype"),
        ("new", {"dtype": "int8"}, "dtype: int8 is not a floating-point dtype"),
        ("new", {"dtype": "fp16"}, "did you mean float16?"),
        ("new", {"table": "t.json"}, "`like`, `table` exclude each other"),
        ("new", {"rules": []}, "no rules given"),
        ("a.safetensors", {}, "is the input; name another file"),
        ("a.safetensors", {"dry_run": True}, "is the input; name another file"),
        (".", {}, "is the directory of the source"),
    ],
)
def test_arguments_that_contradict_are_refused(tmp_path, monkeypatch, out, options, message):
    monkeypatch.chdir(tmp_path)
    save_file(tensors(), "a.safetensors")
    with pytest.raises(UsageError) as raised:
        initctl.new(out, like="a.safetensors", **{"rules": RULES, **options})
    assert message in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_source_is_needed_and_a_root_needs_another_checkpoint(tmp_path: Path):
    with pytest.raises(UsageError, match="no source given; name one: `like`, `config` or `table`"):
        initctl.new(tmp_path / "new", rules=RULES)
    with pytest.raises(UsageError, match="`root` needs `like`"):
        initctl.new(tmp_path / "new", table=tmp_path / "t.json", rules=RULES, root="a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"like": 3}, "like: an int is not a path"),
        ({"config": 3}, "config: an int is not a path"),
        ({"config": "c", "settings": ["a"]}, "settings: a list is not a dict"),
        ({"config": "c", "settings": {3: 4}}, "settings: the key 3 is not a string"),
        ({"like": "a", "max_shard_size": 5}, "max_shard_size: an int is not a string"),
        ({"like": "a", "require_all": True}, "unknown argument 'require_all'"),
        ({"like": "a", "reset_optimizer": True}, "unknown argument 'reset_optimizer'"),
    ],
)
def test_an_argument_of_a_wrong_type_or_name_is_a_type_error(arguments, message):
    with pytest.raises(TypeError) as raised:
        initctl.new("new", **{"rules": RULES, **arguments})
    assert message in str(raised.value)


def test_an_output_is_replaced_as_apply_replaces_it(tmp_path: Path):
    save_file(tensors(), tmp_path / "a.safetensors")
    options = {"like": tmp_path / "a.safetensors", "rules": RULES}
    out = tmp_path / "new.safetensors"
    assert not initctl.new(out, **options).replaced
    assert initctl.new(out, **options).replaced
    with pytest.raises(ConflictError, match="exists"):
        initctl.new(out, **options, overwrite=False)
    out.write_text("a letter")
    with pytest.raises(ConflictError, match="exists and is plain text"):
        initctl.new(out, **options)
    initctl.new(out, **options, overwrite=True)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "letter.txt").write_text("a letter")
    with pytest.raises(ConflictError, match="contains files that are not part of the result"):
        initctl.new(tmp_path / "new", **options)


def test_a_dry_run_names_the_files_and_writes_nothing(gpt2: Path, tmp_path: Path):
    save_file(tensors(), tmp_path / "a.safetensors")
    for options in (
        {"like": gpt2, "preset": "auto"},
        {"like": gpt2, "preset": "auto", "dtype": "float16", "max_shard_size": "10KB"},
        {"like": tmp_path / "a.safetensors", "rules": RULES},
    ):
        planned = initctl.new(tmp_path / "new", **options, dry_run=True)
        assert planned.dry_run
        assert not (tmp_path / "new").exists()
        created = initctl.new(tmp_path / "new", **options)
        assert sorted(planned.files) == sorted(created.files)
        assert planned.to_json() | {"written": True, "files": list(created.files)} == created.to_json()
        for path in (tmp_path / "new").iterdir():
            path.unlink()
        (tmp_path / "new").rmdir()


@pytest.mark.parametrize("out", ["fresh/", "fresh", "fresh.safetensors"])
def test_a_dry_run_names_one_file_as_it_would_be_written(tmp_path: Path, out: str):
    save_file(tensors(), tmp_path / "a.safetensors")
    options = {"like": tmp_path / "a.safetensors", "rules": RULES}
    planned = initctl.new(f"{tmp_path}/{out}", **options, dry_run=True)
    assert planned.files == initctl.new(f"{tmp_path}/{out}", **options).files
    if out == "fresh/":
        assert planned.files == ("a.safetensors",)


def test_progress_reaches_its_total(tmp_path: Path):
    counter = {"name": "bn.num_batches_tracked", "dtype": "int64", "shape": []}
    entries = [{"name": "w", "dtype": "float32", "shape": [3, 2]}, counter]
    (tmp_path / "t.json").write_text(json.dumps({"tensors": entries}))
    events: list[object] = []
    initctl.new(tmp_path / "new.safetensors", table=tmp_path / "t.json", rules=RULES, on_event=events.append)
    last = [event for event in events if isinstance(event, Progress)][-1]
    assert (last.done, last.total) == (24, 24)


def test_events_are_those_of_apply_and_the_plan_comes_first(tmp_path: Path):
    save_file(tensors(), tmp_path / "a.safetensors")
    events: list[object] = []
    initctl.new(tmp_path / "b.safetensors", like=tmp_path / "a.safetensors", rules=RULES, on_event=events.append)
    kinds = [type(event).__name__ for event in events]
    assert kinds[0] == "Plan"
    assert {"Chosen", "Progress", "Committed"} <= {*kinds}


def test_old_values_cannot_be_revised_or_copied_where_there_are_none(tmp_path: Path):
    (tmp_path / "t.json").write_text(
        json.dumps({"tensors": [{"name": name, "dtype": "float32", "shape": [2, 2]} for name in "ab"]})
    )
    for rule, message in (
        ("a=scale:by=2", "computes new values from old ones, but it has no values yet"),
        ("a=mean_rows:of=0:1", "computes new values from old ones, but rows 0 to 1 have no value yet"),
        ("a=copy:from=b", "it copies b, but it has no values yet"),
    ):
        with pytest.raises(FitError, match=message):
            initctl.new(tmp_path / "new.safetensors", table=tmp_path / "t.json", rules=["*=ones", rule])
    save_file({"w": torch.full((2, 2), 3.0)}, tmp_path / "w.safetensors")
    copied = f"a=copy:from={tmp_path / 'w.safetensors'}#w"
    initctl.new(tmp_path / "new.safetensors", table=tmp_path / "t.json", rules=["*=ones", copied])
    assert bool((load_file(tmp_path / "new.safetensors")["a"] == 3).all())


def test_a_recipe_with_new_sizes_is_refused(tmp_path: Path):
    (tmp_path / "r.toml").write_text('rows = { "a" = 3 }\nrule = [{ match = "*", init = "zeros" }]\n')
    save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors")
    with pytest.raises(initctl.UsageError, match=r"r\.toml: asks for other sizes .* a new checkpoint cannot get"):
        initctl.new(tmp_path / "b.safetensors", like=tmp_path / "a.safetensors", recipes=[tmp_path / "r.toml"])


@pytest.mark.parametrize(
    ("name", "there", "options", "message"),
    [
        ("new.safetensors", None, {"overwrite": False}, "exists"),
        ("new.safetensors", None, {}, "exists and is plain text"),
        ("new", "letter.txt", {}, "contains files that are not part of the result"),
        ("new", "model.safetensors", {"overwrite": False}, "exists"),
        ("new", None, {"max_shard_size": "5GB"}, "is a file, but the result is a directory"),
    ],
)
def test_a_dry_run_refuses_an_output_as_the_run_itself_does(
    tmp_path: Path, name: str, there: str | None, options, message: str
):
    save_file(tensors(), tmp_path / "a.safetensors")
    found = tmp_path / name / there if there else tmp_path / name
    found.parent.mkdir(exist_ok=True)
    found.write_text("a letter")
    refused = []
    for dry_run in (True, False):
        with pytest.raises(InitctlError) as raised:
            initctl.new(tmp_path / name, like=tmp_path / "a.safetensors", rules=RULES, dry_run=dry_run, **options)
        refused.append((type(raised.value), raised.value.problems))
    assert refused[0] == refused[1]
    assert message in str(raised.value)


def test_a_dry_run_says_that_it_would_replace_what_is_there(tmp_path: Path):
    save_file(tensors(), tmp_path / "a.safetensors")
    options = {"like": tmp_path / "a.safetensors", "rules": RULES}
    assert not initctl.new(tmp_path / "b.safetensors", **options).replaced
    planned = initctl.new(tmp_path / "b.safetensors", **options, dry_run=True)
    assert planned.replaced
    assert planned.summary()[-1] == f"would replace {tmp_path}/b.safetensors (1 file)"

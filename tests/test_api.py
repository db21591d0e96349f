"""The library's face: what it accepts, what it refuses and how, and what it gives back."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.events import Chosen, Committed, Progress
from initctl.planning import Plan
from tests.commit.folders import snapshot
from tests.events import on
from tests.execution.checkpoints import METADATA, assert_written, sharded, single

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return single(tmp_path / "model.safetensors")


def refusal(error: type[initctl.InitctlError], *arguments: Any, **options: Any) -> list[str]:
    """The codes of the problems for which `apply` refuses."""
    with pytest.raises(initctl.InitctlError) as raised:
        initctl.apply(*arguments, **options)
    assert type(raised.value) is error
    return [problem.code for problem in raised.value.problems]


def test_plan_says_what_apply_does_and_writes_nothing(model: Path, tmp_path: Path):
    before = snapshot(tmp_path)
    rules = ["*.weight=normal:std=0.02", "*.bias=zeros"]
    plan = initctl.plan(model, rules=rules, seed=3)
    assert snapshot(tmp_path) == before
    applied = initctl.apply(model, tmp_path / "out", rules=rules, seed=3)
    assert applied.plan.to_json() == plan.to_json()


def test_what_apply_gives_back_is_the_plan_and_what_was_written(model: Path, tmp_path: Path):
    applied = initctl.apply(model, tmp_path / "out", rules=["*.bias=zeros"])
    document = applied.to_json()
    written = {"output": str(tmp_path / "out"), "files": ["out"], "converted": False}
    assert document == applied.plan.to_json() | written
    assert json.loads(json.dumps(document, allow_nan=False)) == document


@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["text", "path"])
def test_paths_are_given_as_text_or_as_path_objects(model: Path, tmp_path: Path, kind: Any):
    applied = initctl.apply(kind(model), kind(tmp_path / "out"), rules=["norm.weight=zeros"])
    assert_written(model.read_bytes(), (tmp_path / "out").read_bytes(), {"norm.weight": torch.zeros(8)})
    assert applied.plan.checkpoint.path == str(model)


def test_rules_may_come_from_any_iterable(model: Path):
    assert len(initctl.plan(model, rules=(f"layers.{i}.bias=ones" for i in range(2))).actions) == 2


def test_inspect_gives_the_table(model: Path):
    table = initctl.inspect(model)
    assert {tensor.name: (tensor.shape, tensor.dtype.name) for tensor in table.tensors}["steps"] == ((1,), "int64")
    assert table.metadata == {"model.safetensors": METADATA}


def test_without_rules_there_is_nothing_to_do(model: Path, tmp_path: Path):
    assert refusal(initctl.UsageError, model, tmp_path / "out") == ["usage.no_rules"]
    assert refusal(initctl.UsageError, model, tmp_path / "out", rules=[]) == ["usage.no_rules"]


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, 0.5, "0x", True, float("nan")])
def test_a_seed_is_a_whole_number_below_2_to_the_64(model: Path, tmp_path: Path, seed: Any):
    with pytest.raises(initctl.UsageError, match=r"^seed: .* is not a whole number from 0 to 2\^64 - 1$"):
        initctl.apply(model, tmp_path / "out", rules=["norm.weight=zeros"], seed=seed)


@pytest.mark.parametrize("threads", [0, -1])
def test_there_is_at_least_one_thread(model: Path, tmp_path: Path, threads: int):
    options = {"rules": ["norm.weight=zeros"], "threads": threads}
    assert refusal(initctl.UsageError, model, tmp_path / "out", **options) == ["usage.threads"]


def test_output_is_a_path_or_in_place_and_not_both(model: Path, tmp_path: Path):
    rules = ["norm.weight=zeros"]
    assert refusal(initctl.UsageError, model, rules=rules) == ["output.choice"]
    assert refusal(initctl.UsageError, model, tmp_path / "out", in_place=True, rules=rules) == ["output.choice"]


def test_every_rule_is_read_before_the_checkpoint_is(tmp_path: Path):
    with pytest.raises(initctl.RuleError) as raised:
        initctl.plan(tmp_path / "missing", rules=["*.bias=zeros", "*.bias", "a=zeroes", "b=normal:std=x", "[=ones"])
    assert [problem.code for problem in raised.value.problems] == [
        "rule.syntax", "rule.initializer", "rule.name", "rule.syntax",
    ]  # fmt: skip
    assert [problem.message.partition(" (")[0] for problem in raised.value.problems] == [
        f"rule {number}" for number in range(2, 6)
    ]


def test_a_checkpoint_that_is_missing_is_refused(tmp_path: Path):
    options = {"rules": ["*=zeros"]}
    assert refusal(initctl.InputError, tmp_path / "missing", tmp_path / "out", **options) == ["file.missing"]


def test_rules_that_do_not_fit_are_refused_before_anything_is_written(model: Path, tmp_path: Path):
    before = snapshot(tmp_path)
    rules = ["norm.weight=kaiming_normal", "nrm.weight=ones"]
    assert refusal(initctl.FitError, model, tmp_path / "out", rules=rules) == ["rule.unused", "rule.unfit"]
    assert refusal(initctl.FitError, model, in_place=True, rules=rules, allow_unused=True) == ["rule.unfit"]
    assert refusal(initctl.FitError, model, in_place=True, rules=["steps=ones"], require_all=True) == [
        "tensor.undecided"
    ]
    assert snapshot(tmp_path) == before


def test_allow_unused_makes_warnings_and_goes_on(model: Path, tmp_path: Path):
    warned: list[str] = []
    applied = initctl.apply(
        model, tmp_path / "out", rules=["nrm.*=ones", "norm.*=zeros"], allow_unused=True,
        on_event=on(Plan, lambda plan: warned.extend(warning.code for warning in plan.warnings)),
    )  # fmt: skip
    assert warned == ["rule.unused"]
    assert len(applied.plan.actions) == 1


def test_an_exception_when_the_plan_is_told_stops_before_anything_is_written(model: Path, tmp_path: Path):
    before = snapshot(tmp_path)

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        initctl.apply(model, in_place=True, rules=["*=zeros"], on_event=on(Plan, stop))
    assert snapshot(tmp_path) == before


def test_a_model_that_was_wrapped_takes_the_same_rules(tmp_path: Path):
    save_file({"module.fc.weight": torch.ones(2, 2)}, tmp_path / "wrapped")
    plan = initctl.plan(tmp_path / "wrapped", rules=["fc.weight=zeros"])
    assert [action.tensor.name for action in plan.actions] == ["fc.weight"]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no directory that nobody may write to")
def test_a_directory_that_cannot_be_written_to_is_a_storage_error(model: Path):
    assert refusal(initctl.StorageError, model, "/proc/out", rules=["norm.weight=zeros"]) == ["storage.failed"]


def test_every_error_has_its_exit_status():
    statuses = {error.__name__: error.exit_status for error in initctl.InitctlError.__subclasses__()}
    assert statuses == {
        "UsageError": 2, "InputError": 3, "FitError": 4, "StorageError": 5, "ConflictError": 6, "UncertainError": 7,
    }  # fmt: skip
    assert issubclass(initctl.RuleError, initctl.UsageError)


def test_two_runs_give_two_directories_that_are_the_same_to_the_byte(tmp_path: Path):
    folder = sharded(tmp_path / "model")
    for name in ("one", "other"):
        initctl.apply(folder, tmp_path / name, rules=["*.weight=orthogonal", "norm.weight=keep"])
    one, other = snapshot(tmp_path / "one"), snapshot(tmp_path / "other")
    assert {n: (e.content, e.mode) for n, e in one.items()} == {n: (e.content, e.mode) for n, e in other.items()}
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == stat.S_IMODE(folder.stat().st_mode)


def test_one_string_is_no_list_of_rules(model: Path, tmp_path: Path):
    assert refusal(initctl.UsageError, model, tmp_path / "out", rules="*.bias=zeros") == ["usage.rules"]


def test_no_clobber_and_in_place_contradict_each_other(tmp_path: Path):
    path = single(tmp_path / "in")
    before = path.read_bytes()
    with pytest.raises(
        initctl.UsageError, match="exclude each other: in place, the checkpoint is replaced; use `output`"
    ):
        initctl.apply(path, in_place=True, overwrite=False, rules=["*.weight=ones"])
    assert path.read_bytes() == before


@pytest.mark.parametrize("call", [initctl.plan, initctl.apply, initctl.verify])
def test_a_misspelled_argument_is_refused_with_the_one_that_was_meant(model: Path, call: Any):
    with pytest.raises(TypeError, match="unknown argument 'rule'; did you mean rules"):
        call(model, rule=["*=zeros"], **({"in_place": True} if call is initctl.apply else {}))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"rules": [("fc2.weight", "zeros")]}, "rules[0]: a tuple is not a string; write rules=['fc.weight=zeros']"),
        ({"rules": {"fc2.weight": "zeros"}}, "rules: a dict is not a list; write rules=['fc.weight=zeros']"),
        ({"rules": None}, "rules: None is not a list; write rules=['fc.weight=zeros']"),
        ({"recipes": [{"match": "*"}]}, "recipes[0]: a dict is not a path; a recipe is a TOML file"),
        ({"preset": ["gpt2"]}, "preset: a list is not a string"),
        ({"force": True}, "unknown argument 'force'; write overwrite=True"),
        ({"no_clobber": True}, "unknown argument 'no_clobber'; write overwrite=False"),
        ({"patch": True}, "unknown argument 'patch'; write in_place=\"patch\""),
        ({"diff": True}, "unknown argument 'diff'; initctl.changes(plan) measures what a plan changes"),
        ({"report": "r.json"}, "unknown argument 'report'; write applied.manifest(initctl.changes(plan)).save(path)"),
        ({"html": "a.html"}, "unknown argument 'html'; only the command line writes pages"),
        (
            {"num_labels": 5},
            "unknown argument 'num_labels'; rows={'PATTERN': N} changes the number of rows, `dims` a shape",
        ),
    ],
    ids=str,
)
def test_a_wrong_type_or_an_unknown_argument_is_refused_with_what_to_write(model: Path, asked: Any, told: str):
    with pytest.raises(TypeError) as raised:
        initctl.plan(model, **asked)
    assert str(raised.value).startswith(told)


def test_a_state_dict_or_a_model_in_place_of_a_path_is_refused(model: Path):
    state = torch.nn.Linear(2, 2).state_dict()
    for call in (initctl.plan, initctl.inspect, initctl.stats, initctl.doctor):
        with pytest.raises(TypeError, match=r"^checkpoint: an OrderedDict is not a path; save it first, as with "):
            call(state, **({"rules": ["*=zeros"]} if call is initctl.plan else {}))
    for call in (initctl.apply, initctl.verify):
        with pytest.raises(TypeError, match=r"^checkpoint: a Linear is not a path; .*save_model\(model, path\)$"):
            call(torch.nn.Linear(2, 2), model.parent / "out", rules=["*=zeros"])
        with pytest.raises(TypeError, match=r"^(output|result): a list is not a path; rules are given by name: rules="):
            call(model, ["*=zeros"], rules=["*=zeros"])
    with pytest.raises(TypeError, match=r"^b: a dict is not a path"):
        initctl.diff(model, {})


def test_what_does_not_hold_is_not_true(model: Path):
    assert not initctl.verify(model, rules=["*.bias=ones"])
    assert not initctl.verify(model, rules=["*.bias=ones"], sample=1)
    held = initctl.apply(model, model.parent / "out", rules=["*.bias=ones"])
    assert initctl.verify(held.output, rules=["*.bias=ones"])
    assert initctl.verify(model, held.output, rules=["*.bias=ones"])
    (model.parent / "other").write_bytes(model.read_bytes().replace(b"format", b"Format"))
    assert not initctl.verify(model.parent / "other", held.output, rules=["*.bias=ones"])


@pytest.mark.parametrize("integer", [np.int64(2), np.uint8(2), np.array(2), 2])
def test_numbers_may_be_any_kind_of_integer(model: Path, integer: Any):
    plan = initctl.plan(model, rules=["*.weight=normal"], seed=integer)
    assert (plan.seed, type(plan.seed)) == (2, int)
    plan.save(model.parent / "plan.json")
    initctl.apply(model, model.parent / "out", rules=["*.weight=normal"], seed=integer, threads=integer)
    assert initctl.verify(model.parent / "out", rules=["*.weight=normal"], seed=2, threads=integer, sample=integer)


@pytest.mark.parametrize("number", [True, 1.0, np.float64(1), np.bool_(True), "1", 0, np.int64(-1)])
def test_what_is_no_count_is_refused(model: Path, number: Any):
    with pytest.raises(initctl.UsageError, match=r"^threads: .* is not a whole number of 1 or more$"):
        initctl.apply(model, model.parent / "out", rules=["*=ones"], threads=number)
    with pytest.raises(initctl.UsageError, match=r"^sample: .* is not a whole number of 1 or more$"):
        initctl.verify(model, rules=["*=ones"], sample=number)


def test_every_path_may_be_a_path_object(model: Path):
    folder = model.parent
    (folder / "r.toml").write_text('[[rule]]\nmatch = "*.bias"\ninit = "ones"\n')
    initctl.plan(model, recipes=[folder / "r.toml"]).save(folder / "plan.json")
    initctl.apply(initctl.load_plan(folder / "plan.json", model), folder / "out")
    assert initctl.verify(model, folder / "out", recipes=[folder / "r.toml"])
    assert initctl.verify(initctl.load_plan(folder / "plan.json", result=folder / "out"))


RULES = ["*.weight=normal:std=0.02", "layers.0.bias=uniform", "embed.weight[40:]=mean_rows:of=:40,std=0.01"]


class TestAPlanIsAValue:
    def test_it_writes_what_its_rules_write(self, model: Path, tmp_path: Path):
        initctl.apply(initctl.plan(model, rules=RULES, seed=3), tmp_path / "one")
        initctl.apply(model, tmp_path / "other", rules=RULES, seed=3)
        assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes() != model.read_bytes()

    def test_it_is_applied_as_often_as_one_likes(self, model: Path, tmp_path: Path):
        plan = initctl.plan(model, rules=RULES)
        initctl.apply(plan, tmp_path / "one")
        initctl.apply(plan, tmp_path / "other")
        assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()

    def test_it_verifies_what_it_gave_and_nothing_else(self, model: Path, tmp_path: Path):
        plan = initctl.plan(model, rules=RULES)
        initctl.apply(plan, tmp_path / "out")
        found = initctl.verify(plan, tmp_path / "out")
        assert found
        assert found.rest
        assert not initctl.verify(initctl.plan(model, rules=RULES, seed=1), tmp_path / "out")

    @pytest.mark.parametrize("in_place", [True, "patch"])
    def test_alone_it_verifies_the_checkpoint_that_it_changed(self, model: Path, in_place: Any):
        plan = initctl.plan(model, rules=RULES[:2])
        assert not initctl.verify(plan)
        initctl.apply(plan, in_place=in_place)
        assert initctl.verify(plan)

    def test_it_is_not_applied_to_a_checkpoint_that_changed_since(self, model: Path, tmp_path: Path):
        plan = initctl.plan(model, rules=RULES)
        initctl.apply(plan, in_place=True)
        assert refusal(initctl.ConflictError, plan, tmp_path / "out") == ["input.changed"]

    def test_it_leaves_no_room_for_other_rules(self, model: Path, tmp_path: Path):
        plan = initctl.plan(model, rules=RULES)
        (base := tmp_path / "base.json").write_text("{}")
        for more in (
            {"rules": ["*=ones"]},
            {"seed": 0},
            {"preset": "auto"},
            {"device": "auto"},
            {"root": ""},
            {"base_config": base},
        ):
            assert refusal(initctl.UsageError, plan, tmp_path / "out", **more) == ["usage.plan"]
        given = {"rules": ["*=ones"], "seed": 0, "require_all": True, "allow_unused": False, "device": "cpu"}
        with pytest.raises(initctl.UsageError, match="cannot be combined with `rules`, `seed`, require_all=True; it"):
            initctl.apply(plan, tmp_path / "out", **given)

    def test_saved_and_loaded_it_writes_the_same(self, model: Path, tmp_path: Path):
        plan = initctl.plan(model, rules=RULES, seed=3)
        plan.save(tmp_path / "plan.json")
        initctl.apply(plan, tmp_path / "one")
        initctl.apply(initctl.load_plan(tmp_path / "plan.json"), tmp_path / "other")
        assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()

    def test_loaded_for_its_result_it_needs_no_original(self, model: Path, tmp_path: Path):
        plan = initctl.plan(model, rules=RULES[:2])
        plan.save(tmp_path / "plan.json")
        initctl.apply(plan, tmp_path / "out.pt")
        model.unlink()
        assert initctl.verify(initctl.load_plan(tmp_path / "plan.json", result=tmp_path / "out.pt"))

    def test_a_saved_plan_is_for_one_checkpoint(self, model: Path, tmp_path: Path):
        initctl.plan(model, rules=RULES).save(tmp_path / "plan.json")
        with pytest.raises(initctl.UsageError, match="checkpoint and result are both given; leave one of them out"):
            initctl.load_plan(tmp_path / "plan.json", model, result=model)

    def test_its_rows_are_every_part_of_every_tensor_in_order(self, model: Path):
        plan = initctl.plan(model, rules=RULES)
        rows = plan.rows()
        names = [tensor.name for tensor in plan.checkpoint.tensors]
        assert list(dict.fromkeys(row["tensor"] for row in rows)) == names
        assert sum(row["elements"] for row in rows) == sum(tensor.numel for tensor in plan.checkpoint.tensors)
        assert len({tuple(row) for row in map(sorted, rows)}) == 1
        of_embedding = [(row["rows"], row["init"]) for row in rows if row["tensor"] == "embed.weight"]
        assert of_embedding == [([0, 40], "normal"), ([40, 50], "mean_rows")]
        assert {row["init"] for row in rows if row["rule"] is None} == {"keep"}
        assert json.loads(json.dumps(rows)) == rows


def test_the_first_of_two_checkpoints_is_what_the_rules_were_applied_to(model: Path, tmp_path: Path):
    initctl.apply(model, tmp_path / "out", rules=RULES)
    assert initctl.verify(model, tmp_path / "out", rules=RULES)
    assert not initctl.verify(tmp_path / "out", model, rules=RULES[:2])
    assert initctl.verify(model, model)


def test_a_plan_is_for_its_checkpoint_whatever_the_working_directory_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        save_file({"a.bias": torch.ones(4)}, tmp_path / folder / "n.safetensors")
    monkeypatch.chdir(tmp_path / "one")
    plan = initctl.plan("n.safetensors", rules=["*.bias=normal"])
    initctl.apply(plan, in_place=True)
    monkeypatch.chdir(tmp_path / "other")
    assert initctl.verify(plan)
    save_file({"a.bias": torch.ones(4)}, tmp_path / "one" / "n.safetensors")
    initctl.apply("n.safetensors", in_place=True, rules=["*.bias=normal"])
    assert not initctl.verify(plan)


@pytest.mark.parametrize("event", [Chosen, Progress, Committed])
def test_an_error_of_the_callers_own_function_stays_what_it_is(tmp_path: Path, event: type):
    save_file({"a.bias": torch.ones(4)}, tmp_path / "n.safetensors")

    def fail(told: object) -> None:
        if isinstance(told, event):
            raise BrokenPipeError(32, "the caller's")

    with pytest.raises(BrokenPipeError, match="the caller's"):
        initctl.apply(tmp_path / "n.safetensors", tmp_path / "out.safetensors", rules=["*.bias=normal"], on_event=fail)
    assert (tmp_path / "out.safetensors").exists() is (event is Committed)

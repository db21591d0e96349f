"""What is not known is answered with what may have been meant, everywhere by one function."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import initctl
from initctl.recipes.presets import find_preset
from initctl.suggestions import about_shapes, did_you_mean_path, nearest
from tests.planning.tables import checkpoint_of, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from initctl.planning import Plan

NET = {
    "model.layers.0.fc1.weight": ("F32", [2, 2]),
    "model.layers.0.fc1.bias": ("F32", [2]),
    "model.layers.1.fc1.weight": ("F32", [2, 2]),
    "model.layers.1.fc1.bias": ("F32", [2]),
    "Norm.weight": ("F32", [2]),
}


@pytest.mark.parametrize(
    ("word", "known", "found"),
    [
        ("Relu", ["selu", "relu", "gelu"], ["relu"]),
        ("swish", ["relu", "silu"], ["silu"]),
        ("swish", ["relu", "tanh"], []),
        ("CPU", ["cpu", "cuda"], ["cpu"]),
        ("gpu", ["cpu", "cuda"], ["cuda"]),
        ("glorot", ["normal", "glorot_normal", "glorot_uniform"], ["glorot_normal", "glorot_uniform"]),
        ("He", ["he_normal", "he_uniform", "eye"], ["he_normal", "he_uniform"]),
        ("sede", ["seed", "rule"], ["seed"]),
        ("Gaussian", ["normal", "uniform"], ["normal"]),
        ("zzz", ["seed", "rule"], []),
    ],
)
def test_what_a_word_may_have_been_meant_as(word: str, known: list[str], found: list[str]):
    assert nearest(word, known, n=2) == found


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("*.bia", "'*.bias'"), ("*.wieght", "'*.weight'"), ("*.Weight", "'*.weight'"), ("norm.*", "'Norm.*'"),
        ("*.layer.0.*", "'*.layers.0.*'"), ("modle.*.bias", "'model.*.bias'"), ("*.fc.weight", "'*.fc1.weight'"),
        ("model.layers.0.fc1.baias", "model.layers.0.fc1.bias"), ("*.FC1.{weight,bias}", "'*.fc1.{weight,bias}'"),
    ],
)  # fmt: skip
def test_a_misspelled_part_of_a_pattern_is_spelled_as_in_the_checkpoint(tmp_path: Path, pattern: str, meant: str):
    assert refusal(tmp_path, NET, f"{pattern}=zeros").endswith(f"matches no tensor; did you mean {meant}?")


@pytest.mark.parametrize(("pattern", "meant"), [("*.fc", "*.fc*"), ("fc1.w*", "*.fc1.w*"), ("*ayers.0", "*ayers.0.*")])
def test_no_star_is_put_beside_another(tmp_path: Path, pattern: str, meant: str):
    assert refusal(tmp_path, NET, f"{pattern}=zeros").endswith(f"did you mean '{meant}'?")


def plan(path: Path, rules: Sequence[str] = (), **options: Any) -> Plan:
    return initctl.plan(path, rules=rules, **options)


@pytest.mark.parametrize(
    ("call", "proposed"),
    [
        (lambda at: plan(at, ["*=Normal"]), "unknown initializer Normal; did you mean normal?"),
        (lambda at: plan(at, ["*=xavier"]), "did you mean xavier_uniform or xavier_normal?"),
        (lambda at: plan(at, ["*=glorot"]), "did you mean glorot_uniform or glorot_normal?"),
        (lambda at: plan(at, ["*=gaussian"]), "unknown initializer gaussian; did you mean normal?"),
        (lambda at: plan(at, ["*=random"]), "did you mean normal?"),
        (lambda at: plan(at, ["*=kaiming"]), "did you mean kaiming_uniform or kaiming_normal?"),
        (lambda at: plan(at, ["*=he"]), "did you mean he_uniform or he_normal?"),
        (lambda at: plan(at, ["*=truncated_normal"]), "did you mean trunc_normal?"),
        (lambda at: plan(at, ["*=const:val=1"]), "did you mean constant?"),
        (lambda at: plan(at, ["*=None"]), "did you mean keep?"),
        (lambda at: plan(at, ["*=torch.nn.init.Zeros_"]), "did you mean zeros?"),
        (lambda at: plan(at, ["*=normal:STD=1"]), "normal has no parameter STD; did you mean std?"),
        (lambda at: plan(at, ["*=normal:std=Fan_In"]), "unknown name Fan_In; did you mean fan_in?"),
        (lambda at: plan(at, ["*=kaiming_normal:nonlinearity=Relu"]), "did you mean relu?"),
        (lambda at: plan(at, ["*=kaiming_normal:nonlinearity=swish"]), "did you mean silu?"),
        (lambda at: plan(at, ["*=kaiming_normal:mode=FAN_OUT"]), "did you mean fan_out?"),
        (lambda at: plan(at, ["*=bert"]), "unknown initializer bert; bert is a preset: use preset='bert'"),
        (lambda at: plan(at, ["*=auto"]), "unknown initializer auto; auto is a preset: use preset='auto'"),
        (lambda at: plan(at, preset="BERT"), "unknown preset BERT; did you mean bert?"),
        (lambda at: plan(at, preset="Auto"), "unknown preset Auto; did you mean auto?"),
        (lambda at: plan(at, ["*=ones"], rng="Torch"), "unknown rng Torch; did you mean torch?"),
        (lambda at: plan(at, ["*=ones"], device="CPU"), "unknown device CPU; did you mean cpu?"),
        (lambda at: plan(at, ["*=ones"], device="gpu:1"), "unknown device gpu:1; did you mean cuda:1?"),
        (lambda at: plan(at, recipes=[at.parent / "recip.toml"]), "recipe.toml?"),
        (lambda at: plan(at.parent / "modle.safetensors", ["*=ones"]), "model.safetensors?"),
        (lambda at: initctl.inspect(at.parent / "Model.safetensors"), "model.safetensors?"),
        (lambda at: initctl.apply(initctl.load_plan(at.parent / "paln.json", at), at.parent / "o"), "plan.json?"),
        (lambda at: initctl.verify(at.parent / "mod.safetensors", at, rules=["*=ones"]), "model.safetensors?"),
        (lambda at: plan(at, [f"*=copy:from={at.parent}/model.safetensor#x"]), "model.safetensors?"),
    ],
)  # fmt: skip
def test_every_kind_of_name_is_proposed(tmp_path: Path, call: Callable[[Path], object], proposed: str):
    path = checkpoint_of(tmp_path, NET)
    for name in ("recipe.toml", "plan.json"):
        (tmp_path / name).touch()
    with pytest.raises(initctl.InitctlError) as raised:
        call(path)
    assert str(raised.value).endswith(proposed)


def test_a_known_name_in_capitals_is_proposed_and_not_taken():
    with pytest.raises(initctl.UsageError, match="did you mean llama"):
        find_preset("LLaMA")


class TestOfPaths:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        (tmp_path / "models" / "llama").mkdir(parents=True)
        (tmp_path / "models" / "llama" / "model.safetensors").touch()
        (tmp_path / ".hidden.safetensors").touch()
        os.symlink("nowhere", tmp_path / "dangling")
        monkeypatch.chdir(tmp_path)

    @pytest.mark.parametrize(
        ("given", "meant"),
        [
            ("model", "models"),
            ("models/lama", "models/llama"),
            ("models/llama/modle.safetensors", "models/llama/model.safetensors"),
            ("modles/llama/model.safetensors", "models/llama/model.safetensors"),
            ("modles/other/model.safetensors", "models"),
            ("./Models", "models"),
        ],
    )
    def test_the_nearest_one_in_the_folder_is_proposed(self, given: str, meant: str):
        assert did_you_mean_path(given) == f"did you mean {meant}?"
        assert did_you_mean_path(os.path.abspath(given)) == f"did you mean {os.path.abspath(meant)}?"

    @pytest.mark.parametrize("given", ["xyzzy", "hidden.safetensors", "dangling", "models/llama/q/r/s", "/", ""])
    def test_nothing_is_proposed_if_nothing_is_near(self, given: str):
        assert did_you_mean_path(given) is None

    def test_a_folder_that_cannot_be_read_proposes_nothing(self):
        assert did_you_mean_path("models/llama/model.safetensors/x") is None


def test_nothing_else_compares_words():
    package = Path(initctl.__file__).parent
    users = [path.name for path in package.rglob("*.py") if "get_close_matches" in path.read_text()]
    assert users == ["suggestions.py"]


@pytest.mark.parametrize(
    "word", ["shape", "--num-labels", "num_classes", "--resize", "out_features", "vocab_size", "rows"]
)
def test_a_word_that_asks_for_another_shape_is_answered(word):
    assert about_shapes(word) == (
        "--rows 'PATTERN=N' changes the number of rows, --dims a shape, and --set-config a field of config.json"
    )


@pytest.mark.parametrize("word", ["std", "--seed", "reshape_it", "sparsity"])
def test_another_word_does_not_ask_for_a_shape(word):
    assert about_shapes(word) is None

"""New sizes by patterns: which tensors get them, and what is refused or warned of."""

from __future__ import annotations

import json
import tomllib
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers
from safetensors.torch import save_file

import initctl

if TYPE_CHECKING:
    from pathlib import Path

TENSORS = {
    "model.embed_tokens.weight": torch.ones(6, 4),
    "model.layers.0.fc.weight": torch.ones(4, 4),
    "model.layers.1.fc.weight": torch.ones(4, 4),
    "classifier.weight": torch.ones(3, 4),
    "classifier.bias": torch.ones(3),
    "lm_head.weight": torch.ones(6, 4),
    "scale": torch.tensor(1.0),
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_file(TENSORS, tmp_path / "model.safetensors")
    return tmp_path


def quietly(model: Path, **asked: Any) -> Any:
    with warnings.catch_warnings(action="ignore"):
        return initctl.plan(model, **asked)


def warned(model: Path, config: dict[str, Any], **asked: Any) -> list[str]:
    """The warnings about the plan, with this `config.json`."""
    (model / "config.json").write_text(json.dumps(config))
    return [str(problem) for problem in quietly(model, **asked).warnings]


def refused(model: Path, **asked: Any) -> str:
    with pytest.raises(initctl.InitctlError) as raised:
        quietly(model, **asked)
    return str(raised.value)


def shapes(plan: Any) -> dict[str, tuple[int, ...]]:
    return {tensor.name: tensor.shape for tensor in plan.checkpoint.resized}


def test_patterns_are_those_of_rules(model: Path):
    assert shapes(quietly(model, rows={"classifier.{weight,bias}": 2})) == {
        "classifier.weight": (2, 4),
        "classifier.bias": (2,),
    }
    assert shapes(quietly(model, rows={"re:.*\\.fc\\.weight": 2})).keys() == {
        f"model.layers.{i}.fc.weight" for i in (0, 1)
    }
    assert shapes(quietly(model, rows={"model.layers.{-1..-1}.*": 2})) == {"model.layers.1.fc.weight": (2, 4)}


def test_the_last_pattern_that_matches_decides(model: Path):
    assert shapes(quietly(model, rows={"*_{tokens,head}.weight": 5, "lm_head.*": 4})) == {
        "model.embed_tokens.weight": (5, 4), "lm_head.weight": (4, 4),
    }  # fmt: skip
    assert shapes(quietly(model, rows={"lm_head.*": 4, "*_{tokens,head}.weight": 5}))["lm_head.weight"] == (5, 4)


def test_new_shapes_stand_beside_old_ones(model: Path):
    plan = quietly(model, rows={"classifier.*": 5}, rules=["classifier.*[3:]=zeros"])
    rows = {row["tensor"]: (row["old_shape"], row["shape"]) for row in plan.rows()}
    assert rows["classifier.weight"] == ([3, 4], [5, 4])
    assert rows["scale"] == (None, [])
    assert "[3, 4] → [5, 4]" in str(plan)
    assert "resize 2 tensors" in plan.summary()
    assert "resized 2 tensors" in plan.summary(is_done=True)


def test_expressions_see_the_new_shape_and_the_new_config(model: Path):
    (model / "config.json").write_text('{"n": 3}')
    rules = ["classifier.weight=constant:val=shape[0]", "classifier.bias[config.n:]=constant:val=config.n"]
    plan = quietly(model, rows={"classifier.*": 5}, set_config={"n": 4}, rules=[*rules, "classifier.bias[3:4]=ones"])
    assert {(*action.params.values(),) for action in plan.actions} == {(5,), (4,), ()}


class TestRefused:
    def test_a_pattern_that_matches_nothing(self, model: Path):
        said = refused(model, rows={"clasifier.*": 5})
        assert said == "rows 1 (clasifier.*=5): matches no tensor; did you mean 'classifier.*'?"
        assert "dims 1 (x=5): matches no tensor" in refused(model, dims={"x": 5})

    @pytest.mark.parametrize("last", ["rows", "dims"])
    def test_rows_and_dims_of_the_same_tensor(self, model: Path, last: str):
        asked: Any = {"rows": {"classifier.*": 5}, "dims": {"*.weight": [2, 2], "classifier.weight": [7, 4]}}
        asked[last] = asked.pop(last)
        found = refused(model, **asked, rules=["*=zeros"]).splitlines()
        for line, dims in zip(found, ("dims 1 (*.weight=2,2)", "dims 2 (classifier.weight=7,4)"), strict=True):
            assert line.startswith(f"rows 1 (classifier.*=5): {dims} gives another size to classifier.weight; ")

    def test_rows_of_a_tensor_to_which_a_recipe_gives_dims(self, model: Path, tmp_path: Path):
        (tmp_path / "recipe.toml").write_text('[dims]\n"lm_head.weight" = [2, 2]\n')
        found = refused(
            model, recipes=[tmp_path / "recipe.toml"], rows={"lm_head.weight": 7}, rules=["lm_head.*=zeros"]
        )
        assert found.startswith("rows 1 (lm_head.weight=7): ")
        assert "recipe.toml:2:1: dims (lm_head.weight=2,2) gives another size to lm_head.weight; give" in found

    def test_rows_of_a_tensor_without_dims(self, model: Path):
        assert "tensor scale []: it has no dimensions, so it has no rows" in refused(model, rows={"scale": 5})

    def test_new_rows_that_no_rule_fills(self, model: Path):
        said = refused(model, rows={"classifier.*": 5}, rules=["classifier.weight[4:]=zeros"])
        assert "no rule fills classifier.bias[3:5] (float32), classifier.weight[3:4] (float32)" in said

    def test_a_size_that_no_file_can_hold(self, model: Path):
        assert "is too large" in refused(model, rows={"lm_head.weight": 2**62}, rules=["lm_head.weight=zeros"])

    def test_tied_tensors_of_different_sizes(self, tmp_path: Path):
        weight, scale = torch.ones(3, 4), torch.tensor(1.0)
        torch.save({"a": weight, "b": weight, "s": scale, "t": scale}, tmp_path / "model.pt")
        said = refused(tmp_path / "model.pt", rows={"a": 5, "[st]": "pad:4"}, rules=["*=zeros"])
        assert [line.rpartition(": ")[0].partition(": ")[2] for line in said.splitlines()] == [
            "tensor s []",
            "tensor t []",
            "a, b are one tensor, but get different sizes",
        ]
        assert shapes(quietly(tmp_path / "model.pt", rows={"a": 3}, rules=["{a,b}=ones"])) == {}
        assert "s, t are one tensor" in refused(tmp_path / "model.pt", dims={"s": [2]}, rules=["*=zeros"])

    def test_a_quantized_weight(self, tmp_path: Path):
        tensors = {"q.weight": torch.ones(4, 4).to(torch.float8_e4m3fn), "q.weight_scale": torch.ones(4)}
        save_file(tensors, tmp_path / "model.safetensors")
        assert "is part of a quantized weight" in refused(tmp_path, rows={"q.weight": 6}, rules=["q.weight=zeros"])
        assert shapes(quietly(tmp_path, rows={"q.*": "pad:4"})) == {}

    def test_a_config_that_is_not_there(self, model: Path):
        assert "config.json: is missing" in refused(model, set_config={"num_labels": 5})

    def test_a_config_that_would_not_be_copied(self, model: Path, tmp_path_factory: pytest.TempPathFactory):
        elsewhere = tmp_path_factory.mktemp("elsewhere") / "config.json"
        elsewhere.write_text("{}")
        (model / "config.json").symlink_to(elsewhere)
        assert "is a link that leads out of the directory" in refused(model, set_config={"num_labels": 5})

    @pytest.mark.parametrize(
        ("call", "said"),
        [
            ("scale:by=2", "computes new values from old ones, but rows 3 to 5 have no value yet"),
            ("perturb:std=0.1", "rows 3 to 5 have no value yet"),
            ("perturb:std=0.1,rel=true", "rows 3 to 5 have no value yet"),
            ("reinit:p=0.5,std=1", "rows 3 to 5 have no value yet"),
            ("permute_rows", "rows 3 to 5 have no value yet"),
            ("match_stats", "rows 3 to 5 have no value yet"),
            ("mean_rows:of=:", "rows 3 to 5 have no value yet; rows 0 to 3 have one"),
            ("mean_rows:of=2:4", "rows 3 to 4 have no value yet"),
        ],
    )
    def test_values_from_rows_that_have_none(self, model: Path, call: str, said: str):
        found = refused(model, rows={"classifier.weight": 5}, rules=[f"classifier.weight={call}"])
        assert said in found

    def test_a_copy_of_rows_that_have_none(self, model: Path):
        rules = ["lm_head.weight=copy:from=model.embed_tokens.weight", "model.embed_tokens.weight[6:]=zeros"]
        asked: Any = {"rows": {"{lm_head,model.embed_tokens}.weight": 8}}
        assert "it copies model.embed_tokens.weight, but rows 6 to 8 have no value yet" in refused(
            model, **asked, rules=rules
        )
        rules = ["lm_head.weight[6:]=copy:from=classifier.weight,row=1", "model.embed_tokens.weight[6:]=zeros"]
        assert quietly(model, **asked, rules=rules)


class TestARuleForNewRows:
    """Recipes are used again, also for a checkpoint that has the rows already."""

    RULE = "{lm_head,model.embed_tokens}.weight[6:]=zeros"

    def asked(self, size: int | str) -> dict[str, Any]:
        return {"rows": {"{lm_head,model.embed_tokens}.weight": size}, "rules": [self.RULE]}

    @pytest.mark.parametrize("size", [6, "pad:6", "pad:3"])
    def test_has_nothing_to_do_if_there_are_none(self, model: Path, size: int | str):
        plan = quietly(model, **self.asked(size))
        assert plan.actions == ()
        assert [str(problem) for problem in plan.warnings] == [
            f"rule 1 ({self.RULE}): selects no rows of lm_head.weight (6 rows), model.embed_tokens.weight (6 rows)"
        ]
        again = model / "again.toml"
        again.write_text(plan.recipe())
        assert quietly(model, recipes=[again]).actions == ()

    def test_decides_them_in_the_tensors_that_get_some(self, model: Path):
        asked = self.asked("pad:4")
        assert [action.rows for action in quietly(model, **asked).actions] == [(6, 8), (6, 8)]
        asked["rows"] = {"lm_head.weight": 6, "model.embed_tokens.weight": 8}
        plan = quietly(model, **asked)
        assert [(action.tensor.name, action.rows) for action in plan.actions] == [("model.embed_tokens.weight", (6, 8))]
        assert "selects no rows of lm_head.weight (6 rows)" in str(plan.warnings[0])

    @pytest.mark.parametrize("bounds", ["[6:8]", "[7:]", "[6:6]"])
    def test_is_still_refused_if_it_names_rows_that_are_not_there(self, model: Path, bounds: str):
        asked = self.asked("pad:6") | {"rules": [self.RULE.replace("[6:]", bounds)]}
        assert "see initctl help rows" in (said := refused(model, **asked))
        assert "changes it" not in said

    def test_is_refused_for_a_tensor_of_no_other_size(self, model: Path):
        assert "so [3:] selects none" in refused(model, rows={"lm_head.*": 6}, rules=["classifier.weight[3:]=zeros"])


class TestOneFault:
    """A fault is reported once, although several checks see it."""

    def test_of_a_rule_whose_rows_are_not_there_hides_that_new_rows_are_not_filled(self, model: Path):
        said = refused(model, rows={"classifier.weight": 5}, rules=["classifier.weight[7:]=zeros"], require_all=True)
        unfit, undecided = sorted(said.splitlines(), reverse=True)
        assert "the rule takes rows from 7 on, but the tensor has 5" in unfit
        assert "classifier.weight" not in undecided

    def test_of_a_tie_that_is_filled_in_part_hides_that_the_other_name_is_undecided(self, tmp_path: Path):
        weight = torch.ones(3, 4)
        torch.save({"a": weight, "b": weight}, tmp_path / "model.pt")
        for asked in ({}, {"require_all": True}):
            said = refused(tmp_path / "model.pt", rows={"[ab]": 5}, rules=["a=zeros"], **asked)
            assert said.startswith("a, b are one tensor, but rules treat them differently")
            assert "\n" not in said
        said = refused(tmp_path / "model.pt", rows={"[ab]": 5}, rules=["[ab][3:]=zeros"], require_all=True)
        assert said.startswith("no rule decides a (float32), b (float32)")

    def test_of_new_rows_without_a_value_hides_that_no_rule_decides_the_tensor(self, model: Path):
        rules = ["{model,lm_head}.*=keep", "classifier.weight=zeros"]
        said = refused(model, rows={"classifier.*": 5}, rules=[*rules, "scale=keep"], require_all=True)
        assert said.startswith("no rule fills classifier.bias[3:5]")
        assert "\n" not in said


def test_old_values_may_be_used_in_rows_that_have_them(model: Path):
    rules = ["classifier.weight[:3]=scale:by=2", "classifier.weight[3:]=mean_rows:of=0:3"]
    assert quietly(model, rows={"classifier.weight": 5}, rules=rules)


LABELS = {"0": "a", "1": "b", "2": "c"}


def test_tensors_that_differ_only_in_their_old_sizes_are_decided_apart(tmp_path: Path):
    save_file(
        {"l.0.w": torch.ones(3, 4), "l.1.w": torch.ones(5, 4), "l.2.w": torch.ones(6, 4)},
        tmp_path / "model.safetensors",
    )
    asked: Any = {"rows": {"l.0.w": 5, "l.2.w": 5}, "rules": ["*=scale:by=2"]}
    said = refused(tmp_path, **asked)
    assert said.count("tensor ") == 1
    assert "tensor l.0.w [5, 4]: scale does not fit" in said


class TestWarnings:
    @pytest.mark.parametrize(
        ("config", "said"),
        [
            ({"num_labels": 3}, "num_labels says 3, but {}; add --set-config 'num_labels=5'"),
            ({"id2label": LABELS, "x": 3}, "id2label says 3, but {}; add --set-config 'num_labels=5'"),
            ({"inner": {"num_labels": 3}}, "inner.num_labels says 3, but {}; add --set-config 'inner.num_labels=5'"),
        ],
    )  # fmt: skip
    def test_of_fields_that_no_longer_fit(self, model: Path, config: dict[str, Any], said: str):
        (found,) = warned(model, config, rows={"classifier.*": 5}, rules=["classifier.*=zeros"])
        assert found == "config.json: " + said.format("the new number of rows is 5: classifier.bias, classifier.weight")

    @pytest.mark.parametrize("config", [{}, {"num_labels": 4}, {"vocab_size": 6}, {"type_vocab_size": 3}])
    def test_not_of_fields_of_other_numbers(self, model: Path, config: dict[str, Any]):
        assert warned(model, config, rows={"classifier.*": 5}, rules=["classifier.*=zeros"]) == []

    def test_not_of_fields_that_are_set(self, model: Path):
        asked: Any = {"rows": {"classifier.*": 5}, "rules": ["classifier.*=zeros"]}
        assert warned(model, {"num_labels": 3}, set_config={"num_labels": 5}, **asked) == []
        (found,) = warned(model, {"num_labels": 3}, set_config={"num_labels": 4}, **asked)
        assert "num_labels says 4, but the new number of rows is 5" in found

    def test_not_of_labels_if_the_tensor_is_not_a_head(self, tmp_path: Path):
        tensors = {"bert.embeddings.token_type_embeddings.weight": torch.ones(2, 4), "norm.weight": torch.ones(2)}
        save_file(tensors, tmp_path / "model.safetensors")
        kind = {"architectures": ["BertForSequenceClassification"]}
        asked: Any = {"rows": {"*": 3}, "rules": ["*=zeros"]}
        assert warned(tmp_path, {"type_vocab_size": 2, **kind}, set_config={"type_vocab_size": 3}, **asked) == []
        (found,) = warned(tmp_path, {"type_vocab_size": 2, "vocab_size": 2, "num_labels": 2, **kind}, **asked)
        assert found == (
            "config.json: type_vocab_size says 2, but the new number of rows is 3: "
            "bert.embeddings.token_type_embeddings.weight; add --set-config 'type_vocab_size=3'"
        )

    def test_of_a_number_of_rows_that_is_set_while_no_tensor_follows(self, model: Path):
        (found,) = warned(model, {"vocab_size": 6}, set_config={"vocab_size": 8})
        assert found == (
            "config.json: vocab_size says 8, but lm_head.weight, model.embed_tokens.weight keep 6 rows; "
            "add --rows '{lm_head,model.embed_tokens}.weight=8'"
        )
        (found,) = warned(model, {"id2label": LABELS, "vocab_size": 6}, set_config={"num_labels": 2})
        assert found.endswith("classifier.weight keep 3 rows; add --rows 'classifier.{bias,weight}=2'")
        assert warned(model, {"vocab_size": 4}, set_config={"vocab_size": 5}, rows={"model.layers.*": 3}) == []

    def test_not_of_a_number_of_rows_that_is_set_to_what_the_tensors_have(self, model: Path):
        for config in ({"vocab_size": 7}, {"vocab_size": 6}, {"text_config": {"vocab_size": 5}}):
            changes = {"text_config.vocab_size" if "text_config" in config else "vocab_size": 6}
            assert warned(model, config, set_config=changes) == []
        asked: Any = {"rows": {"{*embed_tokens,lm_head}.weight": 8}, "rules": ["{*embed_tokens,lm_head}.weight=ones"]}
        assert warned(model, {"vocab_size": 6}, set_config={"vocab_size": 8}, **asked) == []

    def test_of_a_width_that_no_tensor_has_any_more(self, model: Path):
        save_file({name: torch.ones(9, 6) for name in ("up", "gate")}, model / "model.safetensors")
        changed: Any = {"dims": {"{up,gate}": [9, 8]}, "rules": ["*=zeros"]}
        (found,) = warned(model, {"hidden_size": 9, "intermediate_size": 6, "x": 6}, **changed)
        assert found == (
            "config.json: intermediate_size says 6, but the new size is 8: gate, up; "
            "add --set-config 'intermediate_size=8'"
        )
        (found,) = warned(model, {"intermediate_size": 6}, set_config={"intermediate_size": 7})
        assert found == (
            "config.json: intermediate_size says 7, but gate, up keep the size 6; "
            "give them other shapes with --dims, or leave intermediate_size as it was"
        )
        assert warned(model, {"intermediate_size": 6}, set_config={"intermediate_size": 8}, **changed) == []

    def test_not_of_a_width_that_some_tensors_keep_or_only_one_had(self, model: Path):
        save_file({"up": torch.ones(9, 6), "gate": torch.ones(9, 6), "one": torch.ones(5)}, model / "model.safetensors")
        config = {"intermediate_size": 6, "hidden_size": 5}
        for dims in ({"up": [9, 8]}, {"up": [9, 8], "gate": [9, 7]}, {"one": [4]}, {"{up,gate}": [3, 6]}):
            assert warned(model, config, dims=dims, rules=["*=zeros"]) == []

    def test_of_the_part_of_a_model_that_a_field_is_about(self, model: Path):
        parts = ("text", "vision", "encoder", "decoder")
        save_file({f"{p}.{n}": torch.ones(9, 6) for p in parts for n in "ab"}, model / "model.safetensors")
        config = {"vision_config": {"hidden_size": 6}, "text_config": {"hidden_size": 6}, "encoder_ffn_dim": 6}
        for key, part in (("vision_config.hidden_size", "vision"), ("encoder_ffn_dim", "encoder")):
            (found,) = warned(model, config, set_config={key: 7})
            assert f"{key} says 7, but {part}.a, {part}.b keep the size 6" in found
        (found,) = warned(model, config, dims={"text.*": [9, 7]}, rules=["*=zeros"])
        assert "text_config.hidden_size says 6, but the new size is 7: text.a, text.b" in found

    @pytest.mark.parametrize(
        ("key", "said"),
        [
            ("num_label", "; did you mean num_labels?"),
            ("vocabsize", "; did you mean vocab_size?"),
            ("hidden_size", "; did you mean text_config.hidden_size?"),
            ("text_config.hiden_size", "; did you mean text_config.hidden_size?"),
            ("textconfig.x", "; did you mean text_config?"),
            ("something.else", ""),
        ],
    )
    def test_of_fields_that_the_configuration_does_not_have(self, model: Path, key: str, said: str):
        config = {"vocab_size": 9, "text_config": {"hidden_size": 7}}
        (found,) = warned(model, config, set_config={key: 5})
        added = "something" if key.startswith("something") else key.removesuffix(".x")
        assert found == f"config.json: has no field {added}, so it is added{said}"

    @pytest.mark.parametrize(
        "key", ["num_labels", "text_config.tie_word_embeddings", "id2label.7", "rope_scaling.factor", "vocab_size"]
    )
    def test_not_of_fields_that_any_configuration_may_have(self, model: Path, key: str):
        config = {"vocab_size": 9, "text_config": {}, "id2label": {"0": "a"}, "rope_scaling": {}}
        assert warned(model, config, set_config={key: 5}) == []

    def test_not_of_the_fields_that_transformers_gives_every_configuration(self, model: Path):
        common = transformers.PreTrainedConfig().to_dict().keys() - {"_name_or_path", "model_type"}
        assert common > {"problem_type", "return_dict"}
        assert warned(model, {}, set_config=dict.fromkeys(common, "x")) == []

    def test_of_an_output_layer_or_a_bias_that_keeps_its_rows(self, model: Path):
        (found,) = warned(model, {}, rows={"model.embed_tokens.weight": 5})
        assert "model.embed_tokens.weight gets 5 rows, but lm_head.weight keeps 6" in found
        assert "--rows '{model.embed_tokens,lm_head}.weight=5'" in found
        (found,) = warned(model, {}, rows={"classifier.weight": 2})
        assert "classifier.weight gets 2 rows, but classifier.bias keeps 3" in found
        assert warned(model, {}, rows={"model.layers.0.fc.weight": 2}) == []

    @pytest.mark.parametrize(
        ("name", "field"),
        [
            ("transformer.wpe.weight", "n_positions"),
            ("bert.embeddings.position_embeddings.weight", "max_position_embeddings"),
            ("model.decoder.embed_positions.weight", "max_target_positions"),
        ],
    )
    def test_of_positions(self, tmp_path: Path, name: str, field: str):
        save_file({name: torch.ones(6, 4), "transformer.wte.weight": torch.ones(6, 4)}, tmp_path / "model.safetensors")
        (found,) = warned(tmp_path, {field: 6}, rows={name: 8}, rules=[f"{name}=zeros"])
        assert found.endswith(f"{field} says 6, but the new number of rows is 8: {name}; add --set-config '{field}=8'")
        (found,) = warned(tmp_path, {field: 6}, set_config={field: 8})
        assert found.endswith(f"{field} says 8, but {name} keeps 6 rows; add --rows '{name}=8'")

    def test_of_the_bias_of_a_bert_head(self, tmp_path: Path):
        save_file(
            {"bert.embeddings.word_embeddings.weight": torch.ones(6, 4), "cls.predictions.bias": torch.ones(6)},
            tmp_path / "model.safetensors",
        )
        (found,) = warned(tmp_path, {}, rows={"*.word_embeddings.weight": 5})
        assert "but cls.predictions.bias keeps 6" in found

    def test_of_what_several_tensors_leave_behind_is_one(self, tmp_path: Path):
        weights = ("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight")
        tensors = {name: torch.ones(6, 4) for name in weights} | {"cls.predictions.bias": torch.ones(6)}
        save_file(tensors, tmp_path / "model.safetensors")
        (found,) = warned(tmp_path, {}, rows={"*.{word_embeddings,decoder}.weight": 5})
        assert found == (
            f"{weights[0]}, {weights[1]} get 5 rows, but cls.predictions.bias keeps 6; if they belong together, write "
            "--rows '{bert.embeddings.word_embeddings.weight,cls.predictions.decoder.weight,cls.predictions.bias}=5'"
        )


def test_a_recipe_has_sizes_and_settings_and_options_come_after_it(model: Path, tmp_path: Path):
    (model / "config.json").write_text('{"num_labels": 3, "inner": {"a": 1}}')
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        '[rows]\n"classifier.*" = 5\n"lm_head.weight" = "pad:4"\n[dims]\nscale = [2]\n[set_config]\nnum_labels = 5\n'
        'inner.a = 2\n[[rule]]\nmatch = ["classifier.*", "lm_head.weight[6:]", "scale"]\ninit = "zeros"\n'
    )
    plan = quietly(model, recipes=[recipe], rows={"classifier.bias": 4})
    assert shapes(plan) == {
        "classifier.bias": (4,),
        "classifier.weight": (5, 4),
        "lm_head.weight": (8, 4),
        "scale": (2,),
    }
    assert plan.to_json()["set_config"] == {"num_labels": 5, "inner.a": 2}
    assert [str(setting) for setting in plan.checkpoint.result.fields] == ["num_labels=5", "inner.a=2"]
    (tmp_path / "again.toml").write_text(plan.recipe())
    again = quietly(model, recipes=[tmp_path / "again.toml"])
    assert again.to_document() | {"actions": []} == plan.to_document() | {
        "actions": [],
        "digest": again.to_document()["digest"],
    }
    assert [action.to_json() | {"source": "", "rule": ""} for action in again.actions] == [
        action.to_json() | {"source": "", "rule": ""} for action in plan.actions
    ]


def test_a_recipe_that_extends_another_may_give_other_sizes(model: Path, tmp_path: Path):
    (tmp_path / "base.toml").write_text('[rows]\n"classifier.*" = 2\n')
    (tmp_path / "more.toml").write_text('extends = "base.toml"\n[rows]\n"classifier.bias" = 1\n')
    assert shapes(quietly(model, recipes=[tmp_path / "more.toml"])) == {
        "classifier.bias": (1,),
        "classifier.weight": (2, 4),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[rows]\n"a" = 0\n', "recipe.toml:2:1: rows: a: 0 is not a number of 1 or more"),
        ('[rows]\n"no.such" = 5\n', "recipe.toml:2:1: rows (no.such=5): matches no tensor"),
        ('[dims]\n"a" = "x"\n', "recipe.toml:2:1: dims: a: x is not a list of numbers of 1 or more"),
        ("[set_config]\na = 1979-05-27\n", "recipe.toml:2:1: set_config: a: "),
        ("rows = 3\n", "recipe.toml:1:1: rows: must be a table"),
    ],
)
def test_a_fault_in_a_recipe_is_named_with_its_place(model: Path, tmp_path: Path, text: str, said: str):
    (tmp_path / "recipe.toml").write_text(text)
    assert said in refused(model, recipes=[tmp_path / "recipe.toml"])


def test_sizes_of_an_optional_recipe_may_match_nothing(model: Path, tmp_path: Path):
    (tmp_path / "recipe.toml").write_text('optional = true\n[rows]\n"no.such" = 5\n"classifier.bias" = 2\n')
    assert shapes(quietly(model, recipes=[tmp_path / "recipe.toml"])) == {"classifier.bias": (2,)}


def test_an_effective_recipe_has_only_the_sizes_that_decide(model: Path, tmp_path: Path):
    (tmp_path / "recipe.toml").write_text(
        'optional = true\n[rows]\n"no.such" = 5\n"classifier.*" = 2\n"*.fc.weight" = 3\n"lm_head.weight" = 9\n'
    )
    plan = quietly(model, recipes=[tmp_path / "recipe.toml"], rows={"lm_head.*": 4, "classifier.*": 1, "*.bias": 2})
    assert tomllib.loads(plan.recipe())["rows"] == {"*.fc.weight": 3, "lm_head.*": 4, "classifier.*": 1, "*.bias": 2}
    (tmp_path / "again.toml").write_text(plan.recipe())
    again = quietly(model, recipes=[tmp_path / "again.toml"])
    assert shapes(again) == shapes(plan)
    assert again.recipe() == plan.recipe()


def test_a_wrong_type_is_refused_with_what_to_write(model: Path):
    for asked, said in (
        ({"rows": ["a=5"]}, "rows: a list is not a dict; write rows={'classifier.weight': 5}"),
        ({"set_config": {5: 5}}, "set_config: the key 5 is not a string"),
    ):
        with pytest.raises(TypeError, match=r"dict|string") as raised:
            initctl.plan(model, **asked)
        assert str(raised.value).startswith(said)

"""Models of transformers get other sizes: they load, run, and hold everything else that they held."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

import initctl

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
INDEX = "model.safetensors.index.json"


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    """A BERT classifier of three labels."""
    names = {0: "bad", 1: "fair", 2: "good"}
    numbers = {name: number for number, name in names.items()}
    config = transformers.BertConfig(vocab_size=90, id2label=names, label2id=numbers, **SMALL)
    torch.manual_seed(0)
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def llama(folder: Path, *, tied: bool, shard: str) -> Path:
    config = transformers.LlamaConfig(
        vocab_size=96, num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=tied, **SMALL
    )
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(config).save_pretrained(folder, max_shard_size=shard)
    return folder


def held(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def loaded(kind: Any, folder: Path) -> Any:
    """The model in `folder`, which has exactly its tensors."""
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"))
    return model.eval()


def same_bytes(one: Path, other: Path, without: set[str]) -> None:
    """All files of both directories are equal, without those that have to differ."""
    names = {path.name for path in one.iterdir()}
    assert names == {path.name for path in other.iterdir()}
    for name in names - without:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_a_classifier_of_three_labels_becomes_one_of_five(classifier: Path, tmp_path: Path):
    asked: Any = {
        "rows": {"classifier.*": 5},
        "set_config": {"num_labels": 5},
        "rules": ["classifier.weight[3:]=normal:std=0.02", "classifier.bias[3:]=zeros"],
    }
    result = tmp_path / "five"
    initctl.apply(classifier, result, **asked)
    before, after = held(classifier), held(result)
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        rows = slice(3) if name.startswith("classifier.") else slice(None)
        assert torch.equal(after[name][rows], tensor), name
    assert after["classifier.weight"].shape == (5, 32)
    assert 0 < after["classifier.weight"][3:].std() < 0.04
    assert not after["classifier.bias"][3:].any()
    same_bytes(classifier, result, {"model.safetensors", "config.json"})
    old, new = (json.loads((folder / "config.json").read_text()) for folder in (classifier, result))
    assert {key: value for key, value in new.items() if old.get(key) != value} == {
        "num_labels": 5,
        "id2label": {"0": "bad", "1": "fair", "2": "good", "3": "LABEL_3", "4": "LABEL_4"},
        "label2id": {"bad": 0, "fair": 1, "good": 2, "LABEL_3": 3, "LABEL_4": 4},
    }

    kind = transformers.BertForSequenceClassification
    small, large = loaded(kind, classifier), loaded(kind, result)
    assert large.config.num_labels == 5
    tokens = torch.arange(12).reshape(2, 6)
    logits = large(tokens).logits
    assert logits.shape == (2, 5)
    torch.testing.assert_close(logits[:, :3], small(tokens).logits)
    assert initctl.verify(classifier, result, **asked)


def test_a_classifier_of_two_labels_that_config_does_not_name_becomes_one_of_three(tmp_path: Path):
    config = transformers.BertConfig(vocab_size=90, **SMALL)
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path / "two")
    assert "id2label" not in json.loads((tmp_path / "two" / "config.json").read_text())
    asked: Any = {"rows": {"classifier.*": 3}, "rules": ["classifier.*=zeros"]}
    with pytest.warns(initctl.InitctlWarning, match=r"num_labels says 2, .* 3: classifier.bias, classifier.weight"):
        initctl.plan(tmp_path / "two", **asked)
    with pytest.warns(initctl.InitctlWarning, match=r"num_labels says 4, .* 3: classifier.bias, classifier.weight"):
        initctl.plan(tmp_path / "two", set_config={"num_labels": 4}, **asked)
    initctl.apply(tmp_path / "two", tmp_path / "three", set_config={"num_labels": 3}, **asked)
    model = loaded(transformers.BertForSequenceClassification, tmp_path / "three")
    assert model(torch.arange(4).reshape(1, 4)).logits.shape == (1, 3)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("shard", ["1GB", "15KB"], ids=["one file", "shards"])
def test_a_vocabulary_grows_by_64_rows(tmp_path: Path, tied: bool, shard: str):
    original, result = llama(tmp_path / "llama", tied=tied, shard=shard), tmp_path / "more"
    pattern = "model.embed_tokens.weight" if tied else "{model.embed_tokens,lm_head}.weight"
    asked: Any = {
        "rows": {pattern: 160},
        "set_config": {"vocab_size": 160},
        "rules": [f"{pattern}[96:]=mean_rows:of=0:96,std=1e-3"],
    }
    initctl.apply(original, result, **asked)
    before, after = held(original), held(result)
    assert before.keys() == after.keys()
    grown = {"model.embed_tokens.weight"} if tied else {"model.embed_tokens.weight", "lm_head.weight"}
    for name, tensor in before.items():
        assert torch.equal(after[name][:96] if name in grown else after[name], tensor), name
    for name in grown:
        assert after[name].shape == (160, 32)
        torch.testing.assert_close(after[name][96:].mean(0), before[name].mean(0), atol=1e-3, rtol=0)
    changed = {file.name for file in original.glob("*.safetensors") if grown & load_file(file).keys()}
    same_bytes(original, result, {*changed, "config.json", INDEX})
    old, new = ((folder / "config.json").read_text() for folder in (original, result))
    assert new == old.replace('"vocab_size": 96', '"vocab_size": 160')
    if (original / INDEX).exists():
        assert len(changed) == len(grown)
        old, new = (json.loads((folder / INDEX).read_text()) for folder in (original, result))
        assert new["weight_map"] == old["weight_map"]
        assert new["metadata"]["total_size"] == sum(tensor.nbytes for tensor in after.values())
        assert new["metadata"]["total_parameters"] == sum(tensor.numel() for tensor in after.values())

    small, large = (loaded(transformers.LlamaForCausalLM, folder) for folder in (original, result))
    assert (large.lm_head.weight is large.model.embed_tokens.weight) == tied
    tokens = torch.arange(12).reshape(2, 6)
    logits = large(tokens + 96).logits
    assert logits.shape == (2, 6, 160)
    assert logits.isfinite().all()
    torch.testing.assert_close(large(tokens).logits[..., :96], small(tokens).logits)
    assert initctl.verify(original, result, **asked)


def test_a_vocabulary_shrinks_in_place(tmp_path: Path):
    folder = llama(tmp_path / "llama", tied=False, shard="15KB")
    before = held(folder)
    pattern = "{model.embed_tokens,lm_head}.weight"
    initctl.apply(folder, in_place=True, rows={pattern: 64}, set_config={"vocab_size": 64})
    after = held(folder)
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor[:64] if len(tensor) == 96 else tensor), name
    model = loaded(transformers.LlamaForCausalLM, folder)
    assert model(torch.arange(6).reshape(1, 6)).logits.shape == (1, 6, 64)


def test_position_embeddings_get_another_shape(tmp_path: Path):
    """A ViT for larger images: its position embeddings have one more dim before their rows."""
    config = transformers.ViTConfig(image_size=32, patch_size=16, num_labels=2, **SMALL)
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    name = "vit.embeddings.position_embeddings"
    asked: Any = {
        "dims": {name: [1, 17, 32]},
        "set_config": {"image_size": 64},
        "rules": [f"{name}=trunc_normal:std=0.02,cut=2"],
    }
    initctl.apply(tmp_path / "vit", tmp_path / "larger", **asked)
    model = loaded(transformers.ViTForImageClassification, tmp_path / "larger")
    assert model(torch.zeros(1, 3, 64, 64)).logits.shape == (1, 2)
    assert initctl.verify(tmp_path / "vit", tmp_path / "larger", **asked)

"""What a checkpoint holds, for people and for programs."""

from __future__ import annotations

import json

import pytest
import torch

import initctl
from tests.cli.checkpoints import checkpoint, shards
from tests.display.text import on_terminal, piped

TENSORS = {
    "conv.weight": ("BF16", (8, 3, 5, 5)),
    "bias": ("F32", (8,)),
    "scalar": ("I64", ()),
    "empty": ("F16", (0, 4)),
}


@pytest.fixture
def table(tmp_path):
    return initctl.inspect(checkpoint(tmp_path / "net.safetensors", TENSORS, {"format": "pt"}))


def text(table, unfold=False):
    return piped(table.report(unfold=unfold))


def test_the_json_has_the_keys_of_the_contract_in_their_order(table):
    data = table.to_json()
    assert list(data) == [
        *("format", "root", "metadata", "contents", "tensors", "outside"),
        *("optimizers", "copies", "totals"),
    ]
    assert data["tensors"][0] == {
        "name": "conv.weight",
        "dtype": "bfloat16",
        "shape": [8, 3, 5, 5],
        "elements": 600,
        "bytes": 1200,
        "fan_in": 75,
        "fan_out": 200,
        "layout": None,
        "file": "net.safetensors",
        "tied_to": None,
        "unwritable": None,
    }
    assert all(list(tensor) == list(data["tensors"][0]) for tensor in data["tensors"])
    assert (data["root"], data["contents"], data["outside"]) == ("", {}, [])
    assert data["metadata"] == {"net.safetensors": {"format": "pt"}}
    assert data["totals"] == {"tensors": 4, "elements": 609, "bytes": 1240}
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_a_narrowed_table_lists_and_counts_only_some_tensors(table):
    only = table.tensors[:2]
    data, lines = table.to_json(only), piped(table.report(only)).splitlines()
    assert [tensor["name"] for tensor in data["tensors"]] == ["conv.weight", "bias"]
    assert data["totals"] == {"tensors": 2, "elements": 608, "bytes": 1232}
    assert {**data, "tensors": [], "totals": {}} == {**table.to_json(), "tensors": [], "totals": {}}
    assert lines[1:4] == [text(table).splitlines()[1], text(table).splitlines()[2], ""]
    assert lines[4:] == ["2 tensors, 608 elements, 1.2 kB; safetensors, 1 file"]


def test_a_narrowed_table_knows_what_the_biases_show_and_counts_ties_once(tmp_path):
    tied = torch.zeros(3, 4)
    torch.save({"a": tied, "b": tied, "fc.weight": torch.zeros(2, 5), "fc.bias": torch.zeros(5)}, tmp_path / "m.pt")
    table = initctl.inspect(tmp_path / "m.pt")
    assert table.to_json(table.tensors[1:3])["tensors"][1]["layout"] == "io"
    report = piped(table.report(table.tensors[1:3]))
    assert "stored as [in, out], as their biases show: fc.weight; " in report
    assert "tied: a, b" in report
    assert "2 tensors, 22 elements, 88 bytes; " in report


def test_a_tensor_of_fewer_than_two_dims_has_no_fans(table):
    fans = {tensor["name"]: (tensor["fan_in"], tensor["fan_out"]) for tensor in table.to_json()["tensors"]}
    assert fans["bias"] == fans["scalar"] == (None, None)
    assert fans["empty"] == (4, 0)


def test_each_tensor_has_a_row_with_shape_dtype_fans_and_size(table):
    assert [line.split() for line in text(table).splitlines()[:5]] == [
        ["tensor", "shape", "dtype", "fan_in", "fan_out", "size"],
        ["conv.weight", "[8,", "3,", "5,", "5]", "bfloat16", "75", "200", "1.2", "kB"],
        ["bias", "[8]", "float32", "-", "-", "32", "bytes"],
        ["scalar", "[]", "int64", "-", "-", "8", "bytes"],
        ["empty", "[0,", "4]", "float16", "4", "0", "0", "bytes"],
    ]


def test_metadata_and_totals_follow(table):
    assert text(table).splitlines()[-2:] == [
        "net.safetensors: format = pt",
        "4 tensors, 609 elements, 1.2 kB; safetensors, 1 file",
    ]


def test_shards_say_which_file_holds_a_tensor(tmp_path):
    table = initctl.inspect(shards(tmp_path / "model", one={"a": ("F32", (2,))}, two={"b": ("F32", (2,))}))
    assert [tensor["file"] for tensor in table.to_json()["tensors"]] == ["one.safetensors", "two.safetensors"]
    assert text(table).splitlines()[-1] == "2 tensors, 4 elements, 16 bytes; safetensors-sharded, 2 files"


def test_a_long_list_is_folded_unless_asked_otherwise(tmp_path):
    layers = {f"layers.{n}.w": ("F32", (2, 2)) for n in range(31)}
    table = initctl.inspect(checkpoint(tmp_path / "net.safetensors", layers))
    assert text(table).splitlines()[1].split()[0] == "layers.{0..30}.w"
    assert [line.split()[0] for line in text(table, unfold=True).splitlines()[1:32]] == list(layers)


def test_names_of_256_characters_are_whole_and_longer_ones_cut_where_people_read(tmp_path):
    names = ["n" * 256, "m" * 300]
    table = initctl.inspect(checkpoint(tmp_path / "net.safetensors", dict.fromkeys(names, ("F32", ()))))
    assert [line.split()[0] for line in text(table).splitlines()[1:3]] == ["n" * 256, "m" * 256 + "…"]
    assert [tensor["name"] for tensor in table.to_json()["tensors"]] == names


def test_metadata_is_shown_escaped_whatever_the_file_is_called(tmp_path):
    metadata = {"\x1b[31m": "v\n::error::x", "b": "[/nope] :smile:"}
    table = initctl.inspect(checkpoint(tmp_path / ":", {"w": ("F32", ())}, metadata))
    assert text(table).splitlines()[-3:-1] == [
        r":\x3a \x1b[31m = v\x0a::error::x",
        r":\x3a b = [/nope] :smile:",
    ]


def test_it_shows_itself_in_a_repl_and_a_notebook(table):
    assert repr(table) == text(table)
    assert "<td>conv.weight</td>" in table._repr_html_()


def test_a_narrow_terminal_gets_everything(table):
    narrow = "".join(on_terminal(table.report(), 12).split())
    assert narrow.startswith("tensorconv.weightshape[8,3,5,5]dtypebfloat16fan_in75fan_out200size1.2kBbias")


class TestAWeightWithItsInputsBeforeItsOutputs:
    """Its fans are not those that the table shows: a note names it, and the layout that a rule must give."""

    def test_shows_by_its_biases(self, tmp_path):
        layers = {f"h.{layer}.c_fc.weight": ("F32", (4, 16)) for layer in range(3)}
        layers |= {f"h.{layer}.c_fc.bias": ("F32", (16,)) for layer in range(3)}
        table = initctl.inspect(checkpoint(tmp_path / "gpt2.safetensors", layers))
        assert text(table).splitlines()[-2] == (
            "stored as [in, out], as their biases show: h.{0..2}.c_fc.weight ×3; the fans above assume [out, in]: "
            "write layout=io in a rule that uses fans (`initctl help fans`)"
        )
        assert {tensor["layout"] for tensor in table.to_json()["tensors"] if "weight" in tensor["name"]} == {"io"}

    def test_shows_by_its_name_in_flax(self, tmp_path):
        table = initctl.inspect(checkpoint(tmp_path / "m.safetensors", {"conv.kernel": ("F32", (3, 3, 8, 16))}))
        assert "stored as [k, k, in, out], as their names show: conv.kernel;" in text(table)
        assert "layout=kkio" in text(table)

    def test_may_be_a_transposed_convolution(self, tmp_path):
        torch.save(torch.nn.ConvTranspose2d(3, 8, 5).state_dict(), tmp_path / "m.pt")
        assert "layout=iokk" in text(initctl.inspect(tmp_path / "m.pt"))

    def test_is_none_of_torchs_other_layers(self, tmp_path):
        layers = [
            torch.nn.Linear(3, 5),
            torch.nn.Linear(1, 5),
            torch.nn.Linear(5, 1),
            torch.nn.Conv2d(6, 8, 3, groups=2),
        ]
        layers += [
            torch.nn.Bilinear(3, 4, 5),
            torch.nn.LayerNorm((4, 5)),
            torch.nn.LSTM(3, 5),
            torch.nn.Embedding(9, 4),
        ]
        torch.save(torch.nn.Sequential(*layers).state_dict(), tmp_path / "m.pt")
        assert "stored as" not in text(initctl.inspect(tmp_path / "m.pt"))


class TestATrainingCheckpoint:
    """What lies beside the state dict is told."""

    @pytest.fixture
    def training(self, tmp_path):
        tied = torch.ones(3, 2)
        state = {"a.weight": tied, "b.weight": tied, "s": torch.eye(2).to_sparse()}
        moments = {0: {"exp_avg": torch.ones(3, 2)}}
        saved = {"model": state, "optimizer": moments, "epoch": 3, "note\n\x1b[31m": "::error::", "args": object()}
        torch.save(saved, tmp_path / "last.ckpt")
        return initctl.inspect(tmp_path / "last.ckpt")

    def test_root_ties_reasons_other_tensors_and_contents_have_a_line_each(self, training):
        assert text(training).splitlines()[5:-1] == [
            "root: model",
            "tied: a.weight, b.weight",
            "s: no rule can fill it: it is sparse",
            "optimizer at optimizer: 1 tensor: exp_avg",
            "last.ckpt: model = dict of 3",
            "last.ckpt: optimizer = dict of 1",
            "last.ckpt: epoch = 3",
            r"last.ckpt: note\x0a\x1b[31m = ::error::",
            "last.ckpt: args = __builtin__.object",
            "last.ckpt: archive_version = 3",
        ]

    def test_the_json_tells_them_too(self, training):
        data = training.to_json()
        assert data["root"] == "model"
        assert [tensor["tied_to"] for tensor in data["tensors"]] == [None, "a.weight", None]
        assert [tensor["unwritable"] for tensor in data["tensors"]] == [None, None, "it is sparse"]
        assert [tensor["name"] for tensor in data["outside"]] == ["optimizer.0.exp_avg"]
        assert data["contents"]["last.ckpt"]["epoch"] == "3"
        assert data["totals"] == {"tensors": 3, "elements": 10, "bytes": 40}


def test_copies_of_parameters_have_a_line_with_the_program_that_writes_them(tmp_path):
    flat = [torch.ones(6), torch.ones(3)]
    torch.save({"module": {"fc.weight": torch.ones(2, 3)}, "fp32_groups_flat": flat}, tmp_path / "m.pt")
    table = initctl.inspect(tmp_path / "m.pt")
    assert [line for line in text(table).splitlines() if "fp32_groups_flat" in line] == [
        "copies of parameters at fp32_groups_flat: 2 tensors: DeepSpeed FP16_Optimizer",
        "m.pt: fp32_groups_flat = list of 2",
    ]


def test_what_several_files_say_alike_is_printed_once(tmp_path):
    """As transformers writes shards; the last one differs."""
    weight_map = {f"w{n}": f"model-{n:05d}-of-00041.safetensors" for n in range(1, 42)}
    for name, file in weight_map.items():
        metadata = {"format": "pt"} if name != "w41" else {"format": "mlx"}
        checkpoint(tmp_path / file, {name: ("F32", (2,))}, metadata)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    lines = text(initctl.inspect(tmp_path)).splitlines()
    assert [line for line in lines if "format" in line] == [
        "40 files: format = pt",
        "model-00041-of-00041.safetensors: format = mlx",
    ]

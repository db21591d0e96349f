"""The laws keep signals at their size, each activation with its own gain, and fit how weights lie."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import gelu, leaky_relu, relu, selu, silu, tanh

import initctl
from initctl.errors import UsageError
from initctl.initializers.scaling import calculate_gain
from initctl.suggesting.activations import ACTIVATIONS, choose_activation

ACTIVE = {"relu": relu, "leaky_relu": leaky_relu, "tanh": tanh, "gelu": gelu, "silu": silu, "selu": selu}


def suggested(state, folder, **asked):
    """The initializer that is suggested for each tensor of a state dict."""
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "m.safetensors")
    return {each.tensor.name: each.initializer for each in initctl.suggest(folder / "m.safetensors", **asked).tensors}


def filled(state, folder, **asked):
    """A state dict with the values that are suggested."""
    save_file(state, folder / "m.safetensors")
    (folder / "r.toml").write_text(initctl.suggest(folder / "m.safetensors", **asked).recipe())
    initctl.apply(folder / "m.safetensors", folder / "o.safetensors", recipes=[folder / "r.toml"], require_all=True)
    return load_file(folder / "o.safetensors")


@pytest.mark.parametrize("activation", ACTIVE)
def test_a_signal_of_size_1_keeps_its_size_through_a_layer(activation, tmp_path):
    network = nn.Sequential(nn.Linear(1024, 1024), nn.Linear(1024, 1024))
    layer = filled(network.state_dict(), tmp_path, activation=activation)["0.weight"]
    signal = torch.randn(512, 1024, generator=torch.Generator().manual_seed(0))
    assert (ACTIVE[activation](signal) @ layer.T).std().item() == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "selu"])
def test_a_signal_neither_vanishes_nor_explodes_in_thirty_layers(activation, tmp_path):
    network = nn.Sequential(*(nn.Linear(512, 512) for _ in range(30)), nn.Linear(512, 10))
    network.load_state_dict(filled(network.state_dict(), tmp_path, activation=activation))
    signal = torch.randn(256, 512, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for layer in network[:-1]:
            signal = ACTIVE[activation](layer(signal))
    assert 0.25 < signal.square().mean().sqrt() < 2


@pytest.mark.parametrize(
    ("activation", "initializer"),
    [
        ("relu", "kaiming_normal:nonlinearity=relu"),
        ("leaky_relu", "kaiming_normal:a=0.01,nonlinearity=leaky_relu"),
        ("tanh", "xavier_normal:gain=1.6666666666666667"),
        ("sigmoid", "xavier_normal"),
        ("gelu", "kaiming_normal:nonlinearity=gelu"),
        ("silu", "kaiming_normal:nonlinearity=silu"),
        ("selu", "lecun_normal"),
    ],
)
def test_each_activation_has_its_law(activation, initializer, tmp_path):
    found = suggested(nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 4)).state_dict(), tmp_path, activation=activation)
    assert found == {"0.weight": initializer, "0.bias": "zeros", "1.weight": "xavier_normal", "1.bias": "zeros"}


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "sigmoid"])
def test_gains_are_those_of_torch(activation):
    slope = 0.01 if activation == "leaky_relu" else None
    assert calculate_gain(activation, slope or 0) == nn.init.calculate_gain(activation, slope)


def test_without_an_activation_relu_is_assumed():
    assert choose_activation(None, None).name == "relu"
    assert "assumed" in choose_activation(None, {"model_type": "x"}).origin


@pytest.mark.parametrize(
    ("said", "activation"),
    [
        *(("gelu_new", "gelu"), ("quick_gelu", "gelu"), ("swish", "silu"), ("silu", "silu"), ("relu6", "relu")),
        *(("tanh", "tanh"), ("relu2", "relu"), (None, "relu"), ([], "relu"), ({}, "relu")),
    ],
)
def test_config_json_says_which_activation_it_is(said, activation):
    assert choose_activation(None, {"hidden_act": said}).name == activation
    assert choose_activation("selu", {"hidden_act": said}).name == "selu"


def test_an_unknown_activation_is_refused():
    with pytest.raises(UsageError, match="unknown activation elu; did you mean selu"):
        choose_activation("elu", None)


def test_a_layer_that_lies_the_other_way_round_has_its_own_fans(tmp_path):
    """GPT-2's Conv1D: its biases say which dim is out."""
    state = {
        "h.0.mlp.c_fc.weight": torch.zeros(8, 32),
        "h.0.mlp.c_fc.bias": torch.zeros(32),
        "h.0.attn.c_attn.weight": torch.zeros(8, 24),
        "h.0.attn.c_attn.bias": torch.zeros(24),
        "ln.weight": torch.zeros(8),
        "head.weight": torch.zeros(5, 32),
    }
    found = suggested(state, tmp_path)
    assert found["h.0.mlp.c_fc.weight"] == "kaiming_normal:nonlinearity=relu,layout=io"
    assert found["h.0.attn.c_attn.weight"] == "xavier_normal:layout=io,split=3"


def test_what_is_beside_a_layer_counts_for_this_layer_alone(tmp_path):
    shapes = {
        "a.0.fc.weight": (8, 32),
        "a.0.fc.bias": (32,),
        "a.1.fc.weight": (8, 32),
        "a.1.fc.bias": (8,),
        "b.c": (8, 8),
    }
    found = suggested({name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path)
    assert "layout=io" in found["a.0.fc.weight"]
    assert "layout" not in found["a.1.fc.weight"]


def test_a_transposed_convolution_is_recognized_by_its_bias(tmp_path):
    found = suggested(nn.ConvTranspose2d(32, 16, 2).state_dict(), tmp_path)
    assert found["weight"] == "kaiming_normal:nonlinearity=relu,transposed=true"


def test_a_depthwise_convolution_counts_its_own_inputs(tmp_path):
    network = nn.Sequential(nn.Conv2d(3, 64, 3), nn.Conv2d(64, 64, 7, groups=64), nn.Conv2d(64, 8, 1))
    std = filled(network.state_dict(), tmp_path)["1.weight"].std()
    assert std == pytest.approx((2 / 49) ** 0.5, rel=0.05)
    assert filled(network.state_dict(), tmp_path, activation="sigmoid")["1.weight"].std() == pytest.approx(
        1 / 7, rel=0.05
    )


def test_stacked_experts_are_weights_of_their_own(tmp_path):
    experts = "layers.0.mlp.experts"
    rows = {f"{experts}.gate_up_proj": torch.zeros(4, 96, 64), f"{experts}.down_proj": torch.zeros(4, 64, 48)}
    columns = {f"{experts}.gate_up_proj": torch.zeros(4, 64, 96), f"{experts}.down_proj": torch.zeros(4, 48, 64)}
    biased = {f"{experts}.down_proj": torch.zeros(4, 48, 64), f"{experts}.down_proj_bias": torch.zeros(4, 64)}
    for state, layout in ((rows, "boi"), (columns, "bio"), (biased, "bio")):
        found = suggested(state, tmp_path)
        assert found[f"{experts}.down_proj"] == f"kaiming_normal:nonlinearity=relu,layout={layout}"


def test_each_gate_of_a_recurrent_layer_is_a_weight_of_its_own(tmp_path):
    for kind, count in ((nn.LSTM, 4), (nn.GRU, 3)):
        found = suggested(kind(8, 16, bidirectional=True).state_dict(), tmp_path)
        assert found["weight_hh_l0_reverse"] == f"orthogonal:split={count}"
        assert found["weight_ih_l0_reverse"] == f"xavier_uniform:split={count}"
    found = suggested(nn.LSTM(8, 16, proj_size=4).state_dict(), tmp_path)
    assert found["weight_hh_l0"] == "orthogonal:split=4"
    assert found["weight_hr_l0"] == "xavier_uniform"
    assert suggested(nn.RNN(8, 16).state_dict(), tmp_path)["weight_hh_l0"] == "orthogonal"


@pytest.mark.parametrize(
    ("scale", "bias"), [("ssmax_scaling.s", "ssmax_scaling.b"), ("softmax_scaling.scale", "softmax_scaling.bias")]
)
def test_queries_start_as_they_are_if_softmax_scales_them(scale, bias, tmp_path):
    state = {scale: torch.rand(8), bias: torch.rand(8), "wq.weight": torch.randn(64, 64)}
    assert (suggested(state, tmp_path)[scale], suggested(state, tmp_path)[bias]) == ("zeros", "ones")


def test_an_lstm_begins_with_its_forget_gate_open_once(tmp_path):
    state = filled(nn.LSTM(8, 16).state_dict(), tmp_path)
    both = state["bias_ih_l0"] + state["bias_hh_l0"]
    assert both.tolist() == [0.0] * 16 + [1.0] * 16 + [0.0] * 32


@pytest.mark.parametrize("dim", [0, 2])
def test_a_normalized_weight_has_the_size_that_it_would_have_without(dim, tmp_path):
    layer = nn.utils.parametrizations.weight_norm(nn.Conv1d(64, 96, 5), dim=dim)
    layer.load_state_dict(filled(layer.state_dict(), tmp_path))
    assert layer.weight.std().item() == pytest.approx((2 / (64 * 5)) ** 0.5, rel=0.02)


def test_a_low_rank_adapter_begins_without_effect(tmp_path):
    state = {"q.lora_A.weight": torch.ones(8, 64), "q.lora_B.weight": torch.ones(64, 8)}
    done = filled(state, tmp_path)
    assert done["q.lora_A.weight"].std() > 0
    assert not done["q.lora_B.weight"].any()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_tensors_without_elements_and_without_dims_are_filled(activation, tmp_path):
    shapes = {"a.weight": (0, 4), "b.weight": (4, 0), "c.weight": (0, 0), "c.bias": (0,), "d.weight": (0, 3, 3, 3)}
    state = {name: torch.zeros(shape) for name, shape in {**shapes, "scale": (), "e.weight": ()}.items()}
    assert filled(state, tmp_path, activation=activation).keys() == state.keys()

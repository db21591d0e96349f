"""Roles, on the names and shapes that real networks have."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from initctl.display.folding import fold
from initctl.dtypes import BY_NAME
from initctl.suggesting.neighbors import Neighbors
from initctl.suggesting.roles import roles
from initctl.tensors import TensorSpec

NORMS = ("norm", "bias", "running_mean", "running_var")


def found(tensors):
    """The role of each tensor of a table, `{name: shape}` or tensors."""
    specs = [
        TensorSpec(
            name,
            BY_NAME[str(getattr(of, "dtype", "float32")).removeprefix("torch.")],
            tuple(getattr(of, "shape", of)),
            (),
        )
        for name, of in tensors.items()
    ]
    return roles(Neighbors(specs), {})


def by_role(tensors, *, quiet=NORMS):
    """The same, of each role but the `quiet` ones: the names, those that differ in numbers only as one."""
    of_each: dict[str, list[str]] = {}
    for names, role in fold(found(tensors).items()):
        if role not in quiet:
            of_each.setdefault(role, []).append(names.pattern())
    return of_each


TORCH = {
    "fc1, ReLU, fc2": (
        nn.ModuleDict({"fc1": nn.Linear(784, 128), "fc2": nn.Linear(128, 10)}),
        {"linear": ["fc1.weight"], "head": ["fc2.weight"]},
    ),
    "layers without names": (
        nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)),
        {"linear": ["{0,2}.weight"], "head": ["4.weight"]},
    ),
    "square layers": (
        nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64)),
        {"linear": ["0.weight"], "head": ["2.weight"]},
    ),
    "more than nine layers": (
        nn.Sequential(*(nn.Linear(64, 64) for _ in range(11))),
        {"linear": ["{0..9}.weight"], "head": ["10.weight"]},
    ),
    "two heads": (
        nn.ModuleDict({"body": nn.Linear(8, 64), "policy": nn.Linear(64, 4), "value": nn.Linear(64, 1)}),
        {"linear": ["body.weight"], "head": ["policy.weight", "value.weight"]},
    ),
    "an autoencoder": (
        nn.ModuleDict({
            "encoder": nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 32)),
            "decoder": nn.Sequential(nn.Linear(32, 128), nn.ReLU(), nn.Linear(128, 784)),
        }),
        {"linear": ["encoder.{0,2}.weight", "decoder.0.weight"], "head": ["decoder.2.weight"]},
    ),
    "convolutions": (
        nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.BatchNorm2d(32), nn.PReLU(), nn.ConvTranspose2d(32, 16, 2), nn.GroupNorm(4, 16),
            nn.PReLU(16), nn.Flatten(), nn.Linear(64, 10),
        ),
        {"conv": ["{0,3}.weight"], "norm": ["{1,4,5}.weight"], "slope": ["2.weight"], "head": ["7.weight"]},
    ),
    "an LSTM": (
        nn.ModuleDict({"embedding": nn.Embedding(1000, 64), "lstm": nn.LSTM(64, 128), "out": nn.Linear(128, 1000)}),
        {
            "embedding": ["embedding.weight"], "recurrent_input": ["lstm.weight_ih_l0"],
            "recurrent": ["lstm.weight_hh_l0"], "forget_bias": ["lstm.bias_hh_l0"], "head": ["out.weight"],
        },
    ),
    "a GRU with an embedding that is not called so": (
        nn.ModuleDict({"encoder": nn.Embedding(1000, 64), "rnn": nn.GRU(64, 128), "decoder": nn.Linear(128, 1000)}),
        {
            "embedding": ["encoder.weight"], "recurrent_input": ["rnn.weight_ih_l0"],
            "recurrent": ["rnn.weight_hh_l0"], "head": ["decoder.weight"],
        },
    ),
    "cells": (
        nn.ModuleDict({"a": nn.LSTMCell(4, 8), "b": nn.GRUCell(4, 8), "c": nn.RNNCell(4, 8)}),
        {
            "recurrent_input": ["a.weight_ih", "b.weight_ih", "c.weight_ih"],
            "recurrent": ["a.weight_hh", "b.weight_hh", "c.weight_hh"], "forget_bias": ["a.bias_hh"],
        },
    ),
    "attention alone": (
        nn.MultiheadAttention(64, 4, kdim=32, vdim=16, add_bias_kv=True),
        {
            "attention": ["q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight"],
            "token": ["bias_k", "bias_v"],
        },
    ),
    "torch's own transformer": (
        nn.Transformer(64, 4, 2, 2, 128, batch_first=True),
        {
            "attention": [
                "encoder.layers.{0,1}.self_attn.in_proj_weight", "encoder.layers.{0,1}.self_attn.out_proj.weight",
                "decoder.layers.{0,1}.self_attn.in_proj_weight", "decoder.layers.{0,1}.self_attn.out_proj.weight",
                "decoder.layers.{0,1}.multihead_attn.in_proj_weight",
                "decoder.layers.{0,1}.multihead_attn.out_proj.weight",
            ],
            "linear": [
                "encoder.layers.{0,1}.linear1.weight", "encoder.layers.{0,1}.linear2.weight",
                "decoder.layers.{0,1}.linear1.weight", "decoder.layers.{0,1}.linear2.weight",
            ],
        },
    ),
    "normalized weights": (
        nn.ModuleDict({
            "conv": parametrizations.weight_norm(nn.Conv1d(8, 16, 3)),
            "fc": parametrizations.spectral_norm(nn.Linear(8, 8)),
        }),
        {
            "magnitude": ["conv.parametrizations.weight.original0"],
            "conv": ["conv.parametrizations.weight.original1"],
            "linear": ["fc.parametrizations.weight.original"],
            "power_iteration": ["fc.parametrizations.weight.0._u", "fc.parametrizations.weight.0._v"],
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("order", ["as built", "by name"])
@pytest.mark.parametrize(("network", "expected"), TORCH.values(), ids=TORCH)
def test_layers_of_torch(network, expected, order):
    state = network.state_dict()
    if order == "by name":  # as safetensors stores them
        state = dict(sorted(state.items()))
    quiet = {*NORMS} - expected.keys()
    assert {role: set(names) for role, names in by_role(state, quiet=quiet).items()} == {
        role: set(names) for role, names in expected.items()
    }


TABLES = {
    "vgg": """
        features.0.weight    64×3×3×3   conv
        classifier.0.weight  4096×512   linear
        classifier.3.weight  4096×4096  linear
        classifier.6.weight  1000×4096  head
    """,
    "resnet": """
        conv1.weight                  64×3×7×7   conv
        bn1.weight                    64         norm
        bn1.bias                      64         bias
        bn1.running_mean              64         running_mean
        bn1.running_var               64         running_var
        layer1.0.downsample.0.weight  64×64×1×1  conv
        fc.weight                     1000×512   head
    """,
    "mobilenet": """
        features.0.0.weight         32×3×3×3   conv
        features.1.conv.0.0.weight  32×1×3×3   conv
        classifier.1.weight         1000×1280  head
    """,
    "convnext of timm": """
        stages.0.blocks.0.gamma           96        scale
        stages.0.blocks.0.conv_dw.weight  96×1×7×7  conv
        stages.0.blocks.0.norm.weight     96        norm
        stages.0.blocks.0.mlp.grn.weight  384       scale
        stages.0.blocks.0.mlp.grn.bias    384       bias
        stages.0.blocks.0.mlp.fc1.weight  384×96    linear
        stages.0.blocks.0.mlp.fc2.weight  96×384    linear
        head.norm.weight                  96        norm
        head.fc.weight                    1000×96   head
    """,
    "vit of timm": """
        cls_token                  1×1×192      token
        pos_embed                  1×197×192    positional
        patch_embed.proj.weight    192×3×16×16  conv
        blocks.0.attn.qkv.weight   576×192      attention
        blocks.0.attn.proj.weight  192×192      attention
        blocks.0.ls1.gamma         192          scale
        blocks.0.mlp.fc1.weight    768×192      linear
        blocks.0.mlp.fc2.weight    192×768      linear
        norm.weight                192          norm
        head.weight                1000×192     head
    """,
    "Mimi": """
        layers.0.mlp_layer_scale.scale          64     scale
        layers.0.self_attn_layer_scale.scale    64     scale
        layers.0.self_attn.q_proj.weight        64×64  attention
    """,
    "swin": """
        layers.0.blocks.0.attn.relative_position_bias_table  169×3    positional
        layers.0.blocks.0.attn.logit_scale                   3×1×1    scale
        layers.0.downsample.reduction.weight                 192×384  linear
        layers.1.downsample.reduction.weight                 192×384  linear
    """,
    "blocks that are called after their attention": """
        b.0.window_attention.mlp_layer.1.weight        256×64  linear
        b.0.window_attention.attn_layer.to_qkv.weight  192×64  attention
        b.0.window_attention.attn_layer.merge.weight   64×64   attention
        b.0.window_attention.mlp_layer.3.weight        64×256  linear
    """,
    "low-rank adapters": """
        h.0.attn.c_attn.lora_A.weight  8×64   adapter_in
        h.0.attn.c_attn.lora_B.weight  192×8  adapter_out
        wte.lora_embedding_A           8×100  adapter_out
        wte.lora_embedding_B           64×8   adapter_in
        unet.down.lora_down.weight     4×64   adapter_in
        unet.down.lora_up.weight       64×4   adapter_out
    """,
    "old weight normalization": """
        a.weight_g     16×1  magnitude
        a.weight_v     16×8  linear
        s.weight_orig  8×8   linear
        s.weight_u     8     power_iteration
        s.weight_v     8     power_iteration
    """,
    "detr, whose heads are few outputs wide": """
        conv1.weight                      64×3×7×7  conv
        query_position_embeddings.weight  100×256   positional
        class_labels_classifier.weight    3×256     head
        class_labels_classifier.bias      3         bias
        bbox_predictor.layers.0.weight    256×256   linear
        bbox_predictor.layers.1.weight    256×256   linear
        bbox_predictor.layers.2.weight    4×256     head
    """,
    "a pipeline of diffusers": """
        time_embedding.linear_1.weight                                 1280×320     linear
        time_embedding.linear_1.bias                                   1280         bias
        down.0.attentions.0.proj_in.weight                             320×320×1×1  attention
        down.0.attentions.0.transformer_blocks.0.attn1.to_q.weight     320×320      attention
        down.0.attentions.0.transformer_blocks.0.ff.net.0.proj.weight  2560×320     linear
        down.0.attentions.0.transformer_blocks.0.ff.net.2.weight       320×1280     linear
        down.0.attentions.0.transformer_blocks.0.norm1.weight          320          norm
        down.0.resnets.0.time_emb_proj.weight                          320×1280     linear
        down.0.resnets.0.time_emb_proj.bias                            320          bias
        conv_out.weight                                                4×320×3×3    conv
    """,
    "Meta's Llama": """
        tok_embeddings.weight            32000×64  embedding
        layers.0.attention.wq.weight     64×64     attention
        layers.0.attention.wo.weight     64×64     attention
        layers.0.feed_forward.w1.weight  172×64    linear
        layers.0.feed_forward.w2.weight  64×172    linear
        layers.0.attention_norm.weight   64        norm
        output.weight                    32000×64  head
    """,
    "experts": """
        layers.0.mlp.gate.weight                 8×64      gate
        layers.0.mlp.experts.0.gate_proj.weight  172×64    linear
        layers.0.mlp.experts.0.down_proj.weight  64×172    linear
        layers.0.mlp.experts.gate_up_proj        8×344×64  linear
        layers.0.mlp.shared_expert_gate.weight   1×64      gate
        layers.1.mlp.gate.weight                 172×64    linear
        layers.2.mlp.gate.weight                 172×64    linear
    """,
    "names of Flax": """
        conv_init.kernel       7×7×3×64  conv
        bn_init.scale          64        norm
        bn_init.bias           64        bias
        wte.embedding          1000×64   embedding
        h.0.mlp.c_fc.kernel    64×256    linear
        h.0.mlp.c_proj.kernel  256×64    linear
        head.kernel            64×10     head
    """,
    "norms of heads": """
        layers.0.self_attn.q_proj.norm.scale    48×128  norm
        layers.0.self_attn.q_norm.weight        8×64    norm
        layers.0.self_attn.layernorm_qkv.weight 192×64  attention
    """,
    "scales of softmax": """
        layers.0.attention.ssmax_scaling.s        8   scale
        layers.0.attention.ssmax_scaling.b        8   scale
        layers.0.self_attn.softmax_scaling.scale  8   scale
        layers.0.self_attn.softmax_scaling.bias   8   scale
    """,
    "Zaya": """
        layers.0.mlp.gate.balancing_biases           17        unknown
        layers.0.self_attn.qk_norm.temp              2         unknown
        layers.0.self_attn.qkv_proj.v_proj_a.weight  16×64     attention
    """,
    "a norm with an activation": """
        bn_act.weight  64  norm
        act.weight     64  slope
    """,
    "what no name or shape says": """
        log_std              6   unknown
        layers.0.time_decay  64  unknown
        alpha                -   unknown
    """,
}
"""Names, shapes and roles, as other libraries have them."""


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_names_and_shapes_of_other_libraries(table):
    rows = [line.split() for line in table.strip().split("\n")]
    shapes = {name: tuple(map(int, shape.split("×"))) if shape != "-" else () for name, shape, _ in rows}
    assert found(shapes) == {name: role for name, _, role in rows}


def test_integers_have_no_role():
    assert found({"bn.num_batches_tracked": torch.tensor(0), "bn.weight": torch.ones(3)}) == {"bn.weight": "norm"}


def test_a_name_says_more_than_the_number_of_dims():
    shapes = {"normalizer.weight": (8, 8), "LayerNorm.weight": (8,), "norm1.linear.weight": (8, 8), "z.weight": (2, 8)}
    assert list(found(shapes).values()) == ["linear", "norm", "linear", "head"]


def test_a_role_does_not_depend_on_the_numbers_of_layers():
    shapes = {f"h.{number}.mlp.fc.weight": (64, 64) for number in range(50)}
    assert set(found(shapes).values()) == {"linear"}


def test_tensors_that_are_one_have_the_role_of_the_embedding():
    tied = ("lm_head.weight", "wte.weight")
    specs = [TensorSpec(name, BY_NAME["float32"], (1000, 64), (), tied) for name in tied]
    assert roles(Neighbors(specs), {}) == dict.fromkeys(tied, "embedding")

"""The law for each role, by the activation between layers, with the reason and the source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log, sqrt
from typing import TYPE_CHECKING

from initctl.planning.computed import computed_kind
from initctl.suggesting.activations import ACTIVATIONS, GLOROT, HE, Activation, Advice
from initctl.suggesting.arrangement import gates, groups, has_kernel, layout, split

if TYPE_CHECKING:
    from initctl.suggesting.neighbors import Seen


def advice(role: str, seen: Seen, activation: str) -> Advice:
    """The law that a tensor with this role should start from."""
    found = _BY_ROLE[role]
    return found if isinstance(found, Advice) else found(seen, ACTIVATIONS[activation])


def _with(advice: Advice, *arguments: str | None) -> Advice:
    """`advice` with further arguments."""
    given = ",".join(filter(None, arguments))
    if not given:
        return advice
    call = advice.initializer
    return advice._replace(initializer=f"{call}{',' if ':' in call else ':'}{given}")


def _layer(seen: Seen, activation: Activation) -> Advice:
    law = activation.advice
    return _with(law, layout(seen), groups(seen) if law.initializer.startswith("xavier") else None)


def _attention(seen: Seen, _: Activation) -> Advice:
    if seen.ndim == len(_BY_HEADS) and not has_kernel(seen):
        return _with(_ATTENTION, f"layout={_BY_HEADS}")
    return _with(_ATTENTION, layout(seen), split(seen))


def _head(seen: Seen, _: Activation) -> Advice:
    return _with(_HEAD, layout(seen))


def _recurrent(law: Advice) -> Callable[[Seen, Activation], Advice]:
    def found(seen: Seen, _: Activation) -> Advice:
        count = 1 if "_hr" in seen.last else gates(seen)
        return _with(law, f"split={count}" if count > 1 else None)

    return found


def _scale(seen: Seen, _: Activation) -> Advice:
    if logits := next((law for beginning, law in _LOGITS.items() if seen.last.startswith(beginning)), None):
        is_tenfold = "logit_bias" in seen.beside or seen.tensor.numel > 1
        return _TENFOLD if is_tenfold and seen.last == "logit_scale" else logits
    if seen.module == "grn":
        return _GRN
    if seen.module.endswith("max_scaling"):
        return _SOFTMAX_BIAS if seen.last.startswith("b") else _SOFTMAX_SCALE
    return _GAIN if seen.last.endswith("gain") else _LAYER_SCALE


def _magnitude(seen: Seen, activation: Activation) -> Advice:
    """The average length of the direction vectors beside it under their law."""
    last = seen.tensor.name.rpartition(".")[2]
    direction = seen.beside["original1" if last == "original0" else f"{last[:-1]}v"]
    fans = direction.fans or (1, 1)
    std = activation.std(*(max(1, fan) for fan in fans))
    length = std * sqrt(direction.numel / max(1, seen.tensor.numel))
    return Advice(f"constant:val={length:.6g}", *_MAGNITUDE)


def _power_iteration(seen: Seen, _: Activation) -> Advice:
    return Advice(f"normal:std={1 / sqrt(max(1, seen.tensor.numel)):.6g}", *_POWER_ITERATION)


_BY_HEADS = "ioo"
"""Inputs, heads, and the width of each, as in XLNet. Output matrices are reversed, but xavier needs only the sum."""
_GLOROT = f"{GLOROT}, eq. 12"
_ZEROS, _ONES, _KEEP = "zeros", "ones", "keep"
_SOFTMAX = "transformers: MistralLarge4TextSoftmaxScaling; Nakanishi 2025, Scalable-Softmax"
_SMALL = "normal:std=0.02"
_ATTENTION = Advice(
    "xavier_normal",
    "No activation follows an attention matrix, so gain 1 keeps the size of values and of gradients.",
    f"{_GLOROT}; torch.nn.MultiheadAttention",
)
_HEAD = Advice(
    "xavier_normal",
    "No activation follows the last layer, so gain 1 keeps the size of values and of gradients.",
    _GLOROT,
)
_LAYER_SCALE = Advice(
    "constant:val=1e-05",
    "If branches start near zero, a deep network starts as the identity.",
    "Touvron et al. 2021, Going deeper with Image Transformers; timm.layers.LayerScale",
)
_GRN = Advice(_ZEROS, "At 0, the normalization starts as the identity.", "Woo et al. 2023, ConvNeXt V2")
_SOFTMAX_SCALE, _SOFTMAX_BIAS = (
    Advice(law, "Queries are multiplied by scale · log(position) + bias, which starts as 1.", _SOFTMAX)
    for law in (_ZEROS, _ONES)
)
_MAGNITUDE = (
    "Weight normalization stores the length of each vector here: this is the average length under the layer's law.",
    "Salimans and Kingma 2016; torch.nn.utils.weight_norm",
)
_POWER_ITERATION = (
    "Power iteration starts from a random vector of length 1.",
    "Miyato et al. 2018; torch.nn.utils.spectral_norm",
)
_LOGITS = {
    "logit_scale": Advice(
        f"constant:val={log(1 / 0.07):.6g}",
        "Logits start at scale 1 / 0.07, and this is its logarithm.",
        "Radford et al. 2021, CLIP",
    ),
    "logit_bias": Advice(
        "constant:val=-10", "Most pairs do not match, so logits start low.", "Zhai et al. 2023, SigLIP"
    ),
    "temperature": Advice(
        _ONES, "At 1, logits stay unchanged.", "Guo et al. 2017, On Calibration of Modern Neural Networks"
    ),
}
_TENFOLD = Advice(
    f"constant:val={log(10):.6g}",
    "Logits start at scale 10, and this is its logarithm.",
    "Zhai et al. 2023, SigLIP; Liu et al. 2021, Swin V2",
)
_GAIN = Advice(_ONES, "A gain of 1 changes nothing.", "Brock et al. 2021, NFNet; timm.layers.ScaledStdConv2d")
_A_LOG = Advice("arange_log", "States decay at rates 1, 2, 3 and so on, kept as logarithms.", "Gu and Dao 2023, Mamba")
_D = Advice(_ONES, "At 1, inputs pass the states unchanged.", "Gu and Dao 2023, Mamba")

_BY_ROLE: Mapping[str, Advice | Callable[[Seen, Activation], Advice]] = {
    "linear": _layer,
    "conv": _layer,
    "attention": _attention,
    "head": _head,
    "embedding": Advice(
        _SMALL,
        "An embedding has no fans: its vectors start small, no matter how many there are.",
        "Radford et al. 2018, GPT; Devlin et al. 2018, BERT",
    ),
    "positional": Advice(
        _SMALL,
        "Positions are added to embeddings, so they start equally small.",
        "Dosovitskiy et al. 2020, ViT; Devlin et al. 2018",
    ),
    "token": Advice(_SMALL, "A learned input starts as small as an embedding.", "Dosovitskiy et al. 2020, ViT; timm"),
    "norm": Advice(_ONES, "At 1, a norm does not rescale its output.", "torch.nn.LayerNorm.reset_parameters"),
    "bias": Advice(_ZEROS, "Random weights already make units differ, so biases start at 0.", f"{GLOROT}; {HE}"),
    "gate": Advice(_SMALL, "With small logits, no expert is preferred at first.", "Muennighoff et al. 2024, OLMoE"),
    "recurrent": _recurrent(
        Advice(
            "orthogonal",
            "Products of orthogonal matrices neither vanish nor explode over many steps; each gate has its own matrix.",
            "Saxe et al. 2013; keras.layers.LSTM",
        )
    ),
    "recurrent_input": _recurrent(
        Advice(
            "xavier_uniform",
            "Gates saturate, so both fans count; each gate has its own matrix.",
            f"{_GLOROT}; keras.layers.LSTM",
        )
    ),
    "forget_bias": Advice(
        "lstm_bias",
        "An open forget gate passes gradients from the start; torch adds two biases, and one of them is enough.",
        "Jozefowicz et al. 2015",
    ),
    "scale": _scale,
    "slope": Advice("constant:val=0.25", "This is the usual initial slope.", f"{HE}; torch.nn.PReLU"),
    "states": lambda seen, _: _A_LOG if seen.last == "a_log" else _D,
    "time_steps": Advice(
        "inv_softplus_log_uniform",
        "Time steps start between 0.001 and 0.1, evenly in logarithms; zeros would make them all equal.",
        "Gu and Dao 2023, Mamba; mamba_ssm.modules.mamba_simple",
    ),
    "adapter_in": Advice(
        f"kaiming_uniform:a={sqrt(5)!r}",
        "Only one of the two matrices is random, with the law of torch.nn.Linear.",
        "peft.tuners.lora.LoraLayer",
    ),
    "adapter_out": Advice(
        _ZEROS, "While one of the two matrices is 0, the adapter has no effect.", "Hu et al. 2021, LoRA; peft"
    ),
    "magnitude": _magnitude,
    "power_iteration": _power_iteration,
    "running_mean": Advice(_ZEROS, "A batch norm starts from mean 0.", "torch.nn.BatchNorm2d.reset_running_stats"),
    "running_var": Advice(_ONES, "A batch norm starts from variance 1.", "torch.nn.BatchNorm2d.reset_running_stats"),
    "average": Advice(_KEEP, "Training measures this, so it is kept.", ""),
    "computed": lambda seen, _: Advice(
        _KEEP, f"This is {computed_kind(seen.tensor)}, which the model computes and does not learn.", ""
    ),
    "quantized": Advice(
        _KEEP, "Its values have a meaning only together with the weight's other parts: dequantize the model first.", ""
    ),
    "unwritable": lambda seen, _: Advice(_KEEP, f"No rule can fill it: {seen.tensor.unwritable}.", ""),
    "unknown": Advice(_KEEP, "Its name and its shape do not show its role, so it is kept: choose a law for it.", ""),
}

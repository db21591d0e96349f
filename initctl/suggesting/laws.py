"""The law that a role asks for, by the activation between layers, with the reason and the source."""

from __future__ import annotations

from math import log, prod, sqrt
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import Problem, UsageError, shown
from initctl.initializers.scaling import GELU_GAIN, SILU_GAIN, calculate_gain
from initctl.suggesting.arrangement import gates, has_kernel, layout, split
from initctl.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from initctl.suggesting.neighbors import Seen


class Advice(NamedTuple):
    """A law as a rule writes it, a sentence that says why, and who says so."""

    initializer: str
    reason: str
    source: str


class Activation(NamedTuple):
    """The law of the layers between which a nonlinearity is; `norm` is the length of a row that it gives, on average,
    from the fans.
    """

    advice: Advice
    norm: Callable[[int, int], float]


_HE = "He et al. 2015"
_GLOROT = "Glorot and Bengio 2010, eq. 12"
_MOMENT = "{}, eq. 10, with the mean square of {} in the place of that of ReLU"


def _he(nonlinearity: str, reason: str, source: str, gain: float, arguments: str = "") -> Activation:
    call = f"kaiming_normal:{arguments}nonlinearity={nonlinearity}"
    return Activation(Advice(call, reason, source), lambda *_: gain)


def _glorot(gain: float, reason: str, source: str) -> Activation:
    call = "xavier_normal" if gain == 1 else f"xavier_normal:gain={gain!r}"
    return Activation(
        Advice(call, reason, source), lambda fan_in, fan_out: gain * sqrt(2 * fan_in / (fan_in + fan_out))
    )


_SLOPE = 0.01
"""That of `torch.nn.LeakyReLU` below zero."""
_TANH = calculate_gain("tanh", 0)

ACTIVATIONS: Mapping[str, Activation] = {
    "relu": _he(
        "relu",
        "ReLU drops half of the mean square of what passes; variance 2 / fan_in makes up for it.",
        f"{_HE}, eq. 10",
        sqrt(2),
    ),
    "leaky_relu": _he(
        "leaky_relu",
        f"Leaky ReLU of slope {_SLOPE} drops nearly half of the mean square of what passes; variance "
        f"2 / ((1 + slope²) fan_in) makes up for it.",
        f"{_HE}, eq. 15",
        calculate_gain("leaky_relu", _SLOPE),
        f"a={_SLOPE},",
    ),
    "tanh": _glorot(
        _TANH,
        "tanh is near the identity around 0, so both fans count; gain 5/3 makes up for what it takes away.",
        f"{_GLOROT}; torch.nn.init.calculate_gain",
    ),
    "sigmoid": _glorot(
        1, "Sigmoid saturates, so both fans keep its inputs small.", f"{_GLOROT}; torch.nn.init.calculate_gain"
    ),
    "gelu": _he(
        "gelu",
        f"GELU keeps a part of the mean square of what passes; gain {GELU_GAIN:.4g} = 1 / sqrt(E[gelu(z)²]) makes up "
        f"for the rest.",
        _MOMENT.format(_HE, "GELU"),
        GELU_GAIN,
    ),
    "silu": _he(
        "silu",
        f"SiLU keeps a part of the mean square of what passes; gain {SILU_GAIN:.4g} = 1 / sqrt(E[silu(z)²]) makes up "
        f"for the rest.",
        _MOMENT.format(_HE, "SiLU"),
        SILU_GAIN,
    ),
    "selu": Activation(
        Advice(
            "lecun_normal",
            "SELU normalizes by itself if weights have variance 1 / fan_in.",
            "Klambauer et al. 2017, Self-Normalizing Neural Networks",
        ),
        lambda *_: 1.0,
    ),
}
ASSUMED = "relu"
"""The activation if none is named: what most networks of plain layers have."""


def find_activation(name: str | None) -> str:
    """The activation that is called so, or the one that is assumed. Raises `UsageError` that proposes the nearest."""
    if name is None or name in ACTIVATIONS:
        return name or ASSUMED
    hint = did_you_mean(str(name), ACTIVATIONS) or f"there are {', '.join(ACTIVATIONS)}"
    raise UsageError(Problem("usage.activation", f"activation: {shown(name)} is not known", hint))


def advice(role: str, seen: Seen, activation: str) -> Advice:
    """What a tensor of this role should start from."""
    found = _BY_ROLE[role]
    return found if isinstance(found, Advice) else found(seen, ACTIVATIONS[activation])


def _with(advice: Advice, *arguments: str | None) -> Advice:
    """The same with further arguments."""
    given = ",".join(filter(None, arguments))
    if not given:
        return advice
    call = advice.initializer
    return advice._replace(initializer=f"{call}{',' if ':' in call else ':'}{given}")


def _layer(seen: Seen, activation: Activation) -> Advice:
    return _with(activation.advice, layout(seen))


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
    return _GAIN if seen.last.endswith("gain") else _LAYER_SCALE


def _magnitude(seen: Seen, activation: Activation) -> Advice:
    """The length that the directions beside it have under their law, each over as many elements as a length is of."""
    last = seen.tensor.name.rpartition(".")[2]
    direction = seen.beside["original1" if last == "original0" else f"{last[:-1]}v"]
    outputs, inputs, *kernel = (*direction.shape, 1, 1)[: max(2, len(direction.shape))]
    fan_in = inputs * prod(kernel)
    elements = direction.numel / max(1, seen.tensor.numel)
    length = activation.norm(fan_in, outputs * prod(kernel)) * sqrt(elements / max(1, fan_in))
    return Advice(f"constant:val={length:.6g}", *_MAGNITUDE)


def _power_iteration(seen: Seen, _: Activation) -> Advice:
    return Advice(f"normal:std={1 / sqrt(max(1, seen.tensor.numel)):.6g}", *_POWER_ITERATION)


_BY_HEADS = "ioo"
"""Inputs, heads, and the width of each, as in XLNet; of outputs the other way round, which makes no difference here."""
_ZEROS, _ONES, _KEEP = "zeros", "ones", "keep"
_SMALL = "normal:std=0.02"
_ATTENTION = Advice(
    "xavier_normal",
    "No rectifier follows a matrix of attention, and both fans count where it is square.",
    f"{_GLOROT}; torch.nn.MultiheadAttention",
)
_HEAD = Advice(
    "xavier_normal",
    "No activation follows the last layer, so its gain is 1; small outputs begin without a preference.",
    _GLOROT,
)
_LAYER_SCALE = Advice(
    "constant:val=1e-05",
    "A branch that begins near zero lets a deep network start as the identity.",
    "Touvron et al. 2021, Going deeper with Image Transformers; timm.layers.LayerScale",
)
_GRN = Advice(_ZEROS, "At zero the normalization begins as the identity.", "Woo et al. 2023, ConvNeXt V2")
_MAGNITUDE = (
    "Under weight normalization this is the length of each vector: the one that its own law gives on average.",
    "Salimans and Kingma 2016; torch.nn.utils.weight_norm",
)
_POWER_ITERATION = (
    "Power iteration begins with a random vector of length 1.",
    "Miyato et al. 2018; torch.nn.utils.spectral_norm",
)
_LOGITS = {
    "logit_scale": Advice(
        f"constant:val={log(1 / 0.07):.6g}",
        "Logits begin at a temperature of 0.07, in logarithms.",
        "Radford et al. 2021, CLIP",
    ),
    "logit_bias": Advice(
        "constant:val=-10", "Most pairs do not match, so logits begin low.", "Zhai et al. 2023, SigLIP"
    ),
    "temperature": Advice(
        _ONES, "At 1 logits are as they are.", "Guo et al. 2017, On Calibration of Modern Neural Networks"
    ),
}
_TENFOLD = Advice(
    f"constant:val={log(10):.6g}",
    "Logits begin at a scale of 10, in logarithms.",
    "Zhai et al. 2023, SigLIP; Liu et al. 2021, Swin V2",
)
_GAIN = Advice(_ONES, "At 1 a gain changes nothing.", "Brock et al. 2021, NFNet; timm.layers.ScaledStdConv2d")
_A_LOG = Advice("arange_log", "States decay at rates 1, 2, 3, …, in logarithms.", "Gu and Dao 2023, Mamba")
_D = Advice(_ONES, "At 1 the inputs pass by the states as they are.", "Gu and Dao 2023, Mamba")

_BY_ROLE: Mapping[str, Advice | Callable[[Seen, Activation], Advice]] = {
    "linear": _layer,
    "conv": _layer,
    "attention": _attention,
    "head": _head,
    "embedding": Advice(
        _SMALL,
        "Small vectors of one scale, whatever the number of rows: an embedding has no fan.",
        "Radford et al. 2018, GPT; Devlin et al. 2018, BERT",
    ),
    "positional": Advice(
        _SMALL,
        "Positions begin small beside what they are added to.",
        "Dosovitskiy et al. 2020, ViT; Devlin et al. 2018",
    ),
    "token": Advice(_SMALL, "A learned input begins as small as an embedding.", "Dosovitskiy et al. 2020, ViT; timm"),
    "norm": Advice(_ONES, "At 1 a norm passes on what it has normalized.", "torch.nn.LayerNorm.reset_parameters"),
    "bias": Advice(
        _ZEROS, "Random weights break the symmetry already, so biases begin at 0.", f"{_GLOROT[:23]}; {_HE}"
    ),
    "gate": Advice(
        _SMALL, "Small logits begin without a preference: all experts get inputs.", "Muennighoff et al. 2024, OLMoE"
    ),
    "recurrent": _recurrent(
        Advice(
            "orthogonal",
            "A product of orthogonal matrices neither vanishes nor explodes over many steps; each gate has its own.",
            "Saxe et al. 2013; keras.layers.LSTM",
        )
    ),
    "recurrent_input": _recurrent(
        Advice(
            "xavier_uniform",
            "Gates saturate, so both fans keep their inputs small; each gate has its own matrix.",
            f"{_GLOROT}; keras.layers.LSTM",
        )
    ),
    "forget_bias": Advice(
        "lstm_bias",
        "An open forget gate lets gradients through from the start; torch adds two biases, and one of them says so.",
        "Jozefowicz et al. 2015",
    ),
    "scale": _scale,
    "slope": Advice("constant:val=0.25", "The slope that learning starts from.", f"{_HE}; torch.nn.PReLU"),
    "states": lambda seen, _: _A_LOG if seen.last == "a_log" else _D,
    "time_steps": Advice(
        "inv_softplus_log_uniform",
        "Time steps begin between 0.001 and 0.1, evenly in logarithms: zeros would give all of them one.",
        "Gu and Dao 2023, Mamba; mamba_ssm.modules.mamba_simple",
    ),
    "adapter_in": Advice(
        f"kaiming_uniform:a={sqrt(5)!r}",
        "One of the two matrices is random, as a layer of torch.",
        "peft.tuners.lora.LoraLayer",
    ),
    "adapter_out": Advice(
        _ZEROS, "With one of the two matrices at 0 the adapter begins without effect.", "Hu et al. 2021, LoRA; peft"
    ),
    "magnitude": _magnitude,
    "power_iteration": _power_iteration,
    "running_mean": Advice(_ZEROS, "Running means begin at 0.", "torch.nn.BatchNorm2d.reset_running_stats"),
    "running_var": Advice(_ONES, "Running variances begin at 1.", "torch.nn.BatchNorm2d.reset_running_stats"),
    "average": Advice(_KEEP, "Training measures this, and no law gives it.", "initctl: averages are not drawn"),
    "computed": Advice(_KEEP, "The model computes this and does not learn it.", "initctl: patterns leave it"),
    "quantized": Advice(
        _KEEP, "It makes sense only with the codes beside it: dequantize the model first.", "initctl: codes are left"
    ),
    "unwritable": Advice(_KEEP, "No rule can fill it.", "initctl inspect"),
    "unknown": Advice(_KEEP, "Its role is not known: choose a law yourself.", "initctl: nothing is guessed"),
}

"""The table of built-in initializers.

Names, parameters and defaults follow torch.nn.init and jax.nn.initializers, or else the source of the initializer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from initctl.initializers import random, scaling
from initctl.initializers.fans import check_arrangement, check_equal_parts
from initctl.initializers.initializer import Initializer
from initctl.initializers.parameters import LAYOUT, SLICE, SPLIT, Number, Parameter, Text, Whole, Word


class _Later:
    """The functions of a module, which is imported when one of them is called: most plans need none."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, function: str) -> Callable[..., Any]:
        return lambda *arguments, **named: getattr(import_module(self._name), function)(*arguments, **named)


deterministic, revising, structured = (
    _Later(f"initctl.initializers.{name}") for name in ("deterministic", "revising", "structured")
)
_TORCH = "torch.nn.init.{}_"
_JAX = "jax.nn.initializers.{}"
_GLOROT = "Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks (2010)"
_HE = "He, Zhang, Ren, Sun: Delving deep into rectifiers (2015)"
_LECUN = "LeCun, Bottou, Orr, Müller: Efficient BackProp (1998)"
_SAXE = "Saxe, McClelland, Ganguli: Exact solutions to the nonlinear dynamics of learning (2013)"
_XIAO = "Xiao et al.: Dynamical isometry and a mean field theory of CNNs (2018)"
_MARTENS = "Martens: Deep learning via Hessian-free optimization (2010)"
_RADFORD = "Radford et al.: Robust speech recognition via large-scale weak supervision (2022)"
_GU_DAO = "Gu, Dao: Mamba: Linear-time sequence modeling with selective state spaces (2023)"
_DAO_GU = "Dao, Gu: Transformers are SSMs (2024)"
_JOZEFOWICZ = "Jozefowicz, Zaremba, Sutskever: An empirical exploration of recurrent network architectures (2015)"
_ZHAO = "Zhao, Schäfer, Anandkumar: ZerO initialization: Initializing neural networks with only zeros and ones (2021)"
_LIN = "Lin, Goyal, Girshick, He, Dollár: Focal loss for dense object detection (2017), with p = 0.01"
_YANG = "Yang, Simon, Bernstein: A spectral condition for feature learning (2023)"
_ASH = "physicsnemo/nn/module/utils/weight_init.py; Ash, Adams: On warm-starting neural network training (2020)"

_TRUTH = Word(("false", "true"))
_LAYOUT = Parameter("layout", LAYOUT, optional=True)
_ARRANGEMENT = (
    _LAYOUT,
    Parameter("transposed", _TRUTH, "false", optional=True),
    Parameter("groups", Whole(minimum=1), 1, optional=True),
    Parameter("split", SPLIT, optional=True),
)
_GAIN = Parameter("gain", Number(minimum=0), 1)
_MEAN = Parameter("mean", Number(), 0)
_STD = Parameter("std", Number(minimum=0), 1)
_check_steps = partial(random.check_order, default_a=random.DEFAULT_STEP_A, default_b=random.DEFAULT_STEP_B)
_by_fans = partial(Initializer, check=check_arrangement)
_KAIMING = (
    Parameter("a", Number(), 0),
    Parameter("mode", Word(scaling.MODES), "fan_in"),
    Parameter("nonlinearity", Word(scaling.NONLINEARITIES), "leaky_relu"),
    *_ARRANGEMENT,
)

LAWS = (
    Initializer(
        "zeros",
        partial(deterministic.constant, val=0),
        summary="every element 0",
        formula="0",
        source=_TORCH.format("zeros"),
        example="*.bias=zeros",
    ),
    Initializer(
        "ones",
        partial(deterministic.constant, val=1),
        summary="every element 1",
        formula="1",
        source=_TORCH.format("ones"),
        example="*norm*.weight=ones",
    ),
    Initializer(
        "constant",
        deterministic.constant,
        (Parameter("val", Number()),),
        summary="every element the same number",
        formula="val",
        source=_TORCH.format("constant"),
        example="head.bias=constant:val=-4.6",
    ),
    Initializer(
        "bias_from_prob",
        deterministic.bias_from_prob,
        (Parameter("p", Number(above=0, below=1), 0.01),),
        summary="bias of an output whose sigmoid starts at the probability p",
        formula="-ln((1 - p) / p)",
        source=f"mmengine.model.bias_init_with_prob; {_LIN}",
        example="head.cls.bias=bias_from_prob:p=0.01",
    ),
    Initializer(
        "nan",
        deterministic.nan,
        summary="every element NaN: what was never set is found later",
        formula="NaN, with the bits of torch; in a complex element both parts",
        source="torch.Tensor.fill_",
        example="*=nan",
    ),
    Initializer(
        "eye",
        deterministic.eye,
        summary="identity matrix, 2 dims",
        formula="1 if row = column, else 0",
        source=_TORCH.format("eye"),
        example="proj.weight=eye",
    ),
    Initializer(
        "dirac",
        deterministic.dirac,
        (Parameter("groups", Whole(minimum=1), 1),),
        summary="convolution that passes its input through, 3 to 5 dims",
        formula="1 at the center tap k // 2 if out channel = in channel, in each group, else 0",
        source=_TORCH.format("dirac"),
        example="conv.weight=dirac",
    ),
    Initializer(
        "zero_hadamard",
        deterministic.zero_hadamard,
        summary="ZerO: identity, or columns of a Hadamard matrix if there are more outputs than inputs, 2 to 5 dims",
        formula="1 if out channel = in channel, else 0; if out > in: (-1)^popcount(row & column) / sqrt(2^c), 2^c the "
        "smallest power ≥ out; in a convolution only the center tap k // 2, other taps 0",
        source=f"jiaweizzhao/ZerO-initialization; {_ZHAO}",
        example="fc.weight=zero_hadamard",
    ),
    Initializer(
        "sinusoid",
        deterministic.sinusoid,
        (Parameter("max_timescale", Number(1, 1e300), 10000),),
        summary="Whisper's positional embedding, 2 dims: positions and an even number of channels",
        formula="row t: sin(t·w) in the first half of the channels, cos(t·w) in the second, "
        "w = exp(-i · ln(max_timescale) / (channels / 2 - 1)) for i = 0, 1, …",
        source=f"transformers models/whisper/modeling_whisper.py, sinusoids; {_RADFORD}",
        example="encoder.embed_positions.weight=sinusoid",
    ),
    Initializer(
        "arange_log",
        deterministic.arange_log,
        (Parameter("start", Number(above=0), 1),),
        summary="Mamba's A_log: logarithms of start, start + 1, … along the last dim",
        formula="ln(start + j) in column j, the same in every row",
        source=f"mamba_ssm/modules/mamba_simple.py; transformers models/mamba/modeling_mamba.py; {_GU_DAO}",
        example="*.mixer.A_log=arange_log",
    ),
    Initializer(
        "lstm_bias",
        deterministic.lstm_bias,
        (Parameter("forget", Number(), 1),),
        summary="bias of an LSTM whose forget gate starts open, 1 dim",
        formula="forget in the second quarter (gates i, f, g, o), else 0; torch adds bias_ih and bias_hh: fill one",
        source=f"allennlp.nn.initializers.lstm_hidden_bias; {_JOZEFOWICZ}",
        example="lstm.bias_hh*=lstm_bias",
    ),
    Initializer(
        "uniform",
        random.uniform,
        (Parameter("a", Number(), 0), Parameter("b", Number(), 1)),
        summary="uniform distribution between a and b",
        formula="U(a, b)",
        source=_TORCH.format("uniform"),
        example="fc.weight=uniform:a=-0.1,b=0.1",
        check=partial(random.check_order, default_a=0, default_b=1),
    ),
    Initializer(
        "normal",
        random.normal,
        (_MEAN, _STD),
        summary="normal distribution",
        formula="N(mean, std²)",
        source=_TORCH.format("normal"),
        example="fc.weight=normal:std=0.02",
    ),
    Initializer(
        "trunc_normal",
        random.trunc_normal,
        (
            _MEAN,
            _STD,
            Parameter("a", Number(), random.DEFAULT_A),
            Parameter("b", Number(), random.DEFAULT_B),
            Parameter("cut", Number(minimum=0), optional=True),
            Parameter("var_correct", _TRUTH, "false", optional=True),
        ),
        summary="normal distribution, cut to a ≤ x ≤ b",
        formula="N(mean, std²) given a ≤ x ≤ b; a and b are absolute, cut=c means mean ± c·std; with var_correct=true, "
        "std is the standard deviation after the cut",
        source=_TORCH.format("trunc_normal"),
        example="embed.weight=trunc_normal:std=0.02,cut=2",
        check=random.check_trunc_normal,
    ),
    Initializer(
        "log_uniform",
        random.log_uniform,
        (Parameter("a", Number(above=0)), Parameter("b", Number(above=0))),
        summary="between a and b, with a uniform logarithm",
        formula="exp(U(ln a, ln b)), never outside a ≤ x ≤ b",
        source="mamba_ssm/modules/mamba_simple.py, where it draws time steps",
        example="gate.scale=log_uniform:a=0.001,b=0.1",
        check=_check_steps,
    ),
    Initializer(
        "inv_softplus_log_uniform",
        random.inv_softplus_log_uniform,
        (
            Parameter("a", Number(above=0), random.DEFAULT_STEP_A),
            Parameter("b", Number(above=0), random.DEFAULT_STEP_B),
            Parameter("floor", Number(minimum=0), 1e-4),
        ),
        summary="Mamba's dt bias: its softplus has a uniform logarithm",
        formula="x + ln(1 - exp(-x)), the inverse of softplus, of x = max(exp(U(ln a, ln b)), floor)",
        source=f"mamba_ssm/modules/mamba_simple.py; transformers models/mamba/modeling_mamba.py; {_GU_DAO}",
        example="*.dt_proj.bias=inv_softplus_log_uniform",
        check=_check_steps,
    ),
    Initializer(
        "uniform_log",
        random.uniform_log,
        (Parameter("a", Number(above=0)), Parameter("b", Number(above=0))),
        summary="A_log of Mamba 2 and of gated delta nets: the logarithm of a uniform number",
        formula="ln(U(a, b))",
        source=f"mamba_ssm/modules/mamba2.py; transformers models/qwen3_next/modeling_qwen3_next.py; {_DAO_GU}",
        example="*.mixer.A_log=uniform_log:a=1,b=16",
        check=_check_steps,
    ),
    _by_fans(
        "xavier_uniform",
        partial(scaling.xavier, distribution="uniform"),
        (_GAIN, *_ARRANGEMENT),
        summary="uniform, scaled by both fans",
        formula="U(-bound, bound), bound = gain · sqrt(6 / (fan_in + fan_out))",
        source=f"{_TORCH.format('xavier_uniform')}; {_GLOROT}",
        example="fc.weight=xavier_uniform:gain=0.5",
        aliases=("glorot_uniform",),
    ),
    _by_fans(
        "xavier_normal",
        partial(scaling.xavier, distribution="normal"),
        (_GAIN, *_ARRANGEMENT),
        summary="normal, scaled by both fans",
        formula="N(0, std²), std = gain · sqrt(2 / (fan_in + fan_out))",
        source=f"{_TORCH.format('xavier_normal')}; {_GLOROT}",
        example="fc.weight=xavier_normal",
        aliases=("glorot_normal",),
    ),
    _by_fans(
        "kaiming_uniform",
        partial(scaling.kaiming, distribution="uniform"),
        _KAIMING,
        summary="uniform, scaled by one fan and the nonlinearity's gain",
        formula="U(-bound, bound), bound = gain(nonlinearity, a) · sqrt(3 / fan)",
        source=f"{_TORCH.format('kaiming_uniform')}; {_HE}",
        example="fc.weight=kaiming_uniform:a=2.2360679775",
        aliases=("he_uniform",),
    ),
    _by_fans(
        "kaiming_normal",
        partial(scaling.kaiming, distribution="normal"),
        _KAIMING,
        summary="normal, scaled by one fan and the nonlinearity's gain",
        formula="N(0, std²), std = gain(nonlinearity, a) / sqrt(fan)",
        source=f"{_TORCH.format('kaiming_normal')}; {_HE}",
        example="conv*.weight=kaiming_normal:mode=fan_out,nonlinearity=relu",
        aliases=("he_normal",),
    ),
    _by_fans(
        "lecun_uniform",
        partial(scaling.variance_scaling, scale=1, mode="fan_in", distribution="uniform"),
        _ARRANGEMENT,
        summary="uniform of variance 1 / fan_in",
        formula="U(-bound, bound), bound = sqrt(3 / fan_in)",
        source=f"{_JAX.format('lecun_uniform')}; {_LECUN}",
        example="fc.weight=lecun_uniform",
    ),
    _by_fans(
        "lecun_normal",
        partial(scaling.variance_scaling, scale=1, mode="fan_in", distribution="truncated_normal"),
        _ARRANGEMENT,
        summary="normal cut at two standard deviations, of variance 1 / fan_in",
        formula="std · N(0, 1) given |x| ≤ 2, std = sqrt(1 / fan_in) / 0.8796",
        source=f"{_JAX.format('lecun_normal')}; {_LECUN}",
        example="fc.weight=lecun_normal",
    ),
    _by_fans(
        "variance_scaling",
        scaling.variance_scaling,
        (
            Parameter("scale", Number(minimum=0)),
            Parameter("mode", Word(scaling.SCALING_MODES)),
            Parameter("distribution", Word(scaling.DISTRIBUTIONS)),
            *_ARRANGEMENT,
        ),
        summary="any law of variance scale / fan",
        formula="variance scale / fan; truncated_normal is cut at two standard deviations and keeps the variance",
        source=_JAX.format("variance_scaling"),
        example="fc.weight=variance_scaling:scale=2,mode=fan_in,distribution=truncated_normal",
    ),
    _by_fans(
        "spectral",
        scaling.spectral,
        (_GAIN, *_ARRANGEMENT),
        summary="normal, of one spectral norm at every width (muP)",
        formula="N(0, std²), std = gain / sqrt(fan_in) · min(1, sqrt(fan_out / fan_in))",
        source=f"nanotron/scaling/parametrization.py; {_YANG}",
        example="*.mlp.*.weight=spectral",
    ),
    Initializer(
        "orthogonal",
        structured.orthogonal,
        (Parameter("gain", Number(), 1), *_ARRANGEMENT),
        summary="orthonormal rows or columns, whichever are fewer",
        formula="gain · Q of a normal matrix [out, in · kernel], one for each group and part, signs fixed; "
        "equal across machines up to rounding",
        source=f"{_TORCH.format('orthogonal')}; {_SAXE}",
        example="lstm.weight_hh*=orthogonal:split=4",
        check=check_equal_parts,
    ),
    Initializer(
        "delta_orthogonal",
        structured.delta_orthogonal,
        (Parameter("scale", Number(), 1), _LAYOUT),
        summary="convolution that is orthogonal at its center tap, 3 to 5 dims, inputs ≤ outputs",
        formula="scale · Q at the tap (k - 1) // 2, else 0; equal across machines up to rounding",
        source=f"{_JAX.format('delta_orthogonal')}; {_XIAO}",
        example="conv.weight=delta_orthogonal",
    ),
    Initializer(
        "sparse",
        structured.sparse,
        (Parameter("sparsity", Number(0, 1)), Parameter("std", Number(minimum=0), 0.01)),
        summary="normal with a share of each column zero, 2 dims",
        formula="N(0, std²), with ceil(sparsity · rows) rows of each column zero",
        source=f"{_TORCH.format('sparse')}; {_MARTENS}",
        example="fc.weight=sparse:sparsity=0.9",
    ),
)

REVISIONS = (
    Initializer(
        "scale",
        revising.scale,
        (Parameter("by", Number()),),
        summary="old values times a number",
        formula="by · old",
        source="mergekit/merge_methods/passthrough.py (scale)",
        example="*.o_proj.weight=scale:by=0.5",
    ),
    Initializer(
        "perturb",
        revising.perturb,
        (
            Parameter("scale", Number(), 1),
            Parameter("std", Number(minimum=0)),
            Parameter("rel", _TRUTH, "false", optional=True),
        ),
        summary="old values shrunk, with noise added",
        formula="scale · old + std · N(0, 1); rel=true: std in units of the tensor's own standard deviation",
        source=_ASH,
        example="*.weight=perturb:scale=0.4,std=0.1,rel=true",
    ),
    Initializer(
        "reinit",
        revising.reinit,
        (Parameter("p", Number(0, 1)), _MEAN, Parameter("std", Number(minimum=0))),
        summary="a share of the elements new and normal, the others unchanged",
        formula="N(mean, std²) with probability p, else old; each element independently",
        source="allenai/OLMoE, scripts/sparsify_ckpt_unsharded.py; Nakamura et al.: Drop-Upcycling (2025)",
        example="*.experts.*.weight=reinit:p=0.5,std=0.02",
    ),
    Initializer(
        "copy",
        revising.copy,
        (
            Parameter("from", Text("a tensor's name, or CHECKPOINT#NAME")),
            Parameter("row", Whole(minimum=0), optional=True),
        ),
        summary="the values of another tensor, in this or another checkpoint; or one row of it, in every row",
        formula="old values of the other tensor at the same index; with row=r, its row r in every row",
        source="allennlp/nn/initializers.py (pretrained)",
        example="model.layers.31.mlp.up_proj.weight=copy:from=model.layers.30.mlp.up_proj.weight",
    ),
    Initializer(
        "mean_rows",
        revising.mean_rows,
        (Parameter("of", SLICE), Parameter("std", Number(minimum=0), 0)),
        summary="the mean of some old rows in every row, with noise",
        formula="mean of old rows a ≤ i < b, + std · N(0, 1); the rule must fill other rows, or exactly these",
        source="transformers/modeling_utils.py; Hewitt: Initializing new word embeddings for pretrained models (2021)",
        example="embed_tokens.weight[32000:]=mean_rows:of=0:32000",
    ),
    Initializer(
        "match_stats",
        revising.match_stats,
        summary="normal, with the tensor's own mean and standard deviation",
        formula="N(mean(old), std(old)²)",
        source="facebookresearch/esm issue 143: baselines that keep each tensor's scale",
        example="*.weight=match_stats",
    ),
    Initializer(
        "permute_rows",
        revising.permute_rows,
        summary="the tensor's rows in another order",
        formula="row i holds old row π(i), π a random permutation",
        source="quantus/helpers/model; Adebayo et al.: Sanity checks for saliency maps (2018)",
        example="embed.weight=permute_rows",
    ),
)

BUILTIN = (*LAWS, *REVISIONS)

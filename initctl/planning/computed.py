"""Floating-point tensors that a model computes or measures, and does not learn: one table.

They are in a state dict because modules register them as buffers (or as parameters that need no gradient). A random
mask, rotary table or noise schedule makes a model useless, and training does not repair it. Training replaces running
statistics, but a random variance can be negative. Integers and booleans are not listed: patterns never fill them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from initctl.tensors import Shape, TensorSpec


def _row(shape: Shape) -> bool:
    return len(shape) == 1


def _square_matrices(shape: Shape) -> bool:
    """[1, 1, n, n]: a bias has fewer dims."""
    return len(shape) == 4 and shape[:2] == (1, 1) and shape[2] == shape[3]


class Computed(NamedTuple):
    """Tensors of one kind: the endings of their names, separated by blanks, and their shape if other tensors may have
    these names.

    If `is_measured`, training replaces the values, so a constant is a good start.
    """

    kind: str
    written_by: str
    endings: str
    fits: Callable[[Shape], bool] = lambda _: True
    is_measured: bool = False


COMPUTED: tuple[Computed, ...] = (
    Computed(
        "a causal mask",
        "transformers up to 4.30 (GPT-2, GPT-NeoX, GPT-J, GPT-Neo), nanoGPT",
        ".bias",
        fits=_square_matrices,
    ),
    Computed(
        "a mask",
        "transformers (CodeGen, GPT-2's masked_bias), minGPT, timm (Swin), open_clip, torch.nn.utils.prune",
        ".masked_bias .causal_mask .attn_mask .attention_mask .tril .mask .weight_mask .bias_mask",
    ),
    Computed(
        "a rotary table",
        "transformers up to 4.30, Meta's Llama, GPT-NeoX, rotary-embedding-torch, ChatGLM",
        ".inv_freq .original_inv_freq .cos_cached .sin_cached .cos_sin_cache .freqs_cis .rope.freqs .rotary_emb.freqs"
        " .rotary_pos_emb.freqs .pos_emb.freqs",
    ),
    Computed(
        "a table of positions",
        "transformers (position_ids of half-precision CLIP), timm (SwinV2), fairseq, MPT",
        ".position_ids .token_type_ids .relative_position_index .relative_coords_table .embed_positions._float_tensor"
        " .alibi .alibi_slopes",
    ),
    Computed(
        "a noise schedule",
        "CompVis latent-diffusion (ddpm.py, ema.py), guided-diffusion, k-diffusion",
        ".betas .alphas_cumprod .alphas_cumprod_prev .sqrt_alphas_cumprod .sqrt_one_minus_alphas_cumprod"
        " .log_one_minus_alphas_cumprod .sqrt_recip_alphas_cumprod .sqrt_recipm1_alphas_cumprod .posterior_variance"
        " .posterior_log_variance_clipped .posterior_mean_coef1 .posterior_mean_coef2 .log_sigmas",
        fits=_row,
    ),
    Computed(
        "anchors",
        "ultralytics (nn/modules/head.py; dfl sums over bins), torchvision",
        ".anchors .anchor_grid .dfl.conv.weight",
    ),
    Computed(
        "a filter or a window",
        "torchaudio, NeMo, openai-whisper, StyleGAN2",
        ".mel_filters .mel_basis .mel_scale.fb .featurizer.fb .featurizer.window .spectrogram.window .stft.window"
        " .hann_window .resample_filter",
    ),
    Computed(
        "the scale of inputs",
        "detectron2, segment-anything, LPIPS, transformers (RADIO)",
        ".pixel_mean .pixel_std .scaling_layer.shift .scaling_layer.scale .norm_mean .norm_std",
    ),
    Computed(
        "an observer's range",
        "torch.ao.quantization (observer.py, fake_quantize.py), TensorRT Model Optimizer (amax), transformers (I-BERT)",
        ".activation_post_process.eps .activation_post_process.min_val .activation_post_process.max_val"
        " .activation_post_process.histogram .activation_post_process.scale .weight_fake_quant.scale"
        " .weight_fake_quant.eps .weight_fake_quant.min_val .weight_fake_quant.max_val _quantizer._amax"
        " _quantizer._pre_quant_scale _quantizer._scale .x_min .x_max .act_scaling_factor .fc_scaling_factor"
        " .weight_scaling_factor",
    ),
    Computed(
        "a limit of inputs or outputs",
        "transformers (Gemma 4: Gemma4ClippableLinear)",
        ".input_min .input_max .output_min .output_max",
    ),
    Computed(
        "a table of decays",
        "transformers (MiniMax: MiniMaxLightningAttention)",
        ".slope_rate .query_decay .key_decay .diagonal_decay",
    ),
    Computed(
        "class weights of a loss",
        "torch.nn (CrossEntropyLoss, BCEWithLogitsLoss) in a module that is saved whole; DETR",
        ".pos_weight .class_weight .class_weights .criterion.weight .loss.weight .loss_fn.weight .loss_func.weight"
        " .empty_weight",
        fits=_row,
    ),
    Computed(
        "the decay of an average",
        "CompVis latent-diffusion (ema.py)",
        ".model_ema.decay",
    ),
    Computed(
        "a format's version",
        "fairseq (models/transformer: version)",
        ".encoder.version .decoder.version",
    ),
    Computed(
        "running statistics",
        "torch.nn (batch and instance norms)",
        ".running_mean .running_var",
        is_measured=True,
    ),
    Computed(
        "moving averages",
        "vector-quantize-pytorch and EnCodec (_codebook), StyleGAN2 (w_avg)",
        ".cluster_size .embed_avg .w_avg .latent_avg",
        is_measured=True,
    ),
)

_LAST_PARTS = frozenset(ending.rpartition(".")[2] for row in COMPUTED for ending in row.endings.split())
"""The last parts of the names of such tensors."""


def computed_kind(tensor: TensorSpec) -> str | None:
    """The kind of `tensor`, in words, if the model computes it once and for all; else None."""
    found = _kind(tensor)
    return found.kind if found and not found.is_measured else None


def measured_kind(tensor: TensorSpec) -> str | None:
    """The kind of `tensor`, in words, if training measures it; else None."""
    found = _kind(tensor)
    return found.kind if found and found.is_measured else None


def _kind(tensor: TensorSpec) -> Computed | None:
    last = tensor.name.rpartition(".")[2]
    if last not in _LAST_PARTS or not tensor.dtype.is_floating:
        return None
    dotted = f".{tensor.name}"
    return next((row for endings, row in _called(last) if dotted.endswith(endings) and row.fits(tensor.shape)), None)


@cache
def _called(last: str) -> Sequence[tuple[tuple[str, ...], Computed]]:
    """The rows for names whose last part is `last`, each with its endings of this kind."""
    rows = [(tuple(e for e in row.endings.split() if e.rpartition(".")[2] == last), row) for row in COMPUTED]
    return [(endings, row) for endings, row in rows if endings]

"""The known layouts of quantized weights: one table, a row for each way to name their tensors.

A quantized weight is stored as codes, and companions (scales, zero points, tables, permutations) that turn the codes
into numbers. The names of one weight's tensors share a stem and differ in their ending. For the stem `fc`, GPTQ writes
`fc.qweight`, `fc.scales` and `fc.qzeros`; for the stem `fc.weight`, DeepSeek writes `fc.weight` itself, whose ending is
empty, and `fc.weight_scale_inv`.

Names such as `scale` or `biases` are common, so a companion counts only beside its codes, and codes count only with a
dtype that codes can have. Some companions have no codes beside them: another shard may hold the codes, and some scales
belong to activations. Such a companion counts if the checkpoint is known to follow the scheme, because config.json
names it or other weights follow it. If its ending is marked `!`, it counts unless the module has an unquantized
`.weight`; if it is marked `!!`, it counts even then.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)  # compared as objects: they are keys, once for each tensor
class Scheme:
    """One layout: `title` is its name in messages, and `methods` are its names in config.json. Layouts that many
    libraries share have no title: messages name the dtype of their codes.

    `codes` and `companions` are endings, separated by blanks. A companion `.*_scale` means every name in the module of
    the codes that ends in `_scale`; codes `.*` mean every float8 tensor of the module. If `any_dtype` is set, codes are
    recognized by their companions alone: they may be stored as floats.
    """

    title: str
    written_by: str
    codes: str
    companions: str
    methods: str = ""
    any_dtype: bool = False


SCHEMES: tuple[Scheme, ...] = (
    Scheme(
        "AWQ",
        "AutoAWQ, llm-awq (scaled_zeros); AutoAWQ's ScaledActivation has scales and no codes",
        codes=".qweight",
        companions=".qzeros! .scales! .scaled_zeros!",
        methods="awq awq-marlin llm-awq",
    ),
    Scheme(
        "GPTQ",
        "GPTQModel, AutoGPTQ, AutoRound; FP-Quant adds Hadamard matrices (transformers integrations/fp_quant.py)",
        codes=".qweight",
        companions=".qzeros! .scales! .g_idx! .weight_global_scale .act_global_scale .dqweight"
        " .forward_hadamard_matrix .backward_hadamard_matrix",
        methods="gptq gptq-marlin auto-round autoround intel/auto-round fp-quant",
    ),
    Scheme(
        "SVDQuant",
        "nunchaku (models/linear.py): a low-rank part beside 4-bit codes",
        codes=".qweight",
        companions=".wscales! .wcscales! .wtscale! .wzeros! .smooth_factor .smooth_factor_orig .smooth .smooth_orig"
        " .proj_down .proj_up .lora_down .lora_up",
        methods="svdquant nunchaku",
    ),
    Scheme(
        "bitsandbytes 4-bit",
        "bitsandbytes (functional.py, QuantState.as_dict); bnb_4bit_quant_storage may make the codes bfloat16",
        codes="",
        companions=".absmax! .quant_map! .nested_absmax! .nested_quant_map! .quant_state.bitsandbytes__nf4"
        " .quant_state.bitsandbytes__fp4",
        methods="bitsandbytes bitsandbytes-4bit",
        any_dtype=True,
    ),
    Scheme(
        "bitsandbytes 8-bit",
        "bitsandbytes (nn/modules.py, Linear8bitLt)",
        codes=".weight",
        companions=".SCB! .weight_format .CB .tile_indices",
        methods="bitsandbytes bitsandbytes-8bit",
    ),
    Scheme(
        "",
        "DeepSeek-V3, transformers (integrations/finegrained_fp8.py, fbgemm_fp8.py, gemma_quant.py), ComfyUI "
        "(scale_weight), Mistral (qscale_weight), EETQ (weight_scales)",
        codes="",
        companions="_scale_inv! _scale _scales _scale_2 _global_scale _zero_point _activation_scale _input_scale"
        " .scale .scales .scale_inv .zero_point weight_scale! weight_scales! activation_scale! input_scale!",
        methods="fp8 fbgemm-fp8 eetq mxfp8 gemma deepgemm",
    ),
    Scheme(
        "",
        "as above, with names that take the place of `weight`",
        codes=".weight",
        companions=".scale .scales .scale_inv .scale_weight! .scale_input .qscale_weight! .qscale_act!"
        " .activation_scale .input_scale .input_scale_ub! .output_scale .input_activation_scale"
        " .output_activation_scale .comfy_quant",
        methods="fp8 fbgemm-fp8",
    ),
    Scheme(
        "compressed-tensors",
        "compressed-tensors (compressors/, quantization/lifecycle/initialize.py), llm-compressor, Quark",
        codes=".weight .weight_packed",
        companions=".weight_scale! .weight_zero_point! .weight_g_idx! .weight_shape! .weight_global_scale!"
        " .input_scale! .input_zero_point .input_global_scale! .output_scale! .output_zero_point .bias_scale"
        " .bias_zero_point .scale_packed .meta",
        methods="compressed-tensors quark",
    ),
    Scheme(
        "compressed-tensors sparse",
        "compressed-tensors (compressors/sparse_compressors/sparse_bitmask.py): values that a bit mask places",
        codes=".compressed",
        companions=".bitmask .row_offsets .shape",
        any_dtype=True,
    ),
    Scheme(
        "ModelOpt",
        "TensorRT Model Optimizer (torch/export/quant_utils.py): FP8, NVFP4 (uint8 codes), INT8 SmoothQuant",
        codes=".weight",
        companions=".weight_scale! .weight_scale_2! .input_scale! .pre_quant_scale! .output_scale",
        methods="modelopt modelopt-fp4 nvfp4",
    ),
    Scheme(
        "ModelOpt",
        "the same for experts that are one tensor",
        codes="",
        companions="_weight_scale _weight_scale_2 _input_scale",
        methods="modelopt modelopt-fp4 nvfp4",
    ),
    Scheme(
        "NVFP4",
        "transformers (integrations/nvfp4.py)",
        codes=".weight",
        companions=".weight_sf .weight_sf_rowmajor .weight_global_scale",
        methods="nvfp4 fouroversix",
    ),
    Scheme(
        "MXFP4",
        "gpt-oss: transformers' names (quantizers/quantizer_mxfp4.py), and OpenAI's own",
        codes="_blocks .blocks",
        companions="_scales! .scales!",
        methods="mxfp4",
    ),
    Scheme(
        "HQQ",
        "hqq (core/quantize.py), SINQ: codes may be viewed as floats (view_as_float)",
        codes=".W_q",
        companions=".scale .zero .scale2 .meta .meta.scale .meta.zero .meta.scale_q .meta.zero_q .zero_scale .nbits"
        " .group_size .axis .shape .packing .channel_wise .optimize .round_zero .view_as_float .unpack_view_dtype"
        " .compute_dtype .quant_scale .quant_zero .offload_meta .stores_quant_config .encoded_state_dict",
        methods="hqq sinq",
        any_dtype=True,
    ),
    Scheme(
        "MLX",
        "mlx (nn/layers/quantized.py: biases), transformers (integrations/metal_quantization.py: qbiases)",
        codes=".weight",
        companions=".scales! .biases! .qbiases!",
        methods="mlx metal",
    ),
    Scheme(
        "torchao",
        "torchao (prototype/safetensors/safetensors_utils.py): a tensor subclass in parts",
        codes="_qdata :qdata _packed_weight",
        companions="_scale _zero_point _scale_and_zero! _per_tensor_scale _act_per_tensor_scale _act_pre_scale!"
        " _block_size :scale :zero_point :scale_and_zero :per_tensor_scale :act_pre_scale weight_scale!",
        methods="torchao",
    ),
    Scheme(
        "torchao",
        "gpt-fast (quantize.py), torchtune, Llama's own quantized files: scales take a name of their own",
        codes=".weight",
        companions=".scales_and_zeros .scales .zeros .weight_scale",
        methods="torchao",
    ),
    Scheme(
        "quanto",
        "optimum-quanto (tensor/weights/qbytes.py, qbits.py; nn/qmodule.py)",
        codes=".weight._data .weight._data._data .weight._data._packed",
        companions=".weight._scale! .weight._shift! .weight._zeropoint .input_scale!! .output_scale!!",
        methods="quanto",
    ),
    Scheme(
        "BitNet",
        "transformers (integrations/bitnet.py): four ternary weights to a byte",
        codes=".weight",
        companions=".weight_scale!",
        methods="bitnet",
    ),
    Scheme(
        "AQLM",
        "aqlm (inference.py, QuantizedLinear)",
        codes=".codes",
        companions=".codebooks! .scales!",
        methods="aqlm",
    ),
    Scheme(
        "VPTQ",
        "vptq (layers/vqlinear.py, VQuantLinear): indices may be viewed as floats (indices_as_float)",
        codes=".indices",
        companions=".centroids .centroids.weight! .res_centroids .res_centroids.weight! .res_indices"
        " .outlier_centroids .outlier_centroids.weight! .outlier_indices .weight_scale .weight_bias .perm .invert_perm",
        methods="vptq",
        any_dtype=True,
    ),
    Scheme(
        "SpQR",
        "spqr_quant (inference.py, QuantizedLinear)",
        codes=".dense_weights",
        companions=".row_offsets .col_vals .in_perm",
        methods="spqr",
    ),
    Scheme(
        "QuIP#",
        "quip-sharp (lib/linear/quantized_linear.py)",
        codes=".Qidxs",
        companions=".SU! .SV! .Wscale! .codebook_id .rcp .A .B .scaleWH .had_left .had_right .fuse_scales",
        methods="quip quip-sharp",
        any_dtype=True,
    ),
    Scheme(
        "EXL3",
        "exllamav3 (modules/quant/exl3.py), QTIP (lib/linear/quantized_linear.py)",
        codes=".trellis",
        companions=".suh! .svh! .su .sv .SU .SV .tlut .mcg .mul1 .scale",
        methods="exl3 qtip",
    ),
    Scheme(
        "EXL2",
        "exllamav2 (linear.py)",
        codes=".q_weight",
        companions=".q_scale! .q_scale_max! .q_groups .q_group_map .q_perm .q_invperm",
        methods="exl2",
    ),
    Scheme(
        "Marlin",
        "IST-DASLab marlin (__init__.py), QQQ",
        codes=".B .B_24",
        companions=".s .s_group! .s_channel! .B_meta .workspace",
        methods="marlin gptq-marlin-24 qqq",
    ),
    Scheme(
        "HIGGS",
        "transformers (integrations/higgs.py)",
        codes=".weight",
        companions=".scales! .tables! .tables2!",
        methods="higgs",
    ),
    Scheme(
        "TensorRT-LLM",
        "tensorrt_llm (quantization/layers.py)",
        codes=".weight",
        companions=".weights_scaling_factor .weights_block_scaling_factor .weights_scaling_factor_2"
        " .activation_scaling_factor .prequant_scaling_factor .per_channel_scale .zero .alpha",
        methods="tensorrt-llm",
    ),
    Scheme(
        "a quantized KV cache",
        "vLLM (attention/layer.py), compressed-tensors (kv_cache_scheme), transformers (quantizer_gemma.py)",
        codes=".k_proj.weight .k_proj.weight_packed .k_proj.qweight .qkv_proj.weight .qkv_proj.qweight"
        " .qkv_proj.weight_packed .kv_proj.weight .q_proj.weight .q_proj.weight_packed",
        companions=".k_scale! .v_scale! .q_scale! .kv_scale! .prob_scale .attn.k_scale .attn.v_scale .attn.q_scale"
        " .k_proj.k_scale .v_proj.v_scale .k_proj.output_scale .v_proj.output_scale .k_cache_scale! .v_cache_scale!"
        " .kv_cache_scaling_factor!",
        methods="fp8 compressed-tensors modelopt quark gemma",
    ),
    Scheme(
        "torch.ao",
        "torch.ao.nn.quantized (modules/linear.py): packed weights, and the scale of what the module returns",
        codes="._packed_params._packed_params.0 .weight",
        companions=".scale .zero_point .weight_scale .weight_zero_point",
    ),
    Scheme(
        "torch.ao",
        "torch.ao.nn.quantized (modules/__init__.py: Quantize) and fake quantization: a zero point and its scale",
        codes=".zero_point",
        companions=".scale",
        any_dtype=True,
    ),
    Scheme(
        "",
        "files made by hand: float8 under any name",
        codes=".*",
        companions=".scale .scales .scale_inv .scale_weight",
    ),
    Scheme(
        "",
        "unknown layouts: tensors named like scales beside a weight of integers or float8",
        codes=".weight",
        companions=".scale .scales .zero .zeros .*_scale .*_scales .*_scale_inv .*_zero .*_zeros .*_zero_point .*_zp"
        " .*_absmax .*_amax .*_scaling_factor",
    ),
)

"""What pickles of checkpoints are known to call, and do no harm with.

Each row is a module, and what of it is called: by REDUCE as a rule, since a class that is only rebuilt needs no row.
Names are Python 3's: `resolved` gives them for those that pickles of protocol 2 write in their place.
"""

from __future__ import annotations

from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from initctl.formats.torch_save.standins import Global

_PLAIN = (
    "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple type "
    "ArithmeticError AssertionError Exception KeyError RuntimeError TypeError ValueError"
)
_TENSOR_KINDS = "BFloat16 Bool Byte Char ComplexDouble ComplexFloat Double Float Half Int Long Short"
_STORAGES = f"{_TENSOR_KINDS} QInt32 QInt8 QUInt2x4 QUInt4x2 QUInt8"

_ROWS: tuple[tuple[str, str], ...] = (
    # Python
    ("builtins", _PLAIN),
    ("_codecs", "encode"),  # bytes, in protocol 2
    ("argparse", "Namespace"),
    ("array", "array _array_reconstructor"),
    ("collections", "ChainMap Counter OrderedDict UserDict UserList defaultdict deque"),
    ("copyreg", "_reconstructor __newobj__ __newobj_ex__"),
    ("datetime", "date datetime time timedelta timezone"),
    ("decimal", "Decimal"),
    ("fractions", "Fraction"),
    ("functools", "partial"),  # what it holds is not called; if the partial is, that is noted
    ("io", "BytesIO StringIO"),
    ("_io", "BytesIO StringIO"),
    ("itertools", "chain count cycle repeat"),
    ("logging", "getLogger"),
    ("operator", "getitem"),  # typing.Optional[int], as omegaconf keeps it
    ("_operator", "getitem"),
    *((module, "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath")
      for module in ("pathlib", "pathlib._local")),
    ("random", "Random"),
    ("re", "_compile"),
    ("types", "GenericAlias MappingProxyType SimpleNamespace"),
    ("uuid", "UUID"),
    ("zoneinfo", "ZoneInfo ZoneInfo._unpickle"),
    # torch, as torch/_weights_only_unpickler.py allows it, and what it does not
    ("torch", "Generator Size Tensor device finfo iinfo"),
    ("torch._tensor", "_rebuild_from_type _rebuild_from_type_v2"),
    ("torch._utils",
     ("_rebuild_device_tensor_from_cpu_tensor _rebuild_device_tensor_from_numpy _rebuild_meta_tensor_no_storage "
      "_rebuild_nested_tensor _rebuild_parameter _rebuild_parameter_with_state _rebuild_qtensor _rebuild_tensor "
      "_rebuild_sparse_csr_tensor _rebuild_sparse_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 "
      "_rebuild_wrapper_subclass _rebuild_xla_tensor")),
    *((module, " ".join(f"{kind}Storage" for kind in _STORAGES.split())) for module in ("torch", "torch.cuda")),
    *((module, " ".join(f"{kind}Tensor" for kind in _TENSOR_KINDS.split()))
      for module in ("torch", "torch.cuda", "torch.sparse", "torch.cuda.sparse")),
    ("torch.jit._pickle", "build_boollist build_doublelist build_intlist build_tensorlist restore_type_tag"),
    ("torch.nn.parameter", "Buffer Parameter UninitializedBuffer UninitializedParameter"),
    ("torch.serialization", "_get_layout"),
    ("torch.storage", "TypedStorage UntypedStorage"),
    ("torch._C", "Generator"),
    ("torch.distributed.checkpoint.metadata", "_MEM_FORMAT_ENCODING"),
    ("torch.distributed.checkpoint.planner", "LoadItemType WriteItemType"),  # in Megatron-core's .metadata
    ("torch.distributed.fsdp.api", "BackwardPrefetch ShardingStrategy StateDictType"),
    # NumPy: scalars, arrays, dtypes, random states
    ("numpy", "dtype ndarray"),
    *((f"numpy.{core}.multiarray", "_reconstruct scalar") for core in ("core", "_core")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    ("numpy.ma.core", "_mareconstruct"),
    ("numpy.random._pickle", "__bit_generator_ctor __generator_ctor __randomstate_ctor"),
    ("numpy.random._mt19937", "MT19937"),
    ("numpy.random._pcg64", "PCG64 PCG64DXSM"),
    ("numpy.random._philox", "Philox"),
    ("numpy.random._sfc64", "SFC64"),
    ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"),
    # enums, which are called by their value
    ("accelerate.utils.dataclasses",
     ("ComputeEnvironment CustomDtype DDPCommunicationHookType DistributedType DynamoBackend FP8BackendType LoggerType "
     "PrecisionType RNGType SageMakerDistributedType")),
    ("deepspeed.runtime.zero.config", "ZeroStageEnum"),
    ("deepspeed.runtime.zero.offload_config", "OffloadDeviceEnum"),
    ("megatron.core.enums", "Fp4Recipe Fp8Recipe ModelType"),
    ("megatron.core.rerun_state_machine", "RerunDiagnostic RerunMode RerunState"),
    ("megatron.core.transformer.enums", "AttnBackend AttnMaskType AttnType CudaGraphScope LayerType ModelType"),
    *((module, "AttnMaskType AttnType LayerType ModelType PositionEmbeddingType")
      for module in ("megatron.enums", "megatron.model.enums")),
    ("peft.utils.peft_types", "PeftType TaskType"),
    ("torchao.quantization.quant_primitives", "MappingType TorchAODType ZeroPointDomain"),
    ("torchao.quantization.quantize_.common.kernel_preference", "KernelPreference"),
    ("transformers.debug_utils", "DebugOption"),
    ("transformers.trainer_utils",
     ("EvaluationStrategy FSDPOption HubStrategy IntervalStrategy SaveStrategy SchedulerType")),
    ("transformers.training_args", "OptimizerNames ParallelMode"),
)  # fmt: skip

KNOWN = frozenset((module, name) for module, names in _ROWS for name in names.split())
"""Pairs of a module and a name."""

CALL_ARGUMENTS = {
    ("torch._tensor", "_rebuild_from_type"): (0,),
    ("torch._tensor", "_rebuild_from_type_v2"): (0,),
    ("numpy.random._pickle", "__generator_ctor"): (1,),
    ("numpy.random._pickle", "__randomstate_ctor"): (1,),
    ("copyreg", "_reconstructor"): (1,),  # `__init__` of the base
}
"""The arguments that each of these calls in its turn, by position."""
CALL_CLASSES = {
    ("numpy.random._pickle", name): (0,) for name in ("__bit_generator_ctor", "__generator_ctor", "__randomstate_ctor")
}
"""Those that it calls if they are classes, and takes as they are otherwise."""


def resolved(named: Global) -> tuple[str, str]:
    """The module and the name that the pickle module looks up: protocol 2, which torch.save writes, has Python 2's."""
    module, name = NAME_MAPPING.get((named.module, named.name), (named.module, named.name))
    return IMPORT_MAPPING.get(module, module), name

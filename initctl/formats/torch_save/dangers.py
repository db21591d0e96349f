"""Warnings about functions that loading a pickle would call: those that run commands or code, and unknown ones.

A warning names every called function that is not in `KNOWN`. The lists of functions that run code decide only how the
warning is worded, so they need not be complete. They come from scanners of pickles, and from attacks on such scanners.
"""

from __future__ import annotations

from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from initctl.errors import Problem, listed, shown

if TYPE_CHECKING:
    from initctl.formats.torch_save.calls import CalledNames
    from initctl.formats.torch_save.standins import Global

TORCH_LOAD = "torch.load(weights_only=False)"
_RUNS_CODE, _UNKNOWN_CALLS = "torch.runs_code", "torch.unknown_calls"
_MOST_LISTED = 10


def dangers(path: str, names: CalledNames, loader: str = TORCH_LOAD) -> tuple[Problem, ...]:
    """Warnings about the file at `path`, whose pickle `loader` reads."""
    running = sorted({_shown(named) for named in names.named if runs_code(named)})
    unknown = sorted(set(_unknown(names)))
    problems = []
    if running:
        called = listed(running, at_most=_MOST_LISTED)
        message = f"{shown(path)}: its pickle can run any command or code: {loader} may call {called}"
        hint = "initctl ran nothing; load the file only if you trust its source"
        problems.append(Problem(_RUNS_CODE, message, hint))
    if unknown:
        called = listed(unknown, at_most=_MOST_LISTED)
        message = f"{shown(path)}: {loader} may call {called}, which initctl does not know"
        hint = "initctl ran nothing; load the file only if you know what this code does"
        problems.append(Problem(_UNKNOWN_CALLS, message, hint))
    return tuple(problems)


def carried_along(output: str, warnings: Iterable[Problem], *, is_directory: bool) -> Iterator[Problem]:
    """A warning that `output` contains the calls that `warnings` about its source are about, if they are about any."""
    if any(warning.code in (_RUNS_CODE, _UNKNOWN_CALLS) for warning in warnings):
        pickle = "a pickle in it" if is_directory else "its pickle"
        message = f"{shown(output)}: {pickle} contains the same calls"
        yield Problem("torch.carried_along", message, "write safetensors instead, which contains none")


def _unknown(names: CalledNames) -> Iterator[str]:
    for called in names.called:
        if resolved(called) not in KNOWN and not runs_code(called):
            yield _shown(called)
    for called in names.returning:
        if not runs_code(called):
            yield f"the result of {_shown(called)}"


def _shown(named: Global) -> str:
    return shown(".".join(resolved(named)))


def runs_code(named: Global) -> bool:
    """Whether `named` is known to run commands or code, to load code, or to give access to such functions."""
    module, name = resolved(named)
    parts = name.split(".")
    reaches = any(_is_listed(".".join(parts[at:-1]), parts[-1]) for at in range(len(parts) - 1))
    is_machinery = any(part.startswith("__") and part.endswith("__") for part in parts)  # `__globals__`, `__dict__`
    return (module, name) not in KNOWN and (_is_listed(module, parts[0]) or reaches or is_machinery)


def _is_listed(module: str, name: str) -> bool:
    parts = module.split(".")
    packages = (".".join([*parts[:count], "*"]) for count in range(1, len(parts) + 1))
    return (module, name) in _FUNCTIONS or module in _MODULES or any(package in _MODULES for package in packages)


def resolved(named: Global) -> tuple[str, str]:
    """The Python 3 module and name of `named`: protocol 2, which torch.save writes, uses those of Python 2."""
    module, name = NAME_MAPPING.get((named.module, named.name), (named.module, named.name))
    return IMPORT_MAPPING.get(module, module), name


_MODULES = frozenset(
    module
    for row in (
        # commands and processes
        "os posix nt subprocess _posixsubprocess _winapi pty popen2 signal webbrowser antigravity sh",
        "asyncio.* concurrent.* multiprocessing.* distutils.* setuptools.* pip.* ensurepip.* venv.*",
        "pexpect.* plumbum.* paramiko.* torch.multiprocessing.*",
        # code: from text, from files, later, or by tools that run it
        "runpy imp pkgutil zipimport zipapp code codeop py_compile compileall site importlib.* idlelib.* lib2to3.*",
        "bdb pdb cProfile profile timeit trace doctest cgitb pydoc unittest.* IPython.* ptpython.* _pyrepl.*",
        "numpy.ctypeslib gc sys inspect atexit threading _thread sched logging.config tkinter.* sqlite3.*",
        "ctypes.* _ctypes cffi.* rlcompleter faulthandler numpy.testing.* numpy.f2py.* numpy.distutils.*",
        "torch.hub torch.package.* torch.utils.cpp_extension torch.utils.bottleneck.* torch.utils.collect_env",
        "torch._inductor.* torch._dynamo.* torch.distributed.rpc.* torch.fx.experimental.* torch.jit.frontend",
        "sympy.* numba.* jinja2.*",
        # other unpicklers
        "pickle _pickle cPickle pickletools marshal shelve dbm.* dill.* cloudpickle.* joblib.* jsonpickle.* yaml.*",
        "torch.utils.data.datapipes.*",
        # files and the net
        "shutil tempfile zipfile tarfile fileinput mmap glob socket _socket ssl socketserver http.client http.server",
        "mailbox requests.* httpx.* aiohttp.* urllib.request ftplib smtplib imaplib xmlrpc.* urllib3.*",
    )
    for module in row.split()
)
"""Modules, and packages with all their modules (`.*`)."""
_FUNCTIONS = frozenset(
    (module, name)
    for module, names in (
        (
            "builtins",
            "__import__ apply breakpoint compile delattr eval exec execfile file getattr globals input locals",
        ),
        ("builtins", "memoryview open setattr vars"),
        ("_io", "FileIO open open_code"),
        ("io", "FileIO open open_code"),
        ("codecs", "open"),
        ("operator", "attrgetter methodcaller"),
        ("_operator", "attrgetter methodcaller"),
        ("types", "CodeType FunctionType LambdaType MethodType ModuleType"),
        ("platform", "_syscmd_file _syscmd_ver popen"),
        ("torch", "load save compile"),
        ("torch.serialization", "_legacy_load _load _save load save"),
        ("torch.storage", "_load_from_bytes"),
        ("torch.jit", "load script"),
        ("torch.jit._serialization", "load"),
        ("torch._ops", "load_library"),
        ("torch.fx", "symbolic_trace"),
        ("torch.fx.graph_module", "reduce_deploy_graph_module reduce_graph_module reduce_package_graph_module"),
        ("torch.utils._config_module", "load_config"),
        ("numpy", "fromfile load loadtxt genfromtxt memmap save savetxt savez"),
        ("numpy.lib.npyio", "load save"),
        ("numpy.lib._npyio_impl", "load save"),
        ("numpy.lib.format", "open_memmap read_array"),
        ("pandas", "eval read_pickle"),
        ("pandas.io.pickle", "read_pickle"),
    )
    for name in names.split()
)

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
    ("functools", "partial"),  # does not call its function; a call of the partial is noted
    ("io", "BytesIO StringIO"),
    ("_io", "BytesIO StringIO"),
    ("itertools", "chain count cycle repeat"),
    ("logging", "getLogger"),
    ("operator", "getitem"),  # typing.Optional[int], as omegaconf saves it
    ("_operator", "getitem"),
    *((module, "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath")
      for module in ("pathlib", "pathlib._local")),
    ("random", "Random"),
    ("re", "_compile"),
    ("types", "GenericAlias MappingProxyType SimpleNamespace"),
    ("uuid", "UUID"),
    ("zoneinfo", "ZoneInfo ZoneInfo._unpickle"),
    # torch: functions that torch/_weights_only_unpickler.py allows, and others
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
    # enums, which are called with their value
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
"""Harmless functions that pickles of checkpoints are known to call, as pairs of a module and a name of Python 3.
Most are called by REDUCE; a class that is only rebuilt needs no row. `resolved` turns names of Python 2 into these.
"""

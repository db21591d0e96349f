"""Machine code of the compiled engine: made once by Numba, kept in the user's cache, loaded without Numba.

Importing Numba and loading a function that it has cached takes half a second, a large part of the time for copying a
checkpoint. The loops have the calling convention of C, so their object code is kept instead. llvmlite, Numba's back
end, loads it in 40 ms. If the cache cannot be read or written, the only cost is the seconds of compiling.
"""

from __future__ import annotations

import ctypes
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from glob import glob
from hashlib import blake2b
from importlib.util import find_spec
from itertools import chain
from math import ceil
from typing import TYPE_CHECKING, Any

from initctl.stream.engines.abi import SIGNATURES

if TYPE_CHECKING:
    from llvmlite.binding import ModuleRef, TargetMachine

    Kernels = dict[str, Callable[..., None]]

_PREFIX = "initctl_"
_SOURCES = ("kernels/*.py", "abi.py", "object_code.py", "../elementary.py", "../elementary64.py", "../philox.py")
"""Sources that the code depends on, besides Numba and the processor."""
_FROM_LIBC = {"memset", "memcpy", "memmove", "sqrtf", "fabsf"}
"""The only functions that the code may call. Others would not be found when it is loaded without Numba."""
_DIGEST_BYTES = 32
_ROOT = 0
_FILE_PREFIX = "kernels-"
_SIDE_BY_SIDE, _AS_LLVM_CHOOSES = 4, 0
"""Vectors of a loop that are computed side by side. Eight are not faster, and slower for short rows."""
_NONE = b""
"""The content of the cache if compiling failed, so that it is not tried each time."""
_WORK_SUFFIX, _BYTES_A_SECOND = ".work", 10
"""The file beside the code that does not exist yet: a byte for each tenth of a second of work without it."""
_KEPT = 16
"""How many of the newest files are kept, for machines and versions that share a home directory."""


class NoCompiler(Exception):  # noqa: N818 - a fact that the resolver turns into a reason
    """The compiled engine is not available here; the message says why."""


def is_cached() -> bool:
    """Whether nothing needs to be compiled: the cache has the code, or the note that compiling failed.

    Raises `NoCompiler`.
    """
    with _failing_as_no_compiler():
        return _read(_cache_path()) is not None


def work_without(seconds: float) -> float:
    """The seconds of work that was done without compiled code on this machine, and of `seconds` more, which is noted.

    Nothing is noted if the cache cannot be written.
    """
    path = _cache_path()
    if path is None:
        return seconds
    with suppress(OSError):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path + _WORK_SUFFIX, "ab") as stream:
            stream.write(bytes(ceil(seconds * _BYTES_A_SECOND)))
            return stream.tell() / _BYTES_A_SECOND
    return seconds


def kernels(proves: Callable[[Kernels], bool]) -> Kernels:
    """The kernels by name, from the cache or compiled now. After compiling, `proves` checks their results.

    Raises `NoCompiler`.
    """
    with _failing_as_no_compiler():
        path = _cache_path()
        code = _read(path)
        if code is None:
            code = _proven(proves)
            _write(path, code)
        if code != _NONE:
            return _loaded(code)
    raise NoCompiler(f"code compiled on this machine cannot be used; to try again, delete {path}")


def _proven(proves: Callable[[Kernels], bool]) -> bytes:
    """The code; empty if it cannot be loaded, or gives wrong results."""
    try:
        code = _compiled()
        return code if proves(_loaded(code)) else _NONE
    except NoCompiler:
        return _NONE


@contextmanager
def _failing_as_no_compiler() -> Iterator[None]:
    """Turn any error of a compiler that does not fit this machine or this NumPy into `NoCompiler`.

    Compilers raise errors of all kinds. Without one, work only takes longer.
    """
    try:
        yield
    except Exception as error:
        raise NoCompiler(f"{type(error).__name__}: {error}".partition("\n")[0]) from error


def cache_directory() -> str | None:
    """The directory of the cache: $XDG_CACHE_HOME/initctl, or ~/.cache/initctl; None without a home directory."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the standard says to ignore relative paths
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "initctl") if os.path.isabs(base) else None


@cache
def _cache_path() -> str | None:
    """The file for this version of the code, its compiler and the processor."""
    import llvmlite
    import llvmlite.binding as llvm
    import numpy as np

    digest = blake2b(digest_size=12)
    here = os.path.dirname(__file__)
    for name in chain.from_iterable(sorted(glob(source, root_dir=here)) for source in _SOURCES):
        digest.update(_content(os.path.join(here, name)))
    digest.update(_numba_version())
    machine = (llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(), llvm.get_default_triple())
    for text in (llvmlite.__version__, np.__version__, *machine):
        digest.update(b"\0" + text.encode())
    directory = cache_directory()
    return directory and os.path.join(directory, f"{_FILE_PREFIX}{digest.hexdigest()}.o")


def _numba_version() -> bytes:
    """The file with Numba's version. Importing Numba, or reading the metadata of packages, would take 30 ms."""
    spec = find_spec("numba")
    if spec is None or spec.origin is None:
        raise NoCompiler("numba is not installed")
    return _content(os.path.join(os.path.dirname(spec.origin), "_version.py"))


def _content(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def _read(path: str | None) -> bytes | None:
    """The code at `path`, if it exists, is complete, and no other user could write it, since it will be run."""
    if path is None:
        return None
    try:
        with open(path, "rb", opener=_without_waiting) as stream:
            content = stream.read() if _is_trusted(os.fstat(stream.fileno())) else b""
    except OSError:
        return None
    code, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    return code if digest == _digest(code) else None


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _is_trusted(status: os.stat_result) -> bool:
    is_own = status.st_uid in (os.geteuid(), _ROOT) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return is_own and stat.S_ISREG(status.st_mode)


def _write(path: str | None, code: bytes) -> None:
    """Keep `code` at `path`, complete or not at all. Does nothing if that is not possible."""
    if path is None:
        return
    directory = os.path.dirname(path)
    with suppress(OSError):
        os.makedirs(directory, mode=0o700, exist_ok=True)
        descriptor, staged = tempfile.mkstemp(dir=directory)
        try:
            with open(descriptor, "wb") as stream:
                os.chmod(staged, 0o644)
                stream.write(code + _digest(code))
            os.replace(staged, path)
        except BaseException:
            os.unlink(staged)
            raise
        with suppress(FileNotFoundError):
            os.unlink(path + _WORK_SUFFIX)
        kept = [entry.path for entry in os.scandir(directory) if entry.name.startswith(_FILE_PREFIX)]
        for old in sorted(kept, key=os.path.getmtime)[:-_KEPT]:
            os.unlink(old)


def _digest(code: bytes) -> bytes:
    return blake2b(code, digest_size=_DIGEST_BYTES).digest()


def _target_machine() -> TargetMachine:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=_features(),
        opt=3,
        codemodel="jitdefault",
        jit=True,
    )


def _features() -> str:
    """The features of the processor. Its vectors of 512 bits are used, even if LLVM prefers narrower ones."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    return str(features.flatten()) + (",-prefer-256-bit" if features.get("avx512f") else "")


def _compiled() -> bytes:
    """The kernels as one object file, which calls only the C library."""
    machine = _target_machine()
    with _compiling():
        from initctl.stream.engines.kernels import KERNELS

        module = _linked({name: (kernel.native_name, kernel.inspect_llvm()) for name, kernel in KERNELS.items()})
        _optimize(module, machine)
    needed = {value.name for value in (*module.functions, *module.global_variables) if value.is_declaration}
    if missing := [name for name in sorted(needed) if not name.startswith("llvm.") and name not in _FROM_LIBC]:
        raise NoCompiler(f"the compiled code needs functions that are missing: {', '.join(missing)}")
    code: bytes = machine.emit_object(module)
    return code


@contextmanager
def _compiling() -> Iterator[None]:
    """Make Numba and LLVM compile for this processor, with loops that compute several vectors side by side.

    The formulas are long chains of steps that wait for each other, and a processor does not look far enough ahead to
    start later passes of a loop meanwhile. LLVM ignores a setting that it does not know.
    """
    import llvmlite.binding as llvm
    from numba.core import config

    def interleave(vectors: int) -> None:
        llvm.set_option("", f"-force-vector-interleave={vectors}")

    before, config.CPU_FEATURES = config.CPU_FEATURES, _features()
    interleave(_SIDE_BY_SIDE)
    try:
        yield
    finally:
        interleave(_AS_LLVM_CHOOSES)
        config.CPU_FEATURES = before


def _linked(texts: dict[str, tuple[str, str]]) -> ModuleRef:
    """One module from texts in LLVM's language. Only the kernels are visible from outside."""
    import llvmlite.binding as llvm

    modules = []
    for name, (native_name, text) in texts.items():
        module = llvm.parse_assembly(text)
        module.get_function(native_name).name = _PREFIX + name
        modules.append(module)
    first, *others = modules
    for module in others:
        first.link_in(module)
    for value in (*first.functions, *first.global_variables):
        if not (value.is_declaration or value.name.startswith(_PREFIX)):
            value.linkage = "internal"
    return first


def _optimize(module: ModuleRef, machine: TargetMachine) -> None:
    """Optimize the whole module again. Only now LLVM sees that no kernel fails, and removes Python's error handling."""
    import llvmlite.binding as llvm

    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(module, builder)


def _loaded(code: bytes) -> Kernels:
    import llvmlite.binding as llvm

    execution = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
    execution.add_object_file(llvm.ObjectFileRef.from_data(code))
    execution.finalize_object()
    _EXECUTIONS.append(execution)
    return {name: _function(execution.get_function_address(_PREFIX + name), SIGNATURES[name]) for name in SIGNATURES}


_EXECUTIONS: list[Any] = []
"""Owners of loaded code, kept since the code is freed with its owner."""


def _function(address: int, signature: str) -> Callable[..., None]:
    """The function at `address`. It runs without Python's global lock."""
    if not address:
        raise NoCompiler("a kernel is missing")
    types = (ctypes.c_int64 if letter == "i" else ctypes.c_void_p for letter in signature)
    return ctypes.CFUNCTYPE(None, *types)(address)

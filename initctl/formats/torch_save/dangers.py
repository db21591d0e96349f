"""Warnings about what loading a pickle would call: what runs commands or code, and what nobody here knows.

Whatever is not in `known.py` and is called is named in a warning. The lists here decide its wording only: they need not
be complete. Both lists are of what scanners of pickles look for, or were bypassed with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.errors import Problem, listed, shown
from initctl.formats.torch_save.known import KNOWN, resolved

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from initctl.formats.torch_save.calls import CalledNames
    from initctl.formats.torch_save.standins import Global

TORCH_LOAD = "torch.load(weights_only=False)"
_MOST_LISTED = 10


def dangers(path: str, names: CalledNames, loader: str = TORCH_LOAD) -> tuple[Problem, ...]:
    """Warnings about the file at `path`, whose pickle `loader` reads."""
    running = sorted({shown(named) for named in names.named if runs_code(named)})
    unknown = sorted(set(_unknown(names)))
    return (*_running(path, running, loader), *_calling(path, unknown, loader))


def _running(path: str, names: Sequence[str], loader: str) -> Iterator[Problem]:
    if names:
        them = "it" if len(names) == 1 else "them"
        message = (
            f"{shown(path)}: its pickle names {_listed(names)}, which can run any command or code: "
            f"{loader} may call {them}"
        )
        yield Problem(
            "torch.runs_code", message, "initctl ran nothing; do not load the file unless you trust its maker"
        )


def _calling(path: str, names: Sequence[str], loader: str) -> Iterator[Problem]:
    if names:
        message = f"{shown(path)}: {loader} may call {_listed(names)}, which initctl does not know"
        yield Problem(
            "torch.unknown_calls", message, "initctl ran nothing; load the file if you know what this code does"
        )


def _unknown(names: CalledNames) -> Iterator[str]:
    for called in names.called:
        if resolved(called) not in KNOWN and not runs_code(called):
            yield shown(called)
    for called in names.returning:
        if not runs_code(called):
            yield f"what {shown(called)} returns"


def _listed(names: Sequence[str]) -> str:
    return listed(names, at_most=_MOST_LISTED)


def runs_code(named: Global) -> bool:
    """Whether `named` is known to run commands or code, to load it, or to lead to what does."""
    module, name = resolved(named)
    parts = name.split(".")
    reaches = any(_is_listed(".".join(parts[at:-1]), parts[-1]) for at in range(len(parts) - 1))
    return (module, name) not in KNOWN and (_is_listed(module, parts[0]) or reaches or any(map(_is_special, parts)))


def _is_listed(module: str, name: str) -> bool:
    parts = module.split(".")
    packages = (".".join([*parts[:count], "*"]) for count in range(1, len(parts) + 1))
    return (module, name) in _FUNCTIONS or module in _MODULES or any(package in _MODULES for package in packages)


def _is_special(part: str) -> bool:
    """Whether a name is one of Python's own machinery: `__globals__`, `__dict__`, `__subclasses__`."""
    return part.startswith("__") and part.endswith("__")


_MODULES = frozenset(
    module
    for row in (
        # commands and processes
        "os posix nt subprocess _posixsubprocess _winapi pty popen2 signal webbrowser antigravity sh",
        "asyncio.* concurrent.* multiprocessing.* distutils.* setuptools.* pip.* ensurepip.* venv.*",
        "pexpect.* plumbum.* paramiko.* torch.multiprocessing.*",
        # code: from text, from files, later, or by tools that run some
        "runpy imp pkgutil zipimport zipapp code codeop py_compile compileall site importlib.* idlelib.* lib2to3.*",
        "bdb pdb cProfile profile timeit trace doctest cgitb pydoc unittest.* IPython.* ptpython.* _pyrepl.*",
        "numpy.ctypeslib gc sys inspect atexit threading _thread sched logging.config tkinter.* sqlite3.*",
        "ctypes.* _ctypes cffi.* rlcompleter faulthandler numpy.testing.* numpy.f2py.* numpy.distutils.*",
        "torch.hub torch.package.* torch.utils.cpp_extension torch.utils.bottleneck.* torch.utils.collect_env",
        "torch._inductor.* torch._dynamo.* torch.distributed.rpc.* torch.fx.experimental.* torch.jit.frontend",
        # other unpicklers
        "pickle _pickle cPickle pickletools marshal shelve dbm.* dill.* cloudpickle.* joblib.* jsonpickle.* yaml.*",
        # files and the net
        "shutil tempfile zipfile tarfile fileinput mmap glob socket _socket ssl socketserver http.client http.server",
        "requests.* httpx.* aiohttp.* urllib.request ftplib smtplib imaplib xmlrpc.* urllib3.*",
    )
    for module in row.split()
)
"""Modules, and packages with all that is in them."""
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
        ("torch.utils.data.datapipes.utils.decoder", "basichandlers"),
        ("numpy", "fromfile load loadtxt genfromtxt memmap save savetxt savez"),
        ("numpy.lib.npyio", "load save"),
        ("numpy.lib._npyio_impl", "load save"),
        ("numpy.lib.format", "open_memmap read_array"),
        ("pandas", "eval read_pickle"),
        ("pandas.io.pickle", "read_pickle"),
    )
    for name in names.split()
)

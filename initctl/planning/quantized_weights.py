"""Which tensors of a checkpoint make up quantized weights, by names in the same module, dtypes, and config.json."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.errors import InputError, shown
from initctl.grouping import grouped
from initctl.planning.quantization_schemes import SCHEMES, Scheme

if TYPE_CHECKING:
    from initctl.dtypes import DType
    from initctl.formats import Checkpoint
    from initctl.tensors import TensorSpec

_ANY = ".*"
"""The beginning of an ending that means many names of a module."""
_TABLES = ("quantization_config", "compression_config")
"""The tables of config.json about quantization: transformers; older files of compressed-tensors."""
_INNER = ("text_config", "llm_config", "language_config")
"""The tables of config.json for a language model that is a part of another model."""
_MLX = ("quantization",)
"""A table without a name for the method: mlx_lm (utils.py, save_config)."""
_WIDEST_CODE = 32
"""Bits of the widest integers that codes are packed into; wider ones are indices and counters."""


class QuantizedWeight(NamedTuple):
    """A weight in parts: the names of its codes, if this checkpoint holds them, and of its companions, in order.

    `scheme` is the layout's name in messages.
    """

    scheme: str
    parts: tuple[str, ...]


class _Companion(NamedTuple):
    """A companion's ending, and the endings of codes that it may belong to, each with the schemes that pair the two."""

    ending: str
    codes: Mapping[str, tuple[Scheme, ...]]

    def stem(self, dotted: str) -> str | None:
        """The stem of the codes that `dotted`, a name after a dot, belongs to; None if it has another ending."""
        if not self.ending.startswith(_ANY):
            return dotted.removesuffix(self.ending) if dotted.endswith(self.ending) else None
        module, _, last = dotted.rpartition(".")
        return module if last.endswith(self.ending.removeprefix(_ANY)) else None


_Stems = list[tuple[str, _Companion]]


def quantized_weights(checkpoint: Checkpoint) -> Mapping[str, QuantizedWeight]:
    """The quantized weight that each tensor of `checkpoint` is a part of, by the tensor's name; others are absent.

    `config.json` is read only if there are names or dtypes of a quantized checkpoint.
    """
    tensors = checkpoint.tensors
    companions = [(tensor, stems) for tensor in tensors if (stems := _stems(tensor.name))]
    dtypes = {tensor.dtype.name: tensor.dtype for tensor in tensors}
    float8 = {name for name, dtype in dtypes.items() if _is_float8(dtype)}
    if not companions and not float8:
        return {}
    found = _Found(tensors, float8, _method_named_by(checkpoint))
    for tensor, stems in companions:
        found.add(f".{tensor.name}", stems)
    return found.weights()


def _method_named_by(checkpoint: Checkpoint) -> str | None:
    """The quantization method that `config.json` of `checkpoint` names, with hyphens; None if there is none.

    A config.json that cannot be read counts as absent: code that needs it reports the error.
    """
    with suppress(InputError):
        config = checkpoint.config() or {}
        for table in (config, *_tables(config, _INNER)):
            for method in (inner.get("quant_method") for inner in _tables(table, _TABLES)):
                if isinstance(method, str):
                    return method.lower().replace("_", "-")
        return "mlx" if _tables(config, _MLX) else None
    return None


def _tables(table: Mapping[str, Any], keys: Iterable[str]) -> list[Mapping[str, Any]]:
    return [table[key] for key in keys if isinstance(table.get(key), dict)]


def _stems(name: str) -> _Stems:
    """The companions that `name` may be, each with the stem of its codes."""
    dotted = f".{name}"
    companions, endings = _called(dotted.rpartition(".")[2])
    if not dotted.endswith(endings):
        return []
    return [(stem, row) for row in companions if (stem := row.stem(dotted)) is not None]


class _Found:
    """The codes found so far, with their companions; each name has a dot before it."""

    def __init__(self, tensors: Sequence[TensorSpec], float8: Container[str], method: str | None) -> None:
        self._method = method
        self._of_config = tuple(scheme for scheme in SCHEMES if method in scheme.methods.split())
        self._dtypes = {f".{tensor.name}": tensor.dtype for tensor in tensors}
        held = (dotted for dotted, dtype in self._dtypes.items() if dtype.name in float8)
        self._float8_in = grouped((dotted.rpartition(".")[0], dotted) for dotted in held)
        self._companions: dict[str, dict[str, None]] = defaultdict(dict)
        self._schemes: dict[str, tuple[Scheme, ...]] = defaultdict(tuple)
        self._without_codes: list[str] = []

    def add(self, dotted: str, stems: _Stems) -> None:
        """Add a companion to the codes that begin with one of `stems`, if there are any."""
        beside = [found for found in self._beside(stems) if found[0] != dotted]
        for codes, schemes in beside:
            self._companions[codes][dotted] = None
            self._schemes[codes] += schemes
        if not beside:
            self._without_codes.append(dotted)

    def _beside(self, stems: _Stems) -> Iterator[tuple[str, tuple[Scheme, ...]]]:
        """Codes that begin with one of `stems`, each with the schemes whose codes they may be, by their dtype."""
        for stem, companion in stems:
            for ending, schemes in companion.codes.items():
                for codes in self._float8_in.get(stem, ()) if ending == _ANY else (stem + ending,):
                    if (dtype := self._dtypes.get(codes)) is None:
                        continue
                    if fitting := schemes if _holds_codes(dtype) else tuple(s for s in schemes if s.any_dtype):
                        yield codes, fitting

    def weights(self) -> dict[str, QuantizedWeight]:
        found: dict[str, QuantizedWeight] = {}
        if self._method:  # another file may hold the scales: in a quantized checkpoint, float8 means codes
            names = [dotted[1:] for names in self._float8_in.values() for dotted in names]
            found = {name: QuantizedWeight(shown(self._method), (name,)) for name in names}
        followed = {codes: _likeliest(schemes, self._of_config) for codes, schemes in self._schemes.items()}
        for dotted, scheme in self._alone(tuple(dict.fromkeys((*self._of_config, *followed.values())))):
            title = scheme.title or self._method or "a scale without its codes"
            found[dotted[1:]] = QuantizedWeight(title, (dotted[1:],))
        beside: dict[str, QuantizedWeight] = {}
        for codes, scheme in followed.items():
            names = [name[1:] for name in self._companions[codes]]
            weight = QuantizedWeight(self._title(codes, scheme), (codes[1:], *names))
            for name in names:
                beside.setdefault(name, weight)
            beside[codes[1:]] = weight
        return {**found, **beside}

    def _alone(self, followed: Sequence[Scheme]) -> Iterator[tuple[str, Scheme]]:
        """Companions without codes, each with the first of the `followed` schemes that has companions called so."""
        for dotted in self._without_codes:
            weight = f"{dotted.rpartition('.')[0]}.weight"
            dtype = None if weight == dotted else self._dtypes.get(weight)
            is_beside_plain = dtype is not None and not _holds_codes(dtype)
            for scheme in followed:
                if dotted.endswith(_by_themselves(scheme, "!!" if is_beside_plain else "!")):
                    yield dotted, scheme
                    break

    def _title(self, codes: str, scheme: Scheme) -> str:
        if scheme.title or scheme in self._of_config:
            return scheme.title or f"{self._method}"
        return f"{self._dtypes[codes].name} with a scale"


@cache
def _by_themselves(scheme: Scheme, mark: str) -> tuple[str, ...]:
    """The endings of companions with this `mark`, which count without their codes."""
    return tuple(ending.rstrip("!") for ending in scheme.companions.split() if ending.endswith(mark))


@lru_cache(maxsize=4096)
def _likeliest(schemes: tuple[Scheme, ...], of_config: tuple[Scheme, ...]) -> Scheme:
    """The scheme of most companions; a scheme that config.json names is preferred."""
    counted = Counter(schemes)
    return max(counted, key=lambda scheme: (scheme in of_config, counted[scheme]))


@lru_cache(maxsize=4096)
def _called(last: str) -> tuple[Sequence[_Companion], tuple[str, ...]]:
    """The companions whose names may end with the part `last`, and their endings."""
    companions = _by_last_word().get(_last_word(last), ())
    return companions, tuple(companion.ending.removeprefix(_ANY) for companion in companions)


@cache
def _by_last_word() -> Mapping[str, Sequence[_Companion]]:
    endings: dict[str, dict[str, tuple[Scheme, ...]]] = defaultdict(lambda: defaultdict(tuple))
    for scheme in SCHEMES:
        for ending in scheme.companions.replace("!", "").split():
            for codes in scheme.codes.split(" "):  # not split(): the empty ending counts
                endings[ending][codes] += (scheme,)
    return grouped((_last_word(ending), _Companion(ending, codes)) for ending, codes in endings.items())


def _last_word(name: str) -> str:
    """The part after the last dot, underscore or colon."""
    return name[max(name.rfind("."), name.rfind("_"), name.rfind(":")) + 1 :]


def _is_float8(dtype: DType) -> bool:
    return dtype.bits == 8 and dtype.is_floating


def _holds_codes(dtype: DType) -> bool:
    """Whether a tensor of this type can hold codes: small integers, float8, packed elements."""
    if dtype.kind == "integer":
        return dtype.bits <= _WIDEST_CODE
    return dtype.kind in ("packed", "quantized") or _is_float8(dtype)

"""Which tensors of a checkpoint make up quantized weights, by names beside each other, dtypes, and config.json."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.errors import InputError, shown
from initctl.formats import read_config
from initctl.planning.quantization.schemes import SCHEMES, Scheme

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from initctl.dtypes import DType
    from initctl.tensors import TensorSpec

_ANY = ".*"
"""What an ending begins with that stands for many names of a module."""
_TABLES = ("quantization_config", "compression_config")
"""What config.json says of quantization: transformers; older files of compressed-tensors."""
_INNER = ("text_config", "llm_config", "language_config")
"""Where the configuration of a language model is that is a part of another model."""
_MLX = ("quantization",)
"""A table without a name for the method: mlx_lm (utils.py, save_config)."""
_WIDEST_CODE = 32
"""Bits of the widest integers that codes are packed into; wider ones are indices and counters."""


@dataclass(frozen=True, slots=True)
class QuantizedWeight:
    """A weight in parts: the names of its codes, if this checkpoint holds them, and of its companions, in order.

    `scheme` is how messages call the layout: as they show it.
    """

    scheme: str
    codes: str | None
    companions: tuple[str, ...]

    @property
    def parts(self) -> tuple[str, ...]:
        """All of them."""
        return (self.codes, *self.companions) if self.codes else self.companions


class _Companion(NamedTuple):
    """A companion's ending, and where codes are that it may belong to: their endings, with the schemes that say so."""

    ending: str
    codes: Mapping[str, tuple[Scheme, ...]]

    def stem(self, dotted: str) -> str | None:
        """What its codes begin with, of a name with a dot before it; None if the name does not end so."""
        if not self.ending.startswith(_ANY):
            return dotted.removesuffix(self.ending) if dotted.endswith(self.ending) else None
        module, _, last = dotted.rpartition(".")
        return module if last.endswith(self.ending.removeprefix(_ANY)) else None


_Stems = list[tuple[str, _Companion]]


def quantized_weights(tensors: Sequence[TensorSpec], directory: str) -> Mapping[str, QuantizedWeight]:
    """The quantized weight that each tensor is a part of, by the tensor's name; those of none are not there.

    `config.json` in `directory` is read only if there are names or dtypes of a quantized checkpoint.
    """
    companions = [(tensor, stems) for tensor in tensors if (stems := _stems(tensor.name))]
    dtypes = {tensor.dtype.name: tensor.dtype for tensor in tensors}
    float8 = {name for name, dtype in dtypes.items() if _is_float8(dtype)}
    if not companions and not float8:
        return {}
    found = _Found(tensors, float8, _method_named_in(directory))
    for tensor, stems in companions:
        found.add(tensor, stems)
    return found.weights()


def _method_named_in(directory: str) -> str | None:
    """The quantization method that config.json in `directory` names, with hyphens; None if there is none.

    A config.json that cannot be read names none: whoever needs it reports that.
    """
    with suppress(InputError):
        config = read_config(directory) or {}
        for table in (config, *_tables(config, _INNER)):
            for method in (inner.get("quant_method") for inner in _tables(table, _TABLES)):
                if isinstance(method, str):
                    return method.lower().replace("_", "-")
        return "mlx" if _tables(config, _MLX) else None
    return None


def _tables(table: Mapping[str, Any], keys: Iterable[str]) -> list[Mapping[str, Any]]:
    return [table[key] for key in keys if isinstance(table.get(key), dict)]


def _stems(name: str) -> _Stems:
    """The companions that `name` may be, each with what its codes begin with then."""
    dotted = f".{name}"
    called = _called(dotted.rpartition(".")[2])
    if not dotted.endswith(called.endings):
        return []
    return [(stem, row) for row in called.companions if (stem := row.stem(dotted)) is not None]


class _Found:
    """Codes with their companions, while they are found; names have a dot before them."""

    def __init__(self, tensors: Sequence[TensorSpec], float8: Container[str], method: str | None) -> None:
        self._method = method
        self._of_config = tuple(scheme for scheme in SCHEMES if method in scheme.methods)
        self._tensors = {f".{tensor.name}": tensor for tensor in tensors}
        self._float8_in: dict[str, list[str]] = defaultdict(list)
        for dotted in (f".{tensor.name}" for tensor in tensors if tensor.dtype.name in float8):
            self._float8_in[dotted.rpartition(".")[0]].append(dotted)
        self._companions: dict[str, dict[str, None]] = defaultdict(dict)
        self._schemes: dict[str, list[Scheme]] = defaultdict(list)
        self._likeliest: dict[tuple[Scheme, ...], Scheme] = {}
        self._without_codes: list[str] = []

    def add(self, tensor: TensorSpec, stems: _Stems) -> None:
        """Note `tensor` beside the codes that begin with one of `stems`, if there are such."""
        dotted = f".{tensor.name}"
        beside = [found for found in self._beside(stems) if found[0] != dotted]
        for codes, schemes in beside:
            self._companions[codes][dotted] = None
            self._schemes[codes] += schemes
        if not beside:
            self._without_codes.append(dotted)

    def _beside(self, stems: _Stems) -> Iterator[tuple[str, tuple[Scheme, ...]]]:
        """Codes that begin with one of `stems`, each with schemes that they may be of."""
        for stem, companion in stems:
            for ending, schemes in companion.codes.items():
                for codes in self._float8_in.get(stem, ()) if ending == _ANY else (stem + ending,):
                    if fitting := self._schemes_of(codes, schemes):
                        yield codes, fitting

    def _schemes_of(self, codes: str, schemes: tuple[Scheme, ...]) -> tuple[Scheme, ...]:
        """Those of `schemes` that the tensor `codes` can hold codes of, if it is there."""
        tensor = self._tensors.get(codes)
        if tensor is None:
            return ()
        return schemes if _holds_codes(tensor.dtype) else tuple(scheme for scheme in schemes if scheme.any_dtype)

    def weights(self) -> dict[str, QuantizedWeight]:
        """All of them, by the names of their tensors."""
        found = self._float8() if self._method else {}
        followed = {codes: self._scheme(codes) for codes in self._companions}
        for dotted, scheme in self._alone(dict.fromkeys((*self._of_config, *followed.values()))):
            title = scheme.title or self._method or "a scale without its codes"
            found[dotted[1:]] = QuantizedWeight(title, None, (dotted[1:],))
        beside: dict[str, QuantizedWeight] = {}
        for codes, scheme in followed.items():
            names = tuple(name[1:] for name in self._companions[codes])
            weight = QuantizedWeight(self._title(codes, scheme), codes[1:], names)
            for name in names:
                beside.setdefault(name, weight)
            beside[codes[1:]] = weight
        return {**found, **beside}

    def _alone(self, followed: Iterable[Scheme]) -> Iterator[tuple[str, Scheme]]:
        """Companions without codes, each with the one of the `followed` schemes that has companions called so."""
        schemes = tuple(followed)
        for dotted in self._without_codes:
            is_beside_weight = self._is_beside_plain_weight(dotted)
            endings = (scheme.anywhere if is_beside_weight else scheme.anywhere + scheme.alone for scheme in schemes)
            yield from islice(((dotted, s) for s, own in zip(schemes, endings, strict=True) if dotted.endswith(own)), 1)

    def _is_beside_plain_weight(self, dotted: str) -> bool:
        """Whether the weight of the module that it is in is not quantized."""
        name = f"{dotted.rpartition('.')[0]}.weight"
        return name != dotted and name in self._tensors and not _holds_codes(self._tensors[name].dtype)

    def _float8(self) -> dict[str, QuantizedWeight]:
        """Codes whose scale another file holds: if config.json names a method, float8 is not a weight's own dtype."""
        names = [dotted[1:] for names in self._float8_in.values() for dotted in names]
        return {name: QuantizedWeight(shown(self._method), name, ()) for name in names}

    def _scheme(self, codes: str) -> Scheme:
        """The one that most companions are of; one that config.json names comes before others."""
        schemes = tuple(self._schemes[codes])
        if schemes not in self._likeliest:
            counted = Counter(schemes)
            self._likeliest[schemes] = max(counted, key=lambda scheme: (scheme in self._of_config, counted[scheme]))
        return self._likeliest[schemes]

    def _title(self, codes: str, scheme: Scheme) -> str:
        if scheme.title or scheme in self._of_config:
            return scheme.title or f"{self._method}"
        return f"{self._tensors[codes].dtype.name} with a scale"


class _Called(NamedTuple):
    """Companions whose names may end with the same word, and what all their names may end with."""

    companions: Sequence[_Companion] = ()
    endings: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def _called(last: str) -> _Called:
    """The companions whose names may end with `last`, a whole part: few names of a checkpoint have such a part."""
    return _by_last_word().get(_last_word(last), _Called())


@cache
def _by_last_word() -> Mapping[str, _Called]:
    """The companions of all schemes, by their last words."""
    endings: dict[str, dict[str, tuple[Scheme, ...]]] = defaultdict(lambda: defaultdict(tuple))
    for scheme in SCHEMES:
        for ending in (*scheme.alone, *scheme.anywhere):
            endings[ending]
        for ending in scheme.companions:
            for codes in scheme.codes:
                endings[ending][codes] += (scheme,)
    found: dict[str, list[_Companion]] = defaultdict(list)
    for ending, by_codes in endings.items():
        found[_last_word(ending)].append(_Companion(ending, by_codes))
    return {
        word: _Called(companions, tuple(companion.ending.removeprefix(_ANY) for companion in companions))
        for word, companions in found.items()
    }


def _last_word(name: str) -> str:
    """What follows the last dot, underscore or colon."""
    return name[max(name.rfind("."), name.rfind("_"), name.rfind(":")) + 1 :]


def _is_float8(dtype: DType) -> bool:
    return dtype.bits == 8 and dtype.is_floating


def _holds_codes(dtype: DType) -> bool:
    """Whether a tensor of this type can hold codes: small integers, float8, packed elements."""
    if dtype.kind == "integer":
        return dtype.bits <= _WIDEST_CODE
    return dtype.kind in ("packed", "quantized") or _is_float8(dtype)

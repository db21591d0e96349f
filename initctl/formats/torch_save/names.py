"""The names that pickles write for modules, classes and functions, as Python 3 has them."""

from __future__ import annotations

from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from initctl.formats.torch_save.values import Global


def resolved(named: Global) -> tuple[str, str]:
    """The module and the name that the pickle module looks up: protocol 2, which torch.save writes, has Python 2's."""
    module, name = NAME_MAPPING.get((named.module, named.name), (named.module, named.name))
    return IMPORT_MAPPING.get(module, module), name

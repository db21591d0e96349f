"""The model that a configuration describes, as transformers builds it, without memory for its weights.

Nothing is loaded from a network, and no code but that of transformers runs.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from initctl.architecture.buffers import compute_buffers, content
from initctl.architecture.kinds import Kind
from initctl.architecture.layers import with_layers
from initctl.architecture.model import BUILT, Description, Model
from initctl.architecture.model_class import choose
from initctl.architecture.refusing import refused, refusing
from initctl.architecture.settings import with_fields
from initctl.dtypes import BY_NAME
from initctl.errors import shown
from initctl.formats.config import CONFIG
from initctl.reshaping.settings import LABELS, MOST_LABELS
from initctl.tensors import TensorSpec

GENERATION = "generation_config.json"
_IMPLEMENTATIONS = ("attn_implementation", "experts_implementation")
"""Fields that choose kernels, which transformers may load from the hub. The table does not depend on them."""
_FOREIGN = ("auto_map", "quantization_config")
"""Fields that do not hold of the new checkpoint: code beside the original, and how its weights are packed."""
_MOST_LAYERS = 10_000
_OTHERS = "other fields may have to change, too: add them to --set"


def build(description: Description) -> Model:
    """The model of `description`, in its dtype or else the one that the configuration names.

    Raises the errors of `model_of`.
    """
    path, config, settings = description.path, description.config, description.settings
    with _quiet_and_offline():
        kind = Kind.of(config, path)
        fields = _with_settings(config, settings, kind) if settings else config
        _check_counts(fields, path)
        with refusing(path, _OTHERS if settings else None):
            return _built(kind.config_class, _cleaned(fields), description.dtype, path)


def _with_settings(config: Mapping[str, Any], settings: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """`config` with other values for some fields, and with what follows from them. Raises `UsageError`."""
    found = with_fields(config, settings, kind.known(config), kind.canonical)
    return with_layers(found, config, settings, kind)


def _check_counts(config: Mapping[str, Any], path: str) -> None:
    """Raise `InputError` if a configuration has far too many labels or layers: transformers makes each."""
    for key, value in config.items():
        if isinstance(value, dict):
            _check_counts(value, path)
        elif key == LABELS and isinstance(value, int) and value > MOST_LABELS:
            raise refused(path, f"{LABELS} is {value}: more than {MOST_LABELS:,} labels cannot be named")
        elif "layers" in key and isinstance(value, int) and value > _MOST_LAYERS:
            raise refused(path, f"{shown(key)} is {value}: more than {_MOST_LAYERS:,} layers cannot be built")


@contextmanager
def _quiet_and_offline() -> Iterator[None]:
    """What transformers notes about itself is not shown, and it loads nothing from a network."""
    from importlib.util import find_spec

    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    constants: Any = None
    if find_spec("huggingface_hub"):
        from huggingface_hub import constants
    was_offline = getattr(constants, "HF_HUB_OFFLINE", None)
    try:
        if constants:
            constants.HF_HUB_OFFLINE = True
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(disabled)
        if constants:
            constants.HF_HUB_OFFLINE = was_offline


def _cleaned(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` without fields that do not hold of the new model, in all its parts."""
    dropped = {*_IMPLEMENTATIONS, *(f"_{name}" for name in _IMPLEMENTATIONS), *_FOREIGN}
    return {
        key: _cleaned(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if key not in dropped
    }


def _built(config_class: Any, fields: dict[str, Any], dtype: str | None, path: str) -> Model:  # noqa: ANN401
    import torch
    from transformers.core_model_loading import revert_weight_conversion
    from transformers.modeling_utils import local_torch_dtype, remove_tied_weights_from_state_dict

    whole = config_class.from_dict(config_class._decode_special_floats(fields))  # noqa: SLF001 - infinities
    model_class, config = choose(whole, fields.get("architectures"), path)
    chosen = getattr(torch, dtype) if dtype else config.dtype or whole.dtype
    _check_dtype(chosen, path)
    with torch.device("meta"), local_torch_dtype(torch.float32, model_class.__name__):
        model = model_class._from_config(config, attn_implementation="eager", dtype=chosen)  # noqa: SLF001
    compute_buffers(model)
    state = model.state_dict()
    for name in model._keys_to_ignore_on_save or ():  # noqa: SLF001 - as save_pretrained does
        state.pop(name, None)
    state = revert_weight_conversion(model, remove_tied_weights_from_state_dict(state, model))
    values = {name: content(tensor) for name, tensor in state.items() if tensor.device.type != "meta"}
    return Model(tuple(_specs(state)), values, dict(_files(model)))


def _check_dtype(dtype: Any, path: str) -> None:  # noqa: ANN401 - of torch, or a text
    """Raise `InputError` if transformers builds no model in `dtype`, the one that the configuration names."""
    name = str(dtype).removeprefix("torch.")
    if name in BY_NAME and name not in BUILT:
        hint = f"choose one with --dtype: {', '.join(BUILT)}"
        raise refused(path, f"transformers builds no model in dtype {shown(name)}", hint)


def _specs(state: Mapping[str, Any]) -> Iterator[TensorSpec]:
    for name, tensor in state.items():
        yield TensorSpec(name, BY_NAME[str(tensor.dtype).removeprefix("torch.")], tuple(tensor.shape), ())


def _files(model: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    """The files that `save_pretrained` writes beside the weights."""
    model.config.dtype = str(model.dtype).removeprefix("torch.")
    model.config.architectures = [type(model).__name__]
    yield CONFIG, model.config.to_json_string()
    if model.can_generate():
        yield GENERATION, model.generation_config.to_json_string()

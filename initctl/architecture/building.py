"""The model that a configuration describes, as transformers builds it, without memory for its weights.

Nothing is loaded from a network, and no code but that of transformers runs.
"""

from __future__ import annotations

import dataclasses
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from initctl.architecture.buffers import compute_buffers, content
from initctl.architecture.model import Description, Model
from initctl.architecture.settings import with_fields
from initctl.dtypes import BY_NAME
from initctl.errors import InputError, Problem, StorageError, escape, shown
from initctl.formats.config import CONFIG
from initctl.suggestions import did_you_mean
from initctl.tensors import TensorSpec

GENERATION = "generation_config.json"
_EXTRA = "pip install 'initctl[transformers]'"
_REFUSED = "config.refused"
_IMPLEMENTATIONS = ("attn_implementation", "experts_implementation")
"""Fields that choose kernels, which transformers may load from the hub. The table does not depend on them."""
_FOREIGN = ("auto_map", "quantization_config")
"""Fields that do not hold of the new checkpoint: code beside the original, and how its weights are packed."""
_OTHERS = "other fields may have to change, too: add them to --set"
_LONGEST_REASON = 400


def build(description: Description) -> Model:
    """The model of `description`, in its dtype or else the one that the configuration names.

    Raises the errors of `model_of`.
    """
    path, config, settings = description.path, description.config, description.settings
    with _quiet_and_offline():
        kind = _Kind(_config_class(config, path))
        fields = with_fields(config, settings, kind.known(config), kind.canonical) if settings else config
        with _refusing(path, _OTHERS if settings else None):
            return _built(kind.config_class, _cleaned(fields), description.dtype, path)


class _Kind(NamedTuple):
    """The class of a configuration."""

    config_class: Any

    def known(self, config: Mapping[str, Any]) -> list[str]:
        """The dotted keys of all fields that `config`, and its parts, have or may have."""
        return list(dict.fromkeys(_fields(self.config_class, config)))

    def canonical(self, key: str) -> str:
        """The name that the configuration has for the field `key`: some have several."""
        *above, last = key.split(".")
        found = self.config_class
        for part in above:
            found = getattr(found, "sub_configs", {}).get(part)
        return ".".join((*above, getattr(found, "attribute_map", {}).get(last, last)))


def _config_class(config: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - a class of transformers
    try:
        import torch  # noqa: F401 - without it, transformers has no models
        from transformers.core_model_loading import revert_weight_conversion  # noqa: F401
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    except ImportError as error:
        fault = f"--config needs transformers 5.24 or later: {escape(str(error))}"
        raise StorageError(Problem("config.transformers", fault, _EXTRA)) from error
    kind = config.get("model_type")
    if isinstance(kind, str) and kind in CONFIG_MAPPING:
        return CONFIG_MAPPING[kind]
    if "auto_map" in config:
        fault = "describes a model with code of its own (auto_map), which initctl does not run"
        raise _refused(path, fault, "save one checkpoint of it and use --like")
    if kind is None:
        hint = "a config.json of transformers has one; for other models, use --like or --table"
        raise _refused(path, "has no model_type", hint)
    from transformers import __version__

    proposal = did_you_mean(kind, list(CONFIG_MAPPING.keys())) if isinstance(kind, str) else None
    raise _refused(path, f"transformers {__version__} does not know model_type {shown(kind)}", proposal)


def _refused(path: str, fault: str, hint: str | None = None) -> InputError:
    return InputError(Problem(_REFUSED, f"{shown(path)}: {fault}", hint))


@contextmanager
def _refusing(path: str, hint: str | None) -> Iterator[None]:
    """Turn whatever transformers raises into an `InputError` of one line."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:_LONGEST_REASON].rstrip(".") or type(error).__name__
        raise _refused(path, f"transformers cannot build this model: {escape(reason)}", hint) from error


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


def _fields(config_class: Any, config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:  # noqa: ANN401
    """The dotted keys of a configuration and of its parts."""
    from transformers import PreTrainedConfig

    is_known = isinstance(config_class, type) and issubclass(config_class, PreTrainedConfig)
    own = {*(field.name for field in dataclasses.fields(config_class)), "num_labels"} if is_known else set()
    names = [*config, *sorted(own), *(config_class.attribute_map if is_known else ())]
    yield from (f"{prefix}{name}" for name in names)
    parts = dict(config_class.sub_configs) if is_known else {}
    for name, inner in config.items():
        if isinstance(inner, dict) or name in parts:
            yield from _fields(_part_class(parts.get(name), inner), inner or {}, f"{prefix}{name}.")
    for name in sorted(parts.keys() - config.keys()):
        yield from _fields(parts[name], {}, f"{prefix}{name}.")


def _part_class(declared: Any, inner: object) -> Any:  # noqa: ANN401
    """The class of a part of a configuration: its own model type decides if several fit."""
    from transformers import PreTrainedConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if isinstance(declared, type) and issubclass(declared, PreTrainedConfig):
        return declared
    kind = inner.get("model_type") if isinstance(inner, dict) else None
    return CONFIG_MAPPING[kind] if isinstance(kind, str) and kind in CONFIG_MAPPING else None


def _built(config_class: Any, fields: dict[str, Any], dtype: str | None, path: str) -> Model:  # noqa: ANN401
    import torch
    from transformers.core_model_loading import revert_weight_conversion
    from transformers.modeling_utils import local_torch_dtype, remove_tied_weights_from_state_dict

    config = config_class.from_dict(config_class._decode_special_floats(fields))  # noqa: SLF001 - infinities
    chosen = {"dtype": getattr(torch, dtype)} if dtype else {}
    model_class = _model_class(config, fields.get("architectures"), path)
    with torch.device("meta"), local_torch_dtype(torch.float32, model_class.__name__):
        model = model_class._from_config(config, attn_implementation="eager", **chosen)  # noqa: SLF001
    compute_buffers(model)
    state = model.state_dict()
    for name in model._keys_to_ignore_on_save or ():  # noqa: SLF001 - as save_pretrained does
        state.pop(name, None)
    state = revert_weight_conversion(model, remove_tied_weights_from_state_dict(state, model))
    values = {name: content(tensor) for name, tensor in state.items() if tensor.device.type != "meta"}
    return Model(tuple(_specs(state)), values, dict(_files(model)))


def _model_class(config: Any, architectures: Any, path: str) -> Any:  # noqa: ANN401
    """The class of the model: the one that `architectures` names, or else the one without a head."""
    import transformers

    if not architectures:
        from transformers.models.auto.modeling_auto import MODEL_MAPPING

        mapped: Any = MODEL_MAPPING[type(config)]
        return mapped[0] if isinstance(mapped, tuple) else mapped
    if not isinstance(architectures, list) or not isinstance(architectures[0], str):
        hint = """write a list, such as --set 'architectures=["LlamaForCausalLM"]'"""
        raise _refused(path, "architectures is not a list of names of classes", hint)
    name = architectures[0]
    found: Any = getattr(transformers, str(name), None)
    is_model = isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)
    if not is_model or not isinstance(config, found.config_class or object):
        fault = f"architectures names {shown(name)}, which is not a model of transformers for {config.model_type}"
        raise _refused(path, fault, "--set 'architectures=[\"NAME\"]' chooses another one, of the same family")
    return found


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

"""The class of the model of a configuration: the one that `architectures` names, or that transformers has for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from initctl.architecture.refusing import refused
from initctl.errors import listed, shown

_HEAD = re.compile(r"(?:For[A-Z]\w*|LMHeadModel|Model)$")
"""The end of a class's name, which says what its head is for."""
_CHOOSE = "--set 'architectures=[\"{}\"]' chooses another one"


class Choice(NamedTuple):
    """The class of a model, and the configuration that it takes: all of it, or its part about text."""

    model_class: Any
    config: Any


def choose(config: Any, architectures: object, path: str) -> Choice:  # noqa: ANN401 - a class of transformers
    """What `from_pretrained` of the classes `Auto…` builds for `config`, which was read from `path`.

    Without `architectures`, the model without a head. Raises `InputError` if transformers has no such class.
    """
    if not architectures:
        return _with_part(_headless(config, path), config)
    if not isinstance(architectures, list) or not isinstance(architectures[0], str):
        hint = """write a list, such as --set 'architectures=["LlamaForCausalLM"]'"""
        raise refused(path, "architectures is not a list of names of classes", hint)
    if found := _named(architectures[0], config):
        return _with_part(found, config)
    others = _with_head(architectures[0], config)
    if borrowed := next((other for other in others if _is_borrowed(other, config)), None):
        return Choice(borrowed, config)
    fault = f"architectures names {shown(architectures[0])}, which is not a model of transformers for"
    hint = _CHOOSE.format(others[0].__name__) if others else f"{_CHOOSE.format('NAME')}, of the same family"
    raise refused(path, f"{fault} {config.model_type}", hint)


def _headless(config: Any, path: str) -> Any:  # noqa: ANN401
    """The class of the model without a head. Raises `InputError` if transformers has none."""
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    if type(config) in MODEL_MAPPING:
        return _several(MODEL_MAPPING[type(config)])[0]
    names = listed([found.__name__ for found in dict.fromkeys(_mapped(config))])
    fault = f"names no architectures, and transformers has no model without a head for {config.model_type}"
    which = f": {names}" if names else ", if this is not a part of another model"
    raise refused(path, fault, f"--set 'architectures=[\"NAME\"]' chooses a class{which}")


def _named(name: str, config: Any) -> Any:  # noqa: ANN401
    """The class called `name`, if transformers has it for `config`; None otherwise."""
    import transformers
    from transformers.utils.import_utils import DummyObject

    found = getattr(transformers, name, None)
    if isinstance(found, DummyObject):
        return found  # whatever is done with it raises an error that says which library is missing
    if not isinstance(found, type) or not issubclass(found, transformers.PreTrainedModel):
        return None
    return found if _is_own(found, config) or found in _mapped(config) else None


def _is_own(model_class: Any, config: Any) -> bool:  # noqa: ANN401
    return isinstance(config, model_class.config_class or object)


def _is_borrowed(model_class: Any, config: Any) -> bool:  # noqa: ANN401
    """Whether `model_class` is of another family than `config`, all of which it takes."""
    return not _is_own(model_class, config) and _with_part(model_class, config).config is config


def _with_head(name: str, config: Any) -> list[Any]:  # noqa: ANN401
    """The classes that transformers has for `config` and for the same task as a class called `name`.

    Code beside a configuration has other names for its classes, such as ExaoneForCausalLM. If transformers has no
    classes for a family, it uses those of another one, such as LlamaForCausalLM.
    """
    head = _HEAD.search(name)
    mapped = dict.fromkeys(_mapped(config)) if head else ()
    return [found for found in mapped if (end := _HEAD.search(found.__name__)) and head and end[0] == head[0]]


def _mapped(config: Any) -> Iterator[Any]:  # noqa: ANN401
    """The classes that the classes `Auto…` of transformers have for `config`."""
    from transformers.models.auto import modeling_auto

    mappings = [value for name, value in vars(modeling_auto).items() if name.endswith("_MAPPING")]
    for mapping in mappings:
        if type(config) in mapping:
            yield from _several(mapping[type(config)])


def _several(mapped: Any) -> tuple[Any, ...]:  # noqa: ANN401
    return tuple(mapped) if isinstance(mapped, (list, tuple)) else (mapped,)


def _with_part(model_class: Any, config: Any) -> Choice:  # noqa: ANN401
    """`model_class` with the part of `config` about text if it takes that, as in transformers' auto_factory.py."""
    text = config.sub_configs.get("text_config")
    is_of_text = text is not None and model_class.config_class == text
    return Choice(model_class, config.get_text_config() if is_of_text else config)

"""Which topic explains what a problem is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from initctl.errors import Problem

_EXPLAINED = {
    "rules": (
        "rule.left_alone",
        "rule.overridden",
        "rule.rows",
        "rule.syntax",
        "rule.unused",
        "tensor.undecided",
        "usage.no_rules",
    ),
    "patterns": ("pattern.", "rule.alternative", "rule.glob", "rule.regex"),
    "rows": (
        "config.field",
        "config.labels",
        "config.sizes",
        "output.config",
        "output.sizes",
        "rows.",
        "rule.blank",
        "tensor.blank",
        "usage.dims",
        "usage.rows",
        "usage.set_config",
    ),
    "expressions": ("rule.expression", "rule.name", "rule.number", "usage.base_config"),
    "recipes": ("recipe.cycle", "recipe.empty", "recipe.malformed", "recipe.seeds", "recipe.twice", "recipe.unused"),
    "presets": ("preset.",),
    "initializers": (
        "initializer.values",
        "rule.initializer",
        "rule.measured",
        "rule.nothing_cut",
        "rule.overflow",
        "rule.parameter",
        "rule.unfit",
        "rule.value",
    ),
    "fans": ("rule.bias_dims", "rule.layout", "rule.split_weight"),
    "new": (
        "config.architectures",
        "config.missing",
        "config.quantized",
        "config.refused",
        "config.transformers",
        "new.",
        "usage.dtype",
        "usage.set",
    ),
    "output": (
        "convert.",
        "output.choice",
        "output.ending",
        "output.link",
        "output.not_checkpoint",
        "output.patch",
        "output.read_only",
        "output.strangers",
        "patch.",
        "storage.hard_link",
        "storage.mount_point",
    ),
    "torch": (
        "optimizer.",
        "output.reset_optimizer",
        "root.",
        "rule.overlap",
        "rule.tied",
        "tensor.copy",
        "usage.buffers",
    ),
    "sharded": ("directory.", "file.shard", "index.", "usage.component"),
    "distributed": ("file.rank", "file.slices", "slices.", "tensor.placeholder"),
    "suggest": ("suggest.",),
    "verify": ("verify.",),
    "doctor": ("usage.checks",),
    "models": ("live.", "plan.memory", "usage.missing", "usage.only"),
    "pipelines": ("plan.numbers", "plan.recipe", "plan.table"),
    "plugins": ("format.", "initializer.plugin", "initializer.taken"),
    "security": ("torch.carried_along", "torch.runs_code", "torch.unknown_calls"),
    "performance": ("device.", "storage.memory", "usage.device"),
    "parts": ("parts.", "usage.part"),
    "stores": ("file.remote", "output.changed", "output.steps", "store.", "usage.url"),
    "reproducibility": ("rng.", "usage.rng"),
}
"""The codes of problems that a topic helps with, or what they begin with. What is not here needs no more words."""


def topic_of(problem: Problem) -> str | None:
    """The topic that explains `problem`, if one does."""
    code = problem.code
    if code == "rule.unfit" and problem.excerpt:  # which shows an expression
        return "expressions"
    group = f"{code.partition('.')[0]}."
    return next((topic for topic, codes in _EXPLAINED.items() if code in codes or group in codes), None)

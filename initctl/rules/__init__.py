"""Rules as text: `selector=call`. Syntax only; what an initializer's name means is not known here."""

from initctl.rules.glob import Glob, quoted
from initctl.rules.number import parse_number
from initctl.rules.rule import Call, Rule, parse_call, parse_rule

__all__ = ["Call", "Glob", "Rule", "parse_call", "parse_number", "parse_rule", "quoted"]

"""Rules as text: `selector=call`. Syntax only; what an initializer's name means is not known here.

rule.py         a rule
selector.py     which tensors it takes, and which of their rows
glob.py         globs over names
pattern.py      a glob's text → what it is made of
lookalikes.py   sets of characters that were meant as something else
elements.py     what a glob is made of, and what each element, or a sequence of them, matches
regex.py        regular expressions over names
call.py         an initializer's name and its arguments
expressions/    arithmetic and conditions
"""

from initctl.rules.call import Call, parse_call
from initctl.rules.expressions.expression import Circular, Expression, needed, parse_condition, parse_expression
from initctl.rules.expressions.terms import Undefined, Value
from initctl.rules.glob import Glob, highest_numbers
from initctl.rules.pattern import quoted
from initctl.rules.rule import Origin, Rule, Scope, parse_rule
from initctl.rules.selector import Rows, Selector, parse_selector

__all__ = [
    "Call",
    "Circular",
    "Expression",
    "Glob",
    "Origin",
    "Rows",
    "Rule",
    "Scope",
    "Selector",
    "Undefined",
    "Value",
    "highest_numbers",
    "needed",
    "parse_call",
    "parse_condition",
    "parse_expression",
    "parse_rule",
    "parse_selector",
    "quoted",
]

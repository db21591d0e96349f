"""Rules as text: `selector=call`. Only syntax: initializers are looked up elsewhere.

rule.py         a rule
selector.py     which tensors and rows it selects
glob.py         globs over names
pattern.py      the parser of globs: text → elements
lookalikes.py   sets of characters that look like a range or a list
elements.py     the elements of a glob, and what each of them, or a sequence of them, matches
regex.py        regular expressions over names
candidates.py   which of many patterns may match a name
call.py         an initializer's name and its arguments
expressions/    arithmetic and conditions
"""

from initctl.rules.call import Call, parse_call
from initctl.rules.candidates import Candidates
from initctl.rules.expressions.expression import Circular, Expression, needed, parse_condition, parse_expression
from initctl.rules.expressions.terms import Undefined, Value
from initctl.rules.glob import Glob, highest_numbers
from initctl.rules.pattern import quoted
from initctl.rules.rule import Origin, Rule, Scope, parse_rule
from initctl.rules.selector import Rows, Selector, parse_selector

__all__ = [
    "Call",
    "Candidates",
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

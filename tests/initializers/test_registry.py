"""The registry: names, arguments, and packages that add to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from initctl.errors import RuleError, UsageError
from initctl.initializers import KEEP, REGISTRY, Initializer, Number, Parameter, Registry, Resolved
from initctl.initializers.builtin import BUILTIN
from initctl.rules import parse_call
from initctl.rules.call import MEANT
from initctl.stream import Constant
from tests.initializers.plugins import write_plugin


def nothing(_):
    return Resolved(Constant(0))


def problem_with(call, registry=REGISTRY):
    """The one problem of a call that cannot be bound."""
    with pytest.raises(RuleError) as raised:
        registry.bind(parse_call(call))
    (problem,) = raised.value.problems
    return problem


class TestNames:
    def test_it_lists_the_built_in_ones_in_order_and_each_once(self):
        assert tuple(REGISTRY)[: len(BUILTIN)] == BUILTIN
        assert len(set(REGISTRY)) == len(tuple(REGISTRY))

    def test_an_alias_is_the_same_initializer(self):
        assert REGISTRY.find("he_normal") is REGISTRY.find("kaiming_normal")

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("norml", "did you mean normal"),
            ("kaiming_norml", "did you mean kaiming_normal or "),
            ("xavier", "did you mean "),
            ("zeroes", "did you mean zeros"),
            ("kep", "did you mean keep"),
            (KEEP, "in a rule, keep leaves tensors unchanged"),
            ("Normal", "did you mean normal"),
            ("qqqqqq", "`initctl initializers` lists them"),
        ],
    )
    def test_an_unknown_name_is_refused_and_the_nearest_proposed(self, name, hint):
        problem = problem_with(name)
        assert problem.code == "rule.initializer"
        assert problem.message == f"unknown initializer {name}"
        assert problem.hint.startswith(hint)

    @pytest.mark.parametrize("name", ["normal", "he_normal", KEEP])
    def test_a_name_that_is_taken_cannot_be_registered_as_name_or_alias(self, name):
        registry = Registry(BUILTIN)
        for initializer in (Initializer(name, nothing), Initializer("new", nothing, aliases=(name,))):
            with pytest.raises(UsageError) as raised:
                registry.register(initializer)
            (problem,) = raised.value.problems
            assert problem.code == "initializer.taken"
            assert problem.message == f"initializer {name}: the name is already taken"
        assert problem_with("new", registry).code == "rule.initializer"

    def test_what_is_registered_is_found_by_name_and_alias(self):
        registry = Registry()
        initializer = Initializer("nothing", nothing, aliases=("nil",))
        registry.register(initializer)
        assert registry.find("nothing") is registry.find("nil") is initializer


class TestArguments:
    def test_what_is_given_is_parsed_and_the_rest_has_its_default(self):
        bound = REGISTRY.bind(parse_call("trunc_normal:std=0.02,a=-1"))
        assert bound.initializer.name == "trunc_normal"
        assert bound.arguments == {"mean": 0, "std": 0.02, "a": -1, "b": 2, "cut": None, "var_correct": "false"}

    @pytest.mark.parametrize(("name", "meant"), MEANT.items())
    def test_values_without_keys_are_answered_with_parameters_that_the_initializer_has(self, name, meant):
        initializer, *forms = meant
        values = {"nonlinearity": "relu", "from": "w"}
        for keys in forms:
            given = [values.get(key, str(number)) for number, key in enumerate(keys, 1)]
            problem = problem_with(f"{name}:{','.join(given)}")
            assert problem.hint.startswith(f"write {initializer}:{keys[0]}={given[0]}")
            REGISTRY.bind(parse_call(problem.hint.removeprefix("write ")))

    def test_what_is_told_of_them_leaves_out_what_is_optional_and_not_given(self):
        def told(call):
            return REGISTRY.bind(parse_call(call)).shown_arguments

        assert told("trunc_normal:std=0.02,a=-1") == {"mean": 0, "std": 0.02, "a": -1, "b": 2}
        assert told("xavier_normal:groups=1,transposed=false") == {"gain": 1}
        assert told("xavier_normal:groups=2,layout=io") == {"gain": 1, "groups": 2, "layout": "io"}
        assert told("dirac") == {"groups": 1}

    @pytest.mark.parametrize(
        ("call", "message", "hint"),
        [
            ("constant", "constant needs val", "write, for example, head.bias=constant:val=-4.6"),
            ("sparse:std=1", "sparse needs sparsity", "write, for example, fc.weight=sparse:sparsity=0.9"),
            (
                "variance_scaling:mode=fan_in",
                "variance_scaling needs scale and distribution",
                "write, for example, fc.weight=variance_scaling:scale=2,mode=fan_in,distribution=truncated_normal",
            ),
            ("normal:sdt=0.02", "normal has no parameter sdt", "did you mean std?"),
            ("normal:sigma=0.02", "normal has no parameter sigma", "did you mean mean or std?"),
            ("zeros:val=0", "zeros has no parameter val", "it has no parameters"),
        ],
    )
    def test_a_missing_or_unknown_parameter_is_refused_with_what_to_write(self, call, message, hint):
        problem = problem_with(call)
        assert (problem.code, problem.message, problem.hint) == ("rule.parameter", message, hint)

    @pytest.mark.parametrize(
        ("call", "code", "message"),
        [
            ("sparse:sparsity=2", "rule.value", "sparsity=2 is not a number from 0 to 1"),
            ("dirac:groups=0", "rule.value", "groups=0 is not a whole number of 1 or more"),
            ("kaiming_normal:mode=in", "rule.value", "mode=in is not one of fan_in, fan_out"),
            ("normal:std=1$", "rule.expression", "std=1$: unexpected $"),
        ],
    )
    def test_a_value_that_is_refused_is_shown_with_its_parameter(self, call, code, message):
        problem = problem_with(call)
        assert (problem.code, problem.message) == (code, message)

    def test_what_a_file_or_shell_slips_into_a_message_is_escaped(self):
        assert "\x1b" not in problem_with("normal:std=\x1b[31m").message


class TestPlugins:
    @pytest.fixture
    def site(self, tmp_path, monkeypatch):
        """A directory where installed packages are found."""
        monkeypatch.syspath_prepend(tmp_path)
        return tmp_path

    def fault_of(self, registry):
        with pytest.raises(UsageError) as raised:
            list(registry)
        (problem,) = raised.value.problems
        return problem

    def test_an_installed_package_adds_to_the_registry_of_every_process(self, tmp_path):
        write_plugin(tmp_path, "plugin_installed")
        script = (
            "import json; from initctl.initializers import REGISTRY; from initctl.rules import parse_call;"
            "bound = REGISTRY.bind(parse_call('deux:factor=3'));"
            "print(json.dumps([bound.resolve(None).law.value, [i.name for i in REGISTRY][-1]]))"
        )
        environ = os.environ | {"PYTHONPATH": str(tmp_path)}
        done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == [6, "twos"]

    def test_a_plugin_is_found_by_name_and_listed_after_the_built_in_ones(self, site):
        write_plugin(site, "plugin_found")
        registry = Registry(BUILTIN)
        assert registry.bind(parse_call("twos:factor=2")).arguments == {"factor": 2}
        assert [initializer.name for initializer in registry][-1] == "twos"

    def test_a_plugin_is_not_imported_for_a_built_in_name(self, site):
        write_plugin(site, "plugin_unused")
        Registry(BUILTIN).bind(parse_call("normal"))
        assert "plugin_unused" not in sys.modules

    def test_a_misspelt_plugin_is_proposed(self, site):
        write_plugin(site, "plugin_misspelt")
        assert problem_with("towns", Registry(BUILTIN)).hint.startswith("did you mean twos")

    @pytest.mark.parametrize(
        ("module", "source", "fault"),
        [
            ("plugin_raises", "raise RuntimeError('no licence')", "cannot be loaded: no licence"),
            ("plugin_imports", "import no_such_module", "cannot be loaded: No module named 'no_such_module'"),
            ("plugin_lacks", "", "cannot be loaded: module 'plugin_lacks' has no attribute 'TWOS'"),
            ("plugin_is_text", "TWOS = 'twos'", "is str, not an initctl Initializer"),
        ],
    )
    def test_a_broken_plugin_is_named_with_its_fault(self, site, module, source, fault):
        write_plugin(site, module, source=source)
        problem = self.fault_of(Registry(BUILTIN))
        assert problem.code == "initializer.plugin"
        assert problem.message == f"plugin {module}:TWOS {fault}"
        assert problem.hint == "repair or uninstall the package that adds it"

    def test_a_broken_plugin_is_named_each_time_and_the_others_are_found(self, site):
        write_plugin(site, "plugin_works")
        write_plugin(site, "plugin_zbroken", source="raise RuntimeError('no licence')")
        registry = Registry(BUILTIN)
        assert self.fault_of(registry) == self.fault_of(registry)

    def test_a_broken_plugin_does_not_stand_in_the_way_of_a_built_in_name(self, site):
        write_plugin(site, "plugin_broken", source="raise RuntimeError")
        assert Registry(BUILTIN).find("normal").name == "normal"

    def test_a_plugin_cannot_take_a_built_in_name(self, site):
        write_plugin(site, "plugin_takes", names="NORMAL")
        assert self.fault_of(Registry(BUILTIN)).code == "initializer.taken"


def test_a_check_of_an_initializers_own_sees_what_the_rule_gives_and_no_defaults():
    seen = []
    initializer = Initializer(
        "new", nothing, (Parameter("x", Number(), 1), Parameter("y", Number())), check=seen.append
    )
    Registry([initializer]).bind(parse_call("new:y=3"))
    assert seen == [{"y": 3}]

"""A package on the path adds initializers that are like the built-in ones; a broken one harms nothing else."""

from __future__ import annotations

import pytest
from safetensors.numpy import load_file

from tests.cli.plugins import ANSWER, HEAD, NO_FILL, REVERSED, installed
from tests.cli.processes import initctl, messages


@pytest.fixture
def site(folder):
    return folder / "site"


class TestAPlugin:
    @pytest.fixture
    def path(self, site):
        return installed(site, "initctl_answer", ANSWER)

    def test_is_listed_and_explained(self, path):
        assert "\nanswer:scale=1  " in initctl("initializers", PYTHONPATH=path).out
        assert "the answer, scaled" in initctl("initializers", "answer", PYTHONPATH=path).out

    def test_is_planned_with_its_numbers(self, net, path):
        done = initctl("plan", "net.safetensors", "-r", "fc1.bias=answer:scale=0.5", PYTHONPATH=path)
        assert (done.status, done.err) == (0, "")
        assert "rule 1: fc1.bias  answer scale=0.5 answer=21" in done.out

    def test_is_applied(self, net, path):
        done = initctl("apply", "net.safetensors", "-o", "out.safetensors", "-r", "*.bias=answer", PYTHONPATH=path)
        assert (done.status, done.err) == (0, "")
        assert load_file("out.safetensors")["fc1.bias"].tolist() == [42] * 4

    def test_has_its_parameters_checked_and_its_name_proposed(self, net, path):
        rules = ("-r", "*.bias=answer:scale=11", "-r", "*.weight=anwser")
        done = initctl("plan", "net.safetensors", *rules, PYTHONPATH=path)
        assert done.status == 2
        assert [line.partition("): ")[2] for line in messages(done.err)] == [
            "scale=11 is not a number from 0 to 10",
            "no initializer is called anwser; did you mean answer?",
        ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nowhere", "plugin initctl_faulty:INITIALIZER cannot be loaded: No module named 'nowhere'"),
        ("INITIALIZER = 3", "plugin initctl_faulty:INITIALIZER is int, not an initctl Initializer"),
        (f"{HEAD}INITIALIZER = Initializer('normal', None)", "initializer normal: the name is already taken"),
    ],
)
def test_a_broken_plugin_is_named_where_it_is_looked_for_and_harms_no_built_in_name(net, site, text, words):
    path = installed(site, "initctl_faulty", text)
    listing = initctl("initializers", PYTHONPATH=path)
    assert (listing.status, listing.out) == (2, "")
    assert listing.err.startswith(f"initctl: error: {words}")
    assert len(listing.err.splitlines()) == 1
    assert initctl("plan", "net.safetensors", "-r", "*.bias=normal", PYTHONPATH=path).status == 0


def test_a_plugin_may_need_the_whole_tensor(net, site):
    path = installed(site, "initctl_reversed", REVERSED)
    run = initctl("apply", "net.safetensors", "-o", "out.safetensors", "-r", "fc1.bias=reversed", "-q", PYTHONPATH=path)
    assert (run.status, run.err) == (0, "")
    assert initctl("apply", "net.safetensors", "-o", "normal", "-r", "fc1.bias=normal", "-q").status == 0
    ours, normal = load_file("out.safetensors")["fc1.bias"], load_file("normal")["fc1.bias"]
    assert (ours == normal[::-1]).all()


@pytest.mark.parametrize(
    ("text", "given"),
    [(NO_FILL, "Reversed"), (f"{HEAD}INITIALIZER = Initializer('reversed', lambda tensor: 3)", "int")],
)
def test_a_plugin_that_gives_no_fill_is_told_so(net, site, text, given):
    path = installed(site, "initctl_reversed", text)
    run = initctl("apply", "net.safetensors", "-o", "out.safetensors", "-r", "fc1.bias=reversed", "-q", PYTHONPATH=path)
    assert run.status == 4
    assert f"it resolves to {given}, which neither has `values` nor is a `WholeLaw`" in run.err

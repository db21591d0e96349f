"""A package on the path adds what is like the built-in ones; a broken one harms nothing else."""

from __future__ import annotations

import json

import pytest
from safetensors.numpy import load_file

from tests.cli.plugins import ANSWER, HEAD, NO_FILL, PAIRS, REVERSED, installed
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
            "unknown initializer anwser; did you mean answer?",
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
    assert len([line for line in listing.err.splitlines() if not line.startswith("see: ")]) == 1
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
    assert f"it resolves to {given}, which has no `values` and is not a `WholeLaw`" in run.err


def complaint(done):
    """The one message of a command that failed."""
    (message,) = messages(done.err)
    return message.removeprefix("initctl: error: ")


class TestAFormat:
    RULE = ("-r", "a=ones")

    @pytest.fixture
    def use(self, site):
        def use(second=16, text=PAIRS):
            (site.parent / "two.pairs").write_bytes(b"PAIRS!!!" + bytes(16))
            text = text.replace("SECOND", str(second))
            return installed(site, "initctl_pairs", text, group="formats", attribute="FORMAT")

        return use

    def test_is_inspected_planned_and_applied_to_another_format_that_is_verified_against_it(self, use):
        path = use()
        table = json.loads(initctl("inspect", "two.pairs", "--json", PYTHONPATH=path).out)["data"]
        assert (table["format"], table["metadata"]) == ("pairs", {"two.pairs": {"by": "us"}})
        assert [(tensor["name"], tensor["shape"]) for tensor in table["tensors"]] == [("a", [2]), ("b", [2])]
        assert "rule 1: a  ones" in initctl("plan", "two.pairs", *self.RULE, PYTHONPATH=path).out
        done = initctl("apply", "two.pairs", "-o", "out.safetensors", *self.RULE, PYTHONPATH=path)
        assert (done.status, done.err) == (0, "")
        assert "converted to safetensors" in done.out
        assert {name: t.tolist() for name, t in load_file("out.safetensors").items()} == {"a": [1, 1], "b": [0, 0]}
        verified = ("verify", "out.safetensors", "--against", "two.pairs")
        assert initctl(*verified, *self.RULE, PYTHONPATH=path).status == 0
        assert initctl(*verified, PYTHONPATH=path).status == 1

    @pytest.mark.parametrize("to", [("--in-place",), ("--in-place", "--patch"), ("-o", "other.pairs"), ("-o", "x")])
    def test_is_never_written(self, use, to):
        done = initctl("apply", "two.pairs", *self.RULE, *to, PYTHONPATH=use())
        assert done.status == 2
        fault, _, hint = complaint(done).partition("; ")
        assert fault == "two.pairs: is a file of pairs, which initctl can read but not write"
        assert hint == "convert it: name a .safetensors file, a .pt file, or a directory with -o"

    @pytest.mark.parametrize("to", ["out.pt", "out/"])
    def test_is_converted_to_what_an_output_names(self, use, to):
        path = use()
        assert initctl("apply", "two.pairs", *self.RULE, "-o", to, PYTHONPATH=path).status == 0
        assert initctl("verify", to, "--against", "two.pairs", *self.RULE, PYTHONPATH=path).status == 0

    @pytest.mark.parametrize(
        ("second", "fault"),
        [
            (
                17,
                "tensor b: reaches beyond the end of the file; if the download was truncated, download the file again",
            ),
            (12, "tensor b: overlaps another tensor"),
        ],
    )
    def test_is_held_to_the_file_whatever_its_reader_says(self, use, second, fault):
        done = initctl("inspect", "two.pairs", PYTHONPATH=use(second))
        assert (done.status, complaint(done)) == (3, f"two.pairs: {fault}")

    def test_says_itself_what_is_wrong_with_a_file_and_a_bug_of_it_refuses_the_file(self, use, site):
        path = use(text=PAIRS.replace("file.read()", "file.read()[:20]"))
        assert complaint(initctl("inspect", "two.pairs", PYTHONPATH=path)) == "two.pairs: is cut off; get it anew"
        (site / "initctl_pairs.py").write_text(PAIRS.replace("file.read()", "1 / 0"))
        done = initctl("inspect", "two.pairs", PYTHONPATH=path)
        fault = "cannot be read as a file of pairs: ZeroDivisionError: division by zero"
        assert (done.status, complaint(done)) == (3, f"two.pairs: {fault}")

    def test_is_never_asked_about_a_file_of_a_built_in_format(self, net, use):
        path = use(text="import nowhere")
        assert initctl("inspect", "net.safetensors", PYTHONPATH=path).status == 0
        done = initctl("inspect", "two.pairs", PYTHONPATH=path)
        assert done.status == 2
        assert done.err.startswith("initctl: error: plugin initctl_pairs:FORMAT cannot be loaded: No module named")

    def test_has_a_name_of_its_own(self, use):
        done = initctl("inspect", "two.pairs", PYTHONPATH=use(text=PAIRS.replace('"pairs"', '"torch"')))
        assert (done.status, complaint(done)) == (2, "format torch: the name is already taken")

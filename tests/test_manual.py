"""The manual page says what help says, and every reader of manuals can draw it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from initctl.cli.commands import SUMMARIES, explanation
from initctl.topics import TOPICS
from tests.manual import PAGE, manual

CHECKERS = {
    "groff": ("groff", "-man", "-t", "-Tutf8", "-ww", "-z"),
    "man": ("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"),
    "mandoc": ("mandoc", "-Tlint", "-Wwarning"),
}
OF_NO_USE = re.compile(
    r'.*: WARNING: missing date, using "": TH\n|warning: page \d+: table text block will not fit.*\n'
)
"""Only mandoc asks for a date, and a page that is made from what is there has none. Where a sheet of paper happens to
end, groff begins the next one before a cell of a table."""


def drawn(columns: int) -> str:
    """The page as a terminal shows it."""
    if not shutil.which("groff"):
        pytest.skip("needs groff")
    command = ["groff", "-man", "-t", "-Tascii", f"-rLL={columns}n", "-P-cbou", str(PAGE)]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def test_the_page_is_what_help_says_today():
    assert PAGE.read_text() == manual()


@pytest.mark.parametrize("program", CHECKERS)
def test_the_page_gives_no_warning(program):
    if not shutil.which(program):
        pytest.skip(f"needs {program}")
    done = subprocess.run([*CHECKERS[program], str(PAGE)], capture_output=True, check=False, text=True)
    complaints = done.stderr + (done.stdout if program == "mandoc" else "")
    assert OF_NO_USE.sub("", complaints) == ""


def test_the_page_has_every_command_every_option_and_every_topic():
    text = drawn(100)
    headings = re.findall(r"^[A-Z].*", text, re.MULTILINE)
    assert {topic.upper() for topic in TOPICS} - {"STATUSES"} | {"EXIT STATUS", "COMMANDS"} <= {*headings}
    for name in SUMMARIES:
        assert f"   {explanation(name).usage}\n" in text
        for section in explanation(name).sections:
            assert all(re.search(rf"^ +{re.escape(term.strip())}\b", text, re.MULTILINE) for term, _ in section.rows)


def test_code_stays_as_it_is_typed():
    text = drawn(80)
    for name in SUMMARIES:
        assert all(f"  {example}\n" in text for example in explanation(name).examples)
    assert 'pattern    = "re:" REGEX | glob\n' in text
    assert """glob       = { "*" | "?" | "[" ["!"] {char ["-" char]} "]" | braces | "\\\\" char | char }\n""" in text


def test_the_page_is_ascii_so_that_no_locale_matters():
    assert PAGE.read_bytes().isascii()


def test_the_wheel_installs_the_page_where_man_looks(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=PAGE.parents[2], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (installed,) = [name for name in archive.namelist() if name.endswith("initctl.1")]
        assert installed.endswith(".data/data/share/man/man1/initctl.1")
        assert archive.read(installed) == PAGE.read_bytes()

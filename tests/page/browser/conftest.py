"""Pages in headless Chromium, driven by playwright: the machine has one and the extra `browser` the other, or not."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.page import diagnosis_page, differences_page, plan_page, statistics_page, write_page
from tests.cli.test_hostile_names import HOSTILE
from tests.page.test_rendering import MARKUP

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DESK = {"viewport": {"width": 1280, "height": 900}}


@pytest.fixture(scope="session")
def browser():
    """Chromium, for all tests of a process."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="the extra `browser` is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("there is no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@dataclass
class Opened:
    """A page that is open, and all that it said, asked for, or showed in a dialog."""

    page: Page
    said: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.fetched.append(request.url))

    def column(self, number: int) -> list[str]:
        """The texts of a column, of the rows that are shown."""
        return self.page.evaluate(
            "number => [...document.querySelectorAll('tbody tr')].filter(row => row.offsetParent)"
            ".map(row => row.cells[number].textContent)",
            number,
        )

    @property
    def focused(self) -> str:
        """What has the focus: its tag and its text or label."""
        return self.page.evaluate(
            "() => { const e = document.activeElement; const label = e.labels?.[0] ?? e;"
            "return `${e.tagName.toLowerCase()} ${(e.ariaLabel ?? label.textContent).trim().split('\\n')[0]}` }"
        )


@pytest.fixture(scope="session")
def tabs(browser: Browser) -> dict[str, Opened]:
    """One tab for each set of options of a browser's context, since opening one takes longer than loading a page."""
    return {}


@pytest.fixture
def open_page(browser: Browser, tabs: dict[str, Opened]):
    """Loads a file into a tab, as a context manager, with the options of a browser's context."""

    @contextmanager
    def open_page(path: Path, **options):
        wanted = {**DESK, **options}
        opened = tabs.get(repr(wanted)) or Opened(browser.new_context(**wanted).new_page())
        tabs[repr(wanted)] = opened
        opened.page.emulate_media(media="null")
        opened.page.goto("about:blank")
        opened.said.clear()
        opened.fetched.clear()
        opened.page.goto(path.as_uri())
        yield opened

    return open_page


@pytest.fixture(scope="session")
def pages(browser, tmp_path_factory) -> dict[str, Path]:
    """Pages by name: `stats`, `plan` and `diff` of a small network with layers, `doctor` of a damaged one, `hostile`
    names, and a `long` list of tensors.
    """
    folder = tmp_path_factory.mktemp("pages")
    torch.manual_seed(0)
    weights = {f"layers.{n}.{name}.weight": torch.randn(6, 5) * (n + 1) for n in range(12) for name in ("q", "v")}
    save_file(weights | {"norm.weight": torch.ones(5), "odd": torch.tensor([torch.nan, 0])}, folder / "net.safetensors")
    names = [*HOSTILE, *MARKUP.values(), *(f"layers.{n}.<svg onload=alert(1)>" for n in range(2)), "long" * 99]
    save_file({name: torch.randn(3, 3) for name in names}, folder / "hostile.safetensors")
    save_file({f"layers.{n}.w": torch.full((2,), float(n)) for n in range(1200)}, folder / "long.safetensors")
    rules = ["*=normal:std=sqrt(2/fan_in) where ndim == 2", "norm.weight=keep", "layers.0.q.weight[0:2]=zeros"]
    save_file({name: weight + 1 for name, weight in weights.items()}, folder / "other.safetensors")
    damaged = {"fc1.weight": torch.zeros(30, 30), "fc2.weight": torch.randn(30, 30), "b": torch.tensor([torch.nan])}
    save_file(damaged, folder / "damaged.safetensors")
    plan = initctl.plan(folder / "net.safetensors", rules=rules)
    made = {
        "stats": statistics_page(initctl.stats(folder / "net.safetensors")),
        "plan": plan_page(initctl.changes(plan)),
        "diff": differences_page(initctl.diff(folder / "net.safetensors", folder / "other.safetensors")),
        "doctor": diagnosis_page(initctl.doctor(folder / "damaged.safetensors", trained=False)),
        "hostile": statistics_page(initctl.stats(folder / "hostile.safetensors")),
        "long": statistics_page(initctl.stats(folder / "long.safetensors")),
    }
    for name, page in made.items():
        write_page(page, str(folder / f"{name}.html"))
    return {name: folder / f"{name}.html" for name in made}

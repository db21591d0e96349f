"""What a person does with a page: look at it, sort, filter, print, with a mouse, a keyboard or a screen reader."""

from __future__ import annotations

import pytest

from tests.cli.test_hostile_names import SHOWN
from tests.page.browser.conftest import DESK, PHONE
from tests.page.test_rendering import MARKUP

KINDS = ["stats", "plan", "diff", "doctor", "hostile"]
LOOKS = {
    "light": {**DESK, "color_scheme": "light"},
    "dark": {**DESK, "color_scheme": "dark"},
    "phone": {**PHONE, "color_scheme": "light"},
}
TENSOR, MEAN, STD = 0, 2, 3


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("kind", KINDS)
class TestEveryPage:
    def test_says_nothing_and_fetches_nothing(self, pages, open_page, kind, look):
        with open_page(pages[kind], **look) as opened:
            opened.page.wait_for_load_state("networkidle")
        assert (opened.said, opened.fetched) == ([], [pages[kind].as_uri()])

    def test_passes_axe(self, pages, open_page, kind, look):
        axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
        with open_page(pages[kind], **look) as opened:
            opened.page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
            found = axe.run(opened.page, options={"resultTypes": ["violations"]}).response
        assert [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in found["violations"]] == []
        assert len(found["passes"]) > 20

    def test_scrolls_to_no_side_as_a_whole(self, pages, open_page, kind, look):
        with open_page(pages[kind], **look) as opened:
            width, room = opened.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width <= room


class TestSorting:
    @pytest.fixture
    def opened(self, pages, open_page):
        with open_page(pages["stats"]) as opened:
            yield opened

    def test_goes_up_then_down_then_back_to_the_order_of_the_file(self, opened):
        button = opened.page.get_by_role("button", name="std")
        heading = opened.page.get_by_role("columnheader", name="std")
        before = opened.column(TENSOR)
        button.click()
        assert heading.get_attribute("aria-sort") == "ascending"
        values = list(map(float, opened.column(STD)))
        assert values == sorted(values)
        button.click()
        assert heading.get_attribute("aria-sort") == "descending"
        assert list(map(float, opened.column(STD))) == sorted(values, reverse=True)
        button.click()
        assert heading.get_attribute("aria-sort") is None
        assert opened.column(TENSOR) == before

    def test_of_names_takes_numbers_as_numbers(self, opened):
        opened.page.get_by_role("button", name="tensor").click()
        names = [name for name in opened.column(TENSOR) if name.endswith("q.weight")]
        assert names == [f"layers.{number}.q.weight" for number in range(12)]

    def test_puts_rows_without_a_number_last(self, pages, open_page):
        with open_page(pages["plan"]) as opened:
            button = opened.page.get_by_role("button", name="std after")
            for _ in range(2):
                button.click()
                values = opened.column(STD)
                assert values[-2:] == ["", ""]
                assert "" not in values[:-2]

    def test_is_by_one_column(self, opened):
        opened.page.get_by_role("button", name="std").click()
        opened.page.get_by_role("button", name="mean").click()
        assert opened.page.locator("[aria-sort]").count() == 1


class TestFiltering:
    @pytest.fixture
    def opened(self, pages, open_page):
        with open_page(pages["stats"]) as opened:
            yield opened

    @pytest.mark.parametrize(
        ("text", "count"),
        [
            ("", 26),
            ("norm", 1),
            ("layers.*.q", 12),
            ("layers.1*Q", 3),
            ("NaN", 1),
            ("[6, 5]", 24),
            ("none", 0),
            ("*", 26),
        ],
    )
    def test_shows_rows_whose_texts_match_and_says_how_many(self, opened, text, count):
        opened.page.get_by_role("searchbox", name="Filter").fill(text)
        assert len(opened.column(TENSOR)) == count
        assert opened.page.get_by_role("status").inner_text() == f"{count} of 26 rows"

    def test_stays_after_sorting(self, opened):
        opened.page.get_by_role("searchbox").fill("q.weight")
        opened.page.get_by_role("button", name="mean").click()
        assert len(opened.column(TENSOR)) == 12


class TestALongTable:
    @pytest.fixture
    def opened(self, pages, open_page):
        with open_page(pages["long"]) as opened:
            yield opened

    def test_shows_its_first_rows_until_it_is_asked_for_all(self, opened):
        status = opened.page.get_by_role("status")
        assert len(opened.column(TENSOR)) == 500
        assert status.inner_text() == "1,200 of 1,200 rows, the first 500 shown"
        opened.page.get_by_role("button", name="Show all rows").click()
        assert len(opened.column(TENSOR)) == 1200
        assert status.inner_text() == "1,200 of 1,200 rows"
        assert not opened.page.get_by_role("button", name="Show all rows").is_visible()

    def test_sorts_and_filters_all_rows(self, opened):
        opened.page.get_by_role("button", name="mean").click(click_count=2)
        assert opened.column(MEAN)[:2] == ["1199", "1198"]
        opened.page.get_by_role("searchbox").fill("layers.11*")
        assert len(opened.column(TENSOR)) == 111
        assert opened.page.get_by_role("status").inner_text() == "111 of 1,200 rows"
        assert not opened.page.get_by_role("button", name="Show all rows").is_visible()
        opened.page.get_by_role("searchbox").fill("")
        assert len(opened.column(TENSOR)) == 500

    def test_is_printed_to_its_end(self, opened):
        opened.page.emulate_media(media="print")
        assert len(opened.column(TENSOR)) == 1200


def test_a_screen_reader_gets_names_without_arrows_and_no_drawing_without_words(pages, open_page):
    with open_page(pages["plan"]) as opened:
        session = opened.page.context.new_cdp_session(opened.page)
        nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    named = [(node["role"]["value"], node["name"]["value"]) for node in nodes if not node["ignored"]]
    assert ("columnheader", "std before") in named
    images = [name for role, name in named if role == "image"]
    assert {name.partition(":")[0] for name in images} == {"layers.{1..11}.q.weight ×11", "layers.{0..11}.v.weight ×12"}
    assert ("status", "") in named


class TestTheKeyboard:
    def test_reaches_everything_in_order(self, pages, open_page):
        with open_page(pages["plan"]) as opened:
            reached = []
            for _ in range(40):
                opened.page.keyboard.press("Tab")
                if opened.focused.startswith("body"):
                    break
                reached.append(opened.focused)
        links = ["a Rules", "a Standard deviation by depth", "a Tensors"]
        assert reached[:4] == ["a Skip to the content", *links]
        assert [each.split()[0] for each in reached[4:8]] == ["summary"] * 4
        assert reached[8:10] == ["input Filter", "div Table: Tensors"]
        assert reached[10:] == [
            f"button {title}"
            for title in ("tensor", "std before", "std after", "initializer", "rule", "mean before", "mean after")
        ] + ["button elements", "button shape", "button dtype"]

    def test_skips_to_the_content_opens_a_rule_and_sorts(self, pages, open_page):
        with open_page(pages["plan"]) as opened:
            opened.page.keyboard.press("Tab")
            opened.page.keyboard.press("Enter")
            assert opened.page.evaluate("document.activeElement.id") == "content"
            opened.page.keyboard.press("Tab")
            opened.page.keyboard.press("Enter")
            assert opened.page.locator("details[open]").count() == 1
            opened.page.get_by_role("button", name="elements").focus()
            opened.page.keyboard.press("Space")
            assert opened.page.locator("[aria-sort=ascending]").inner_text().startswith("elements")

    def test_scrolls_the_table(self, pages, open_page):
        expect = pytest.importorskip("playwright.sync_api").expect
        with open_page(pages["plan"], viewport={"width": 500, "height": 500}) as opened:
            opened.page.get_by_role("region", name="Table: Tensors").focus()
            opened.page.keyboard.press("End")
            expect(opened.page.locator(".scroll")).not_to_have_js_property("scrollTop", 0)


def test_hostile_names_are_shown_and_do_nothing(pages, open_page):
    with open_page(pages["hostile"]) as opened:
        opened.page.get_by_role("button", name="tensor").click()
        opened.page.get_by_role("searchbox").fill("alert")
        opened.page.get_by_role("searchbox").fill("")
        names = opened.column(TENSOR)
        assert set(names) >= {SHOWN.get(text, text).replace(r":\x3a", "::") for text in [*SHOWN, *MARKUP.values()]}
        assert opened.page.locator("tbody script, tbody img, tbody b").count() == 0
    assert opened.said == []


def test_without_a_script_the_table_is_there_and_no_control_that_does_nothing(pages, open_page):
    with open_page(pages["long"], java_script_enabled=False) as opened:
        assert opened.page.locator("tbody tr").count() == 1200
        assert opened.page.locator("tbody tr").last.is_visible()
        assert not opened.page.get_by_label("Filter").is_visible()
        assert opened.page.locator("thead button").count() == 0


def test_on_paper_there_are_all_rows_and_no_controls(pages, open_page):
    with open_page(pages["stats"], color_scheme="dark") as opened:
        opened.page.emulate_media(media="print")
        assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        for control in ("form", "nav"):
            assert not opened.page.locator(control).first.is_visible()
        height, room = opened.page.evaluate(
            "(({scrollHeight, clientHeight}) => [scrollHeight, clientHeight])(document.querySelector('.scroll'))"
        )
        assert height == room
        assert opened.page.locator("thead th").first.inner_text() == "tensor"

"""The site in a real browser: no errors, nothing asked for, tables that sort, screenshots."""

import base64
import io

import pytest
from PIL import Image

PAGES = ("index", "ablations", "claims", "anchors", "retrieval", "runs", "cost")
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}
BACKGROUNDS = {"light": "rgb(255, 255, 253)", "dark": "rgb(21, 24, 28)"}


@pytest.fixture
def view(browser, reports):
    """Open a page at a size, in light or dark; what the browser complained of is in browser.events."""
    browser.events.clear()

    def view(page, size="desktop", scheme="light"):
        browser.open(reports / f"{page}.html")
        width, height = SIZES[size]
        browser.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=size == "phone",
        )  # fmt: skip
        wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        browser.call("Emulation.setEmulatedMedia", features=features)
        return browser

    yield view
    browser.call("Emulation.clearDeviceMetricsOverride")
    browser.call("Emulation.setEmulatedMedia", features=[])


def texts(browser, table, column):
    rows = f"[...document.querySelector('#table-{table}').tBodies[0].rows]"
    return browser.run(f"{rows}.map((row) => (row.cells[{column}] || row.cells[0]).textContent.trim())")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_without_complaints_and_asks_for_nothing(view, browser, page):
    view(page)
    for domain in ("Log", "Runtime", "Network"):
        browser.call(f"{domain}.enable")
    view(page)
    browser.wait("document.querySelectorAll('thead button').length > 0 || !document.querySelector('table')")
    complaints = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    assert [event for event in browser.events if event.get("method") in complaints] == []
    sent = (event for event in browser.events if event.get("method") == "Network.requestWillBeSent")
    asked = [event["params"]["request"]["url"] for event in sent]
    assert asked
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    for domain in ("Log", "Runtime", "Network"):
        browser.call(f"{domain}.disable")


def test_the_policy_stops_other_scripts_and_requests(view, browser):
    view("index")
    other = "const other = document.createElement('script'); other.textContent = 'window.ran = 1';"
    browser.run(f"window.ran = 0; {other} document.body.append(other); 0")
    assert browser.run("window.ran") == 0
    assert browser.run("document.querySelectorAll('thead button').length") > 0


def test_a_click_sorts_a_table_up_and_down_within_its_bodies(view, browser):
    view("index")
    before = texts(browser, "results", 4)
    browser.click("#table-results thead th:nth-child(5) button")
    up = texts(browser, "results", 4)
    browser.click("#table-results thead th:nth-child(5) button")
    down = texts(browser, "results", 4)
    numbers = [float(text.split()[0]) for text in up[1:-1]]
    assert numbers == sorted(numbers)
    assert [float(text.split()[0]) for text in down[1:-1]] == numbers[::-1]
    # The heading stays first and chance last.
    assert before[0] == up[0] == down[0]
    assert before[-1] == up[-1] == down[-1]
    assert sorted(before) == sorted(up)


def test_a_table_sorts_by_keyboard_and_says_how(view, browser):
    view("runs")
    head = "document.querySelector('#table-datasets thead th:nth-child(3)')"
    browser.run(f"{head}.querySelector('button').focus()")
    browser.press("Enter")
    assert browser.run(f"{head}.getAttribute('aria-sort')") == "ascending"
    assert texts(browser, "datasets", 2) == ["1", "22", "22"]
    browser.press(" ")
    assert browser.run(f"{head}.getAttribute('aria-sort')") == "descending"
    assert texts(browser, "datasets", 2) == ["22", "22", "1"]
    assert browser.run("document.querySelectorAll('#table-datasets [aria-sort]').length") == 1


def test_texts_sort_and_missing_numbers_stay_behind(view, browser):
    view("runs")
    for _ in range(2):
        browser.click("#table-datasets thead th:nth-child(5) button")
        assert texts(browser, "datasets", 4)[-1] == "–"
    browser.click("#table-datasets thead th:nth-child(1) button")
    assert texts(browser, "datasets", 0) == ["mini-howto", "mini-msrvtt", "mini-youcook2"]


def test_small_numbers_sort_before_larger_ones(view, browser):
    view("runs")
    browser.run("""[...document.querySelectorAll('#table-datasets tbody tr')]
      .forEach((row, index) => { row.cells[2].textContent = ['0.001', '<0.001', '5e-05'][index]; })""")
    browser.click("#table-datasets thead th:nth-child(3) button")
    assert texts(browser, "datasets", 2) == ["5e-05", "<0.001", "0.001"]


def test_the_keyboard_reaches_the_content_first(view, browser):
    view("claims")
    browser.press("Tab")
    assert browser.run("document.activeElement.className") == "skip"
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") != "none"
    browser.press("Enter")
    assert browser.run("location.hash") == "#main"


@pytest.mark.parametrize("scheme", BACKGROUNDS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("page", PAGES)
def test_pages_fit_their_screen_in_light_and_dark(view, browser, page, size, scheme):
    view(page, size, scheme)
    assert browser.run("getComputedStyle(document.body).backgroundColor") == BACKGROUNDS[scheme]
    assert browser.run("document.documentElement.scrollWidth") <= SIZES[size][0]
    shot = browser.call("Page.captureScreenshot")
    with Image.open(io.BytesIO(base64.b64decode(shot["data"]))) as picture:
        assert picture.size == SIZES[size]
        assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 20


@pytest.mark.parametrize("page", PAGES)
def test_every_cell_can_be_seen_on_a_phone(view, browser, page):
    view(page, "phone")
    browser.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    hidden = browser.run("""[...document.querySelectorAll('.scroll')].filter((box) => {
      box.scrollLeft = box.scrollWidth;
      return [...box.querySelectorAll('tbody tr:not(.group)')].some((row) => {
        const head = row.cells[0].getBoundingClientRect();
        const last = row.cells[row.cells.length - 1].getBoundingClientRect();
        const edge = box.getBoundingClientRect().right;
        const wide = head.width > 0.45 * innerWidth || last.right - 40 < head.right;
        return (box.scrollLeft > 0 && wide) || last.right > edge + 1;
      });
    }).map((box) => box.querySelector('table').id)""")
    assert hidden == []


def test_verdicts_are_seen_whole_on_a_phone(view, browser):
    view("claims", "phone")
    right = browser.run("""Math.max(...[...document.querySelectorAll('#table-claims [class^=mark-]')]
      .filter((mark) => mark.closest('td').cellIndex === 1)
      .map((mark) => mark.getBoundingClientRect().right))""")
    assert right <= SIZES["phone"][0]


def test_tables_of_claims_fit_a_desktop_without_scrolling(view, browser):
    view("claims")
    wide = browser.run("""[...document.querySelectorAll('.scroll')]
      .filter((box) => box.scrollWidth > box.clientWidth).map((box) => box.querySelector('table').id)""")
    assert wide == []


def test_print_shows_all_without_navigation(view, browser):
    view("index")
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert browser.run("getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"
    assert len(browser.call("Page.printToPDF")["data"]) > 10_000
    browser.call("Emulation.setEmulatedMedia", media="")

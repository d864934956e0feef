"""The site in a real browser: no errors, nothing asked for, tables that sort, screenshots."""

import io

import pytest
from PIL import Image

PAGES = ("index", "ablations", "claims", "anchors", "retrieval", "runs", "cost")
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}
BACKGROUNDS = {"light": "rgb(255, 255, 253)", "dark": "rgb(21, 24, 28)"}


@pytest.fixture
def view(browser, reports):
    """Open a page at a size, in light or dark; `tab.asked` and `tab.complaints` keep what came of it."""
    contexts = []

    def view(page, size="desktop", scheme="light"):
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height},
            is_mobile=size == "phone",
            color_scheme=scheme,
            reduced_motion="reduce",
        )
        contexts.append(context)
        tab = context.new_page()
        tab.asked, tab.complaints = [], []
        tab.on("request", lambda request: tab.asked.append(request.url))
        tab.on("console", lambda message: tab.complaints.append(message.text))
        tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
        tab.goto((reports / f"{page}.html").as_uri())
        return tab

    yield view
    for context in contexts:
        context.close()


def texts(tab, table, column):
    rows = f"[...document.querySelector('#table-{table}').tBodies[0].rows]"
    return tab.evaluate(f"{rows}.map((row) => (row.cells[{column}] || row.cells[0]).textContent.trim())")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_without_complaints_and_asks_for_nothing(view, page):
    tab = view(page)
    tab.wait_for_selector("thead button, body:not(:has(table))", state="attached")
    assert tab.complaints == []
    assert tab.asked
    assert [url for url in tab.asked if not url.startswith(("file:", "data:"))] == []


def test_the_policy_stops_other_scripts_and_requests(view):
    tab = view("index")
    other = "const other = document.createElement('script'); other.textContent = 'window.ran = 1';"
    tab.evaluate(f"window.ran = 0; {other} document.body.append(other); 0")
    assert tab.evaluate("window.ran") == 0
    assert tab.evaluate("document.querySelectorAll('thead button').length") > 0


def test_a_click_sorts_a_table_up_and_down_within_its_bodies(view):
    tab = view("index")
    before = texts(tab, "results", 4)
    tab.click("#table-results thead th:nth-child(5) button")
    up = texts(tab, "results", 4)
    tab.click("#table-results thead th:nth-child(5) button")
    down = texts(tab, "results", 4)
    numbers = [float(text.split()[0]) for text in up[1:-1]]
    assert numbers == sorted(numbers)
    assert [float(text.split()[0]) for text in down[1:-1]] == numbers[::-1]
    # The heading stays first and chance last.
    assert before[0] == up[0] == down[0]
    assert before[-1] == up[-1] == down[-1]
    assert sorted(before) == sorted(up)


def test_a_table_sorts_by_keyboard_and_says_how(view):
    tab = view("runs")
    head = "document.querySelector('#table-datasets thead th:nth-child(3)')"
    tab.evaluate(f"{head}.querySelector('button').focus()")
    tab.keyboard.press("Enter")
    assert tab.evaluate(f"{head}.getAttribute('aria-sort')") == "ascending"
    assert texts(tab, "datasets", 2) == ["1", "22", "22"]
    tab.keyboard.press("Space")
    assert tab.evaluate(f"{head}.getAttribute('aria-sort')") == "descending"
    assert texts(tab, "datasets", 2) == ["22", "22", "1"]
    assert tab.evaluate("document.querySelectorAll('#table-datasets [aria-sort]').length") == 1


def test_texts_sort_and_missing_numbers_stay_behind(view):
    tab = view("runs")
    for _ in range(2):
        tab.click("#table-datasets thead th:nth-child(5) button")
        assert texts(tab, "datasets", 4)[-1] == "–"
    tab.click("#table-datasets thead th:nth-child(1) button")
    assert texts(tab, "datasets", 0) == ["mini-howto", "mini-msrvtt", "mini-youcook2"]


def test_small_numbers_sort_before_larger_ones(view):
    tab = view("runs")
    tab.evaluate("""[...document.querySelectorAll('#table-datasets tbody tr')]
      .forEach((row, index) => { row.cells[2].textContent = ['0.001', '<0.001', '5e-05'][index]; })""")
    tab.click("#table-datasets thead th:nth-child(3) button")
    assert texts(tab, "datasets", 2) == ["5e-05", "<0.001", "0.001"]


def test_the_keyboard_reaches_the_content_first(view):
    tab = view("claims")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash") == "#main"


@pytest.mark.parametrize("scheme", BACKGROUNDS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("page", PAGES)
def test_pages_fit_their_screen_in_light_and_dark(view, page, size, scheme):
    tab = view(page, size, scheme)
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == BACKGROUNDS[scheme]
    assert tab.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    with Image.open(io.BytesIO(tab.screenshot())) as picture:
        assert picture.size == SIZES[size]
        assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 20


@pytest.mark.parametrize("page", PAGES)
def test_every_cell_can_be_seen_on_a_phone(view, page):
    tab = view(page, "phone")
    tab.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    hidden = tab.evaluate("""[...document.querySelectorAll('.scroll')].filter((box) => {
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


def test_verdicts_are_seen_whole_on_a_phone(view):
    tab = view("claims", "phone")
    right = tab.evaluate("""Math.max(...[...document.querySelectorAll('#table-claims [class^=mark-]')]
      .filter((mark) => mark.closest('td').cellIndex === 1)
      .map((mark) => mark.getBoundingClientRect().right))""")
    assert right <= SIZES["phone"][0]


def test_tables_of_claims_fit_a_desktop_without_scrolling(view):
    tab = view("claims")
    wide = tab.evaluate("""[...document.querySelectorAll('.scroll')]
      .filter((box) => box.scrollWidth > box.clientWidth).map((box) => box.querySelector('table').id)""")
    assert wide == []


def test_print_shows_all_without_navigation(view):
    tab = view("index")
    tab.emulate_media(media="print")
    assert tab.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert tab.evaluate("getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"
    assert len(tab.pdf()) > 10_000

"""The page of a search, in a real browser."""

import re

import pandas as pd
import pytest

from multisk.search.page import clock, write_search_page

CLIP = "document.querySelector('#clip-{} {}')"


@pytest.fixture
def found(tmp_path, write_film):
    """Three clips: of two films, one with a name that needs care, and of one that is gone."""
    (tmp_path / "my videos").mkdir()
    films = [tmp_path / "my videos" / name for name in ("soup.mp4", 'a "b" #1 & <i>?.mp4', "gone.mp4")]
    for film in films[:2]:
        write_film(film, seconds=6)
    rows = [(str(film), 2.0, 4.0, score) for film, score in zip(films, (0.9, 0.5, 0.25), strict=True)]
    return pd.DataFrame(rows, columns=["file", "start", "end", "score"])


@pytest.fixture
def page(found, tmp_path):
    out = tmp_path / "pages" / "found.html"
    write_search_page(found, "<b>onions</b> & more", out, videos=tmp_path / "my videos")
    return out


def test_the_page_is_whole_in_itself(page):
    text = page.read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert [source.partition(",")[0] for source in sources if source.startswith("data:")] == [
        "data:image/jpeg;base64"
    ] * 2
    links = [source for source in sources if not source.startswith("data:")]
    assert links == [
        "../my%20videos/soup.mp4#t=2,4",
        "../my%20videos/a%20%22b%22%20%231%20%26%20%3Ci%3E%3F.mp4#t=2,4",
        "../my%20videos/gone.mp4#t=2,4",
    ]
    assert "http" not in text


def test_what_people_named_is_shown_as_text(page):
    text = page.read_text(encoding="utf-8")
    assert "<b>onions" not in text
    assert "&lt;b&gt;onions&lt;/b&gt; &amp; more" in text
    assert "<i>" not in text
    assert "0:02–0:04" in text
    assert "score 0.900" in text


def test_an_empty_search_says_so(found, tmp_path):
    write_search_page(found[:0], "nothing", tmp_path / "none.html")
    assert "Nothing found" in (tmp_path / "none.html").read_text(encoding="utf-8")


def test_seconds_are_written_as_people_do():
    assert [clock(seconds) for seconds in (0, 9.9, 61, 3600, 7325)] == [
        "0:00",
        "0:09",
        "1:01",
        "1:00:00",
        "2:02:05",
    ]


@pytest.fixture
def tab(browser, page):
    """The page in a tab of its own."""
    tab = browser.new_page()
    tab.goto(page.as_uri())
    yield tab
    tab.close()


def test_a_click_plays_the_segment_and_stops_at_its_end(tab):
    assert tab.locator("video").count() == 0
    tab.click("#clip-1 a.stage")
    video = CLIP.format(1, "video")
    tab.wait_for_function(f"{video} && {video}.readyState >= 2")
    assert tab.evaluate(f"{video}.currentSrc").endswith("/my%20videos/soup.mp4#t=2,4")
    assert tab.evaluate(f"{video}.currentTime") >= 2
    tab.wait_for_function(f"{video}.paused && {video}.currentTime > 3.5")
    assert tab.evaluate(f"{video}.currentTime") < 4.7


def test_another_click_closes_the_first_player(tab):
    tab.click("#clip-1 a.stage")
    tab.wait_for_selector("#clip-1 video")
    tab.click("#clip-2 a.stage")
    video = CLIP.format(2, "video")
    tab.wait_for_function(f"{video} && {video}.currentTime >= 2")
    assert tab.locator("video").count() == 1
    assert tab.is_visible("#clip-1 a.stage")


def test_keys_choose_play_and_close(tab):
    tab.keyboard.press("Tab")
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("document.activeElement.closest('li').id") == "clip-2"
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("Enter")
    video = CLIP.format(1, "video")
    tab.wait_for_function(f"{video} && document.activeElement == {video}")
    tab.keyboard.press("Escape")
    assert tab.locator("video").count() == 0
    assert tab.evaluate("document.activeElement.getAttribute('href')") == "../my%20videos/soup.mp4#t=2,4"


def test_a_file_that_is_gone_is_told_on_the_page(tab):
    assert "no picture" in tab.text_content("#clip-3 .nothing")
    tab.click("#clip-3 a.stage")
    assert tab.text_content("#clip-3 .unplayable").endswith("../my videos/gone.mp4#t=2,4")

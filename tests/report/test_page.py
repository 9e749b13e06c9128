"""The report in a real browser, and without one."""

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("jinja2", reason="needs the extra report")
pytestmark = pytest.mark.encoder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    program = next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("no Chromium with chromedriver is installed")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-background-networking", "no-first-run",
                 "disable-component-update", "disable-sync", "force-prefers-reduced-motion",
                 "window-size=1280,900"):  # fmt: skip
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chrome
    chrome.quit()


@pytest.fixture
def page(browser, study):
    browser.get((study / "report.html").as_uri())
    yield browser
    assert browser.get_log("browser") == []


def bring(page: Any, element: Any) -> None:
    """Scroll to where nothing lies over the element."""
    page.execute_script(
        "arguments[0].scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'})", element
    )


def test_the_page_needs_nothing_else(study):
    text = (study / "report.html").read_text()
    assert len(text) < 15_000_000
    without_pictures = re.sub(r"data:[^\"']*", "data:", text)
    assert (
        re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*\"|url\(|@import|https?://(?!www\.w3\.org)", without_pictures)
        == []
    )
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
    assert {"curves", "frames", "pairs", "pictures", "qualities"} == set(data)


def test_the_page_says_how_to_repeat_it(study):
    text = (study / "report.html").read_text()
    results = [json.loads(path.read_text()) for path in (study / "results").iterdir()]
    for result in results:
        assert result["file_sha256"] in text
        assert result["clip"]["sha256"] in text
        assert all(version.split()[0] in text for version in result["versions"].values())
    assert "missing.mp4 does not exist" in text


def test_figures_are_made(study):
    kinds = {path.stem.rpartition("-")[2] for path in (study / "figures").iterdir()}
    assert kinds >= {"fig6", "fig7", "fig8", "fig9", "frames", "bits", "curves"}
    for path in (study / "figures").iterdir():
        with Image.open(path) as image:
            assert min(image.size) > 100
            assert any(low < high for low, high in image.convert("RGB").getextrema())


@pytest.mark.slow
def test_tables_sort(page):
    heads = page.find_elements("css selector", "#all th")
    column = next(n for n, head in enumerate(heads) if head.text.startswith("bytes"))

    def shown():
        cells = page.find_elements("css selector", f"#all tbody td:nth-child({column + 1})")
        return [float(cell.get_attribute("data-value")) for cell in cells]

    before = shown()
    assert before != sorted(before, reverse=True)
    button = heads[column].find_element("css selector", "button")
    bring(page, button)
    button.click()
    assert shown() == sorted(before, reverse=True)
    assert heads[column].get_attribute("aria-sort") == "descending"
    button.send_keys("\n")
    assert shown() == sorted(before)
    assert heads[column].get_attribute("aria-sort") == "ascending"


@pytest.mark.slow
def test_the_slider_moves_with_mouse_and_keys(page):
    stack = page.find_element("css selector", ".slider .stack")
    bring(page, stack)

    def edge():
        clip = page.find_element("css selector", ".slider img.left").value_of_css_property("clip-path")
        return float(re.search(r"([\d.]+)(?:%|px)", clip.partition(" ")[2])[1])

    slider = stack.find_element("css selector", "input")
    start = edge()
    slider.send_keys("\ue014" * 20)
    moved = edge()
    assert moved != start
    page.execute_cdp_cmd("Input.dispatchMouseEvent", {
        "type": "mousePressed", "button": "left", "clickCount": 1,
        **page.execute_script("const r = arguments[0].getBoundingClientRect();"
                              "return {x: r.left + r.width * .1, y: r.top + r.height / 2}", stack),
    })  # fmt: skip
    assert edge() not in (start, moved)


@pytest.mark.slow
def test_the_curves_answer(page):
    marks = page.find_elements("css selector", "#curve-chart .mark")
    assert len(marks) == 8  # three uniform, three SA, one byte-matched and the uniform encode that it is matched with
    label = marks[0].get_attribute("aria-label")
    page.execute_script("arguments[0].focus()", marks[0])
    tip = page.find_element("css selector", "#curve-chart .tip")
    assert tip.is_displayed()
    assert label.split(",")[0] in tip.text
    button = page.find_element("css selector", "#curve-chart .legend button")
    bring(page, button)
    button.click()
    assert len(page.find_elements("css selector", "#curve-chart .mark")) < len(marks)


@pytest.mark.slow_except(r"^dark-390")
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_follows_the_colour_scheme(page, width, scheme):
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                         {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600})  # fmt: skip
    page.execute_cdp_cmd("Emulation.setEmulatedMedia",
                         {"features": [{"name": "prefers-color-scheme", "value": scheme}]})  # fmt: skip
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    red = int(re.search(r"\d+", page.find_element("tag name", "body").value_of_css_property("background-color"))[0])
    assert (red > 128) is (scheme == "light")
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

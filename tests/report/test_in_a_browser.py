"""The page of a report in a real browser."""

import io
from importlib import resources

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.chromium

#: What a tab reports of errors.
ERRORS = ("Runtime.exceptionThrown", "Log.entryAdded")


@pytest.fixture(scope="module")
def loaded(tab, fitted_run):
    """A tab that has loaded the report, once for all tests."""
    tab.prefer("light")
    tab.open(fitted_run.path / "report.html")
    return tab


@pytest.fixture
def opened(loaded):
    """The tab with the settings of a new user."""
    loaded.prefer("light")
    loaded.resize(1280)
    loaded.evaluate("localStorage.clear(); delete document.documentElement.dataset.theme")
    return loaded


def brightness(tab):
    """Return the median brightness of the visible page, between 0 and 1."""
    image = Image.open(io.BytesIO(tab.screenshot())).convert("L")
    return float(np.median(np.asarray(image))) / 255


def column(number, table="#provenance table"):
    cells = f"document.querySelector('{table}').tBodies[0].rows"
    return f"[...{cells}].map((row) => row.cells[{number}].textContent)"


def test_it_opens_without_errors_and_requests(opened):
    opened.reload()
    opened.evaluate("new Promise((done) => setTimeout(done, 200))")
    assert [event for event in opened.events if event[0] in ERRORS] == []
    assert [event for event in opened.events if event[0] == "Runtime.consoleAPICalled"] == []
    asked = [
        e["request"]["url"] for name, e in opened.events if name == "Network.requestWillBeSent"
    ]
    assert len(asked) == 1
    assert asked[0].endswith("report.html")


def test_a_click_on_a_header_sorts(opened, fitted_run):
    table = "#completeness table"
    assert opened.evaluate(f"document.querySelectorAll('{table} thead button').length") == 6
    events = [
        f"{c['expected_events']:,}" for c in fitted_run.read("ledger.json")["datasets"].values()
    ]
    ascending = sorted(events, key=lambda text: int(text.replace(",", "")))
    # as texts, the order would be another one
    assert ascending != sorted(events)
    click = f"document.querySelectorAll('{table} thead button')[2].click()"
    state = f"document.querySelectorAll('{table} th')[2].getAttribute('aria-sort')"
    for expected, name in ((ascending, "ascending"), (ascending[::-1], "descending")):
        opened.evaluate(click)
        assert opened.evaluate(column(2, table)) == expected
        assert opened.evaluate(state) == name


def test_colours_follow_the_system_and_the_button(opened):
    assert brightness(opened) > 0.9
    opened.prefer("dark")
    assert brightness(opened) < 0.3
    press = "document.getElementById('theme').click()"
    opened.evaluate(press)
    assert opened.evaluate("document.getElementById('theme').textContent") == "Colours: light"
    assert brightness(opened) > 0.9
    opened.prefer("light")
    opened.evaluate(press)
    assert brightness(opened) < 0.3
    # the choice stays
    opened.reload()
    assert brightness(opened) < 0.3
    opened.evaluate("localStorage.clear()")
    opened.reload()
    assert brightness(opened) > 0.9


def test_nothing_is_wider_than_the_page(opened):
    for width in (800, 360, 320):
        opened.resize(width)
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert brightness(opened) > 0.9


def test_it_is_printed_in_light_colours(opened):
    opened.prefer("dark")
    opened.evaluate("document.documentElement.dataset.theme = 'dark'")
    opened.call("Emulation.setEmulatedMedia", media="print")
    assert brightness(opened) > 0.9
    opened.call("Emulation.setEmulatedMedia", media="")
    assert brightness(opened) < 0.3
    assert opened.pdf().startswith(b"%PDF")


def test_the_first_key_reaches_the_link_to_the_results(opened):
    opened.reload()
    for kind in ("keyDown", "keyUp"):
        opened.call("Input.dispatchKeyEvent", type=kind, key="Tab", windowsVirtualKeyCode=9)
    assert opened.evaluate("document.activeElement.className") == "skip"


def test_it_is_accessible(opened):
    rules = resources.files("axe_core_python") / "axe.min.js"
    opened.evaluate(f"{rules.read_text()}; undefined")
    # figures are named as a whole, so that their parts need no look; rows of a table are alike
    opened.evaluate(
        "document.querySelectorAll('svg').forEach((each) => each.replaceChildren());"
        "for (const body of document.querySelectorAll('tbody'))"
        "  [...body.rows].slice(2).forEach((row) => row.remove())"
    )
    # in other colours, only the contrast is another
    for scheme, only in (("light", ""), ("dark", "runOnly: ['color-contrast'], ")):
        opened.prefer(scheme)
        assert (brightness(opened) < 0.3) is (scheme == "dark")
        found = opened.evaluate(
            f"axe.run({{{only}resultTypes: ['violations']}}).then("
            "  (found) => found.violations.map((each) => ["
            "    each.id, each.help, each.nodes.slice(0, 3).map((node) => node.html)]))"
        )
        assert found == [], scheme
    # that something was looked at
    opened.evaluate("document.querySelector('td').style.color = '#333'")
    found = opened.evaluate(
        "axe.run({runOnly: ['color-contrast']}).then((found) => found.violations.length)"
    )
    assert found == 1

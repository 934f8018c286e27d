"""The page in a browser: quiet, self-contained, and no wider than the screen."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from leaky.checkup import Check, Seen
from leaky.claims import Answer, Claims, Plot, Series, Statement, Table
from leaky.comparison.result import Comparison
from leaky.report import render_check, render_claims, render_html, save, summary_figure

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="Chromium or its chromedriver is not installed")

OPTIONS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(option)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium refuses to run as root with one
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def show(browser: webdriver.Chrome, scheme: str, width: int) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )


def requested(browser: webdriver.Chrome) -> list[str]:
    """Return the addresses that were asked for since last time."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, seven: Comparison, hostile: Comparison) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pages")
    addresses = {}
    for name, comparison in {"seven": seven, "hostile": hostile}.items():
        path = folder / f"{name}.html"
        path.write_text(render_html(comparison, command="leaky compare " + "x" * 300), encoding="utf-8")
        addresses[name] = path.as_uri()
    path = folder / "claims.html"
    path.write_text(render_claims(_claims(), command="leaky claims " + "x" * 300), encoding="utf-8")
    return addresses | {"claims": path.as_uri()}


def _claims() -> Claims:
    """Return a statement whose every text is long."""
    long, word = "so it is " * 40, "x" * 300
    plots = tuple(
        Plot("Title", "", "y", (Series(word, x, (1.0, 2.0), kind=kind),), long)  # type: ignore[arg-type]
        for x, kind in (((word, "b"), "bars"), ((1.0, 2.0), "line"))
    )
    table = Table((word, long, long), ((word, long, word),) * 3)
    answer = Answer("S7", "holds only when", long + word, word, long, {word: 1.0}, plots, table, word)
    return Claims((Statement("S7", long + word, "test", long, word),), (answer,), {"leaky": word})


@pytest.mark.parametrize("name", ["seven", "hostile", "claims"])
def test_page(browser: webdriver.Chrome, pages: dict[str, str], name: str) -> None:
    requested(browser)
    browser.get(pages[name])
    backgrounds = {}
    for scheme in ("light", "dark"):
        for width in (360, 1280):
            show(browser, scheme, width)
            wide, room = browser.execute_script(
                "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
            )
            assert wide <= room, (scheme, width)
        backgrounds[scheme] = browser.execute_script(
            "return ['body', 'svg path'].map(s => { const c = getComputedStyle(document.querySelector(s));"
            " return s == 'body' ? c.backgroundColor : c.fill })"
        )
    # The page and the figures on it change together.
    assert backgrounds == {"light": ["rgb(255, 255, 255)"] * 2, "dark": ["rgb(15, 19, 24)"] * 2}
    assert browser.get_log("browser") == []
    assert [url for url in requested(browser) if not url.startswith("data:")] == [pages[name]]
    assert browser.execute_script("return document.scripts.length") == 0


def test_a_dead_unit_can_be_seen_on_every_screen(
    browser: webdriver.Chrome,
    see: Callable[..., Seen],
    checked: Callable[..., Check],
    hostile_names: tuple[str, ...],
    tmp_path: Path,
) -> None:
    x = np.where(np.arange(200)[:, None] % 2, 1.0, -1.0) * np.ones((200, 2048))
    x[:, 7] = -1
    sites = [see(f"{name}{units}", x[:, :units]) for name in hostile_names for units in (9, 64, 2048)]
    path = tmp_path / "check.html"
    path.write_text(render_check(checked(*sites), command="leaky check " + "x" * 300), encoding="utf-8")
    requested(browser)
    browser.get(path.as_uri())
    for scheme in ("light", "dark"):
        for width in (360, 390, 1280):
            show(browser, scheme, width)
            wide, room = browser.execute_script(
                "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
            )
            assert wide <= room, (scheme, width)
            widths = browser.execute_script(
                "return [...document.querySelectorAll('.strip .band-dead')].map(e => e.getBoundingClientRect().width)"
            )
            assert len(widths) == len(sites)
            assert min(widths) >= 3, (scheme, width)
    assert browser.get_log("browser") == []
    assert [url for url in requested(browser) if not url.startswith("data:")] == [path.as_uri()]


def test_folded_tables_are_printed(browser: webdriver.Chrome, pages: dict[str, str]) -> None:
    browser.get(pages["seven"])
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
    closed = "return document.querySelector('details:not([open]) table').checkVisibility()"
    assert browser.execute_script(closed)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    assert not browser.execute_script(closed)


def test_picture_by_itself(browser: webdriver.Chrome, seven: Comparison, tmp_path: Path) -> None:
    path = tmp_path / "summary.svg"
    save(summary_figure(seven), path)
    requested(browser)
    browser.get(path.as_uri())
    paper = {}
    for scheme in ("light", "dark"):
        show(browser, scheme, 1280)
        paper[scheme] = browser.execute_script("return getComputedStyle(document.querySelector('path')).fill")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 19, 24)"}
    assert requested(browser) == [path.as_uri()]
    assert browser.get_log("browser") == []

"""A browser in the reading room of a real gateway: what a radiologist sees, and what the database then holds."""

import hashlib
import io
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.support.api_keys import create_api_key
from xraygpt_core.states import Lane

World = Any

# The headless shell draws no window around a page: a test costs half of what it costs in a whole browser.
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PROVOKED = ("Failed to load resource", "willReadFrequently")
# What a busy machine gets for anything to come true; somebody who works on a page waits less.
PATIENCE_MS = float(os.environ.get("XRAYGPT_PATIENCE_MS", "120000"))
SCREEN = {"width": 1366, "height": 768}
# Phone, small and large; a laptop at 200 %; tablet, laptop, desktop. A page is no wider than its window, nor is what
# scrolls in it.
WIDTHS = (360, 390, 683, 768, 1366, 1920)
INSIDE = """() => [document.documentElement, document.body, document.querySelector("main")]
    .every((one) => one === null || one.scrollWidth <= one.clientWidth)"""


@pytest.fixture(scope="session")
def browser_path() -> str:
    """Where a browser is; without one these tests are skipped, and the reason says how to get one."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("needs chromium or google-chrome: install one, or run `make browser` as root")
    return found


@pytest.fixture(scope="module")
def browser(browser_path: str) -> Iterator[Browser]:
    """One browser for the tests of a file; it knows nobody and keeps nothing."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=list(FLAGS), timeout=180_000)
        yield browser
        browser.close()


class House:
    """A gateway on one port, for one test's world after the other: the browser keeps its files meanwhile."""

    def __init__(self) -> None:
        self.app: Any = None
        self._running = 0
        self._quiet = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]})
        self._thread.start()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        with self._quiet:
            self._running += 1
        try:
            await self.app(scope, receive, send)
        finally:
            with self._quiet:
                self._running -= 1
                self._quiet.notify_all()

    def leave(self) -> None:
        """Wait until nothing of a closed page is being answered: its world ends now."""
        with self._quiet:
            assert self._quiet.wait_for(lambda: self._running == 0, PATIENCE_MS / 1000)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    house = House()
    yield house
    house.close()


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """What the tests of a file share is the browser's cache; each has a tab and a session of its own."""
    context = browser.new_context(viewport=SCREEN, locale="en-GB", color_scheme="dark")
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    context.new_page()  # keeps the window open: the tabs of the tests cost less than windows
    yield context
    context.close()


@dataclass
class Room:
    """A page of the reading room, who reads in it, and everything it said and asked for."""

    page: Page
    url: str
    world: World
    key: str
    house: House
    requests: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", self._asked)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.console.append(f"pageerror: {error}"))

    def _asked(self, request: Request) -> None:
        self.requests.append(request.url)

    def _said(self, message: ConsoleMessage) -> None:
        self.console.append(f"{message.type}: {message.text}")

    def knock(self, key: str) -> "Room":
        """Open the page and type a key."""
        self.page.goto(self.url)
        self.page.get_by_label("Your API key").fill(key)
        self.page.keyboard.press("Enter")
        return self

    def enter(self, fragment: str = "") -> "Room":
        """Open the page as somebody who signed in before."""
        answer = self.page.context.request.post(f"{self.url}/v1/session", data={"key": self.key})
        assert answer.status == 201, answer.text()
        self.page.goto(f"{self.url}/{fragment}")
        expect(self.page.get_by_role("navigation", name="Lists")).to_be_visible()
        return self

    def open(self, study_id: str) -> "Room":
        """A study on the desk, from the list of all: it stays there when it is signed."""
        self.enter("#/all")
        self.page.goto(f"{self.url}/#/study/{study_id}")
        expect(self.page.locator(".study-head h1")).to_be_visible()
        return self

    def press(self, key: str, button: str = "Accept") -> None:
        """Sign with a key, once the film was seen for long enough and this button works."""
        expect(self.page.get_by_role("button", name=button)).to_be_enabled()
        self.page.keyboard.press(key)

    def rows(self) -> list[str]:
        """The study ids of the list, from top to bottom."""
        return [str(row.get_attribute("data-study")) for row in self.page.locator(".rows .row").all()]

    def unexpected(self) -> list[str]:
        """What the browser complained about, but for refusals and looks at pixels that a test provoked itself."""
        return [line for line in self.console if not any(known in line for known in PROVOKED)]


@pytest.fixture
def newcomer(context: BrowserContext, house: House, world: World) -> Iterator[Room]:
    """A page that nobody opened yet. At the end nothing was broken, and nothing asked for from anywhere else."""
    house.app = world.client.app
    room = Room(context.new_page(), house.url, world, create_api_key(world.ledger, "Dr. Reader"), house)
    yield room
    asked, said = [url for url in room.requests if not url.startswith(house.url)], room.unexpected()
    room.page.close()
    context.clear_cookies()
    house.leave()
    assert asked == []
    assert said == []


def picture(shade: int = 160, size: tuple[int, int] = (400, 500)) -> bytes:
    """A film of two tones: its left half is black."""
    image = Image.new("L", size, 0)
    image.paste(shade, (size[0] // 2, 0, *size))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def hashes(png: bytes) -> dict[str, str]:
    """What ingest writes down of a picture that is its own preview."""
    return dict.fromkeys(("normalised_sha256", "preview_sha256"), hashlib.sha256(png).hexdigest())


def study(
    world: World,
    text: str = "No acute disease.",
    lane: Lane = Lane.ROUTINE,
    png: bytes = picture(),
    **more: Any,
) -> tuple[str, str]:
    """A summarised study whose pictures lie in the bucket: study id, summary id."""
    (image,) = world.submit(f"in/{os.urandom(6).hex()}.dcm", lane=lane)
    study_id = world.ingest(image["image_id"], **hashes(png) | more)
    for folder in ("normalised", "preview"):
        key = f"{folder}/{image['image_id']}.png"
        world.s3.put_object(Bucket=world.settings.derived_bucket, Key=key, Body=png)
    return study_id, world.summarise(study_id, text)


def shot(page: Page, name: str) -> None:
    """A screenshot, for whoever set XRAYGPT_SCREENSHOTS to a folder."""
    if folder := os.environ.get("XRAYGPT_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def seat(room: Room, study_id: str, key: str) -> None:
    """Another person sits down at the same screen."""
    room.page.goto("about:blank")
    room.key = key
    room.open(study_id)

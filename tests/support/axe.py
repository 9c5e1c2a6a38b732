"""Accessibility as axe-core sees it: what a page says to those who do not see it, and whether keys alone work it."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

WORSE = ("moderate", "serious", "critical")


def faults(page: Page) -> list[str]:
    """What axe-core finds on the page as it is now, from moderate on: a rule and one element of each finding."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['impact']} {one['id']}: {one['nodes'][0]['html']} ({len(one['nodes'])})"
        for one in found
        if one["impact"] in WORSE
    ]

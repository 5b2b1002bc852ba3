"""Pictures of the page of `senet-jax serve`, for the documentation.

    python docs/screenshots.py http://127.0.0.1:8000/ PHOTOGRAPH docs/images

A server has to run at the address, over photographs of the generated world:
`senet-jax data.prepare synthetic_landmarks` makes these.
"""

import pathlib
import re
import shutil
import sys

from playwright.sync_api import Page, expect, sync_playwright

WIDE, PHONE = {"width": 1100, "height": 820}, {"width": 390, "height": 820}
_MILLISECONDS = 300_000


def main() -> None:
    """Asks as a person does, and takes a picture in light, in dark, and of a phone's width."""
    address, photograph, folder = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox"],
        )
        page = browser.new_page(viewport=WIDE)
        page.set_default_timeout(_MILLISECONDS)
        expect.set_options(timeout=_MILLISECONDS)
        page.goto(address)
        page.set_input_files("#file", photograph)
        expect(page.locator("#said")).to_contain_text("found")
        draw_box(page)
        save(page, folder, "page-light")
        page.get_by_role("switch", name="Re-rank").check()
        expect(page).to_have_url(re.compile("rerank=1"))
        expect(page.locator("#said")).to_contain_text("found")
        page.locator("#found button").nth(1).click()
        expect(page.locator("#pair svg .point")).not_to_have_count(0)
        page.emulate_media(color_scheme="dark")
        save(page, folder, "page-dark")
        page.set_viewport_size(PHONE)
        page.get_by_role("button", name="Similarity").click()
        for image in page.locator("#pair img").all():
            expect(image).to_have_js_property("complete", True)
        page.emulate_media(color_scheme="light")
        page.locator("#compared").scroll_into_view_if_needed()
        save(page, folder, "page-phone")
        browser.close()


def draw_box(page: Page) -> None:
    """Draws a box over the middle of the photograph, and waits for what is found."""
    frame = page.locator("#photograph").bounding_box()
    assert frame is not None

    def point(x: float, y: float) -> tuple[float, float]:
        return frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]

    page.mouse.move(*point(0.2, 0.15))
    page.mouse.down()
    page.mouse.move(*point(0.8, 0.85), steps=3)
    page.mouse.up()
    expect(page).to_have_url(re.compile("box="))
    expect(page.locator("#said")).to_contain_text("found")


def save(page: Page, folder: str, name: str) -> None:
    """Takes a picture when the small pictures have come."""
    page.wait_for_load_state("networkidle")
    page.screenshot(path=pathlib.Path(folder) / f"{name}.jpg", quality=72, type="jpeg")


if __name__ == "__main__":
    main()

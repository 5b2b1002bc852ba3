"""The page as a person uses it in Chromium."""

import re
import shutil

import numpy as np
import pytest
from playwright.sync_api import expect, sync_playwright

from senet_jax.serve.access import Guard
from senet_jax.serve.app import make_app
from tests.data.pictures import encoded, picture
from tests.serve.conftest import listening

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome is installed"),
]


@pytest.fixture
def address(service):
    with listening(Guard(make_app(service), frozenset(), None)) as address:
        yield address


@pytest.fixture
def page(address):
    """The page; whatever its scripts complain about is a failure, requests elsewhere as well."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 1000})
        complaints, asked = [], []
        page.on("console", lambda said: _is_refusal(said) or complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        yield page
        browser.close()
    assert not complaints
    assert all(url.startswith((address, "data:", "blob:")) for url in asked)


def _is_refusal(said):
    """What Chromium says where the page shows why a photograph was not taken."""
    return "status of 422" in said.text


def names(page):
    return page.locator("#found .file").all_text_contents()


def test_from_an_upload_to_what_is_found_and_back(page, tmp_path):
    """What is in the box is another photograph of the index, and it comes first."""
    both = np.zeros((100, 160, 3), np.uint8)
    both[20:50, 60:100] = picture(30, 40, seed=4)
    (tmp_path / "both.png").write_bytes(encoded(both, ".png"))
    page.set_input_files("#file", tmp_path / "both.png")
    expect(page.locator("#found li")).to_have_count(21)
    expect(page.locator("#said")).to_contain_text("21 photographs found")
    whole = page.url
    assert re.search(r"\?photo=[0-9a-f]{32}$", whole)

    # By mouse.
    frame = page.locator("#photograph").bounding_box()
    scale = frame["width"] / 160
    page.mouse.move(frame["x"] + 60 * scale, frame["y"] + 20 * scale)
    page.mouse.down()
    page.mouse.move(frame["x"] + 90 * scale, frame["y"] + 40 * scale)
    page.mouse.move(frame["x"] + 100 * scale, frame["y"] + 50 * scale)
    # Without the box the same photograph may come first: what counts is the next answer.
    with page.expect_response("**/api/search?*box=60*"):
        page.mouse.up()
    expect(page.locator("#said")).to_contain_text("21 photographs found")
    expect(page).to_have_url(re.compile("box=60%2C20%2C100%2C50"))
    expect(page.locator("#found .file").first).to_have_text("1/4.jpg")
    drawn = page.url

    # By keyboard: a step to the right, and one corner a step further down.
    page.locator("#stage").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    expect(page.locator("#said")).to_have_text("Box from 63, 20 to 103, 53. Enter searches.")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("box=63%2C20%2C103%2C53"))
    page.go_back()
    expect(page).to_have_url(drawn)
    expect(page.get_by_label("Right")).to_have_value("100")

    # By numbers, and wrong ones.
    page.get_by_label("Left").fill("61")
    page.get_by_label("Right").fill("")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("#said")).to_contain_text("The box needs four numbers")
    page.get_by_label("Right").fill("100")
    page.get_by_label("Right").press("Enter")
    expect(page).to_have_url(re.compile("box=61%2C20%2C100%2C50"))

    # Re-ranked, one result beside the query, and on from it.
    with page.expect_response("**/api/search?*rerank=true") as answer:
        page.get_by_role("switch", name="Re-rank").check()
    expect(page).to_have_url(re.compile("rerank=1"))
    ranked = [result["name"] for result in answer.value.json()["results"]]
    expect(page.locator("#found .file")).to_have_text(ranked)
    first = names(page)[0]
    page.locator("#found button").first.click()
    expect(page.locator("#compared-heading")).to_be_focused()
    expect(page.locator("#compared-heading")).to_contain_text(first)
    expect(page.locator("#pair svg .point")).not_to_have_count(0)
    page.get_by_role("button", name="Similarity").click()
    expect(page.locator("#pair img")).to_have_count(2)
    for image in page.locator("#pair img").all():  # The network is compiled for it.
        expect(image).to_have_js_property("complete", True, timeout=120_000)
        assert image.evaluate("image => image.naturalWidth") > 0
    page.get_by_role("button", name="Search on from this").click()
    expect(page.locator("#stage-label")).to_have_text(first)
    expect(page.locator("#found .file").first).to_have_text(first)
    page.go_back()
    expect(page.locator("#compared-heading")).to_contain_text(first)

    # The address is all that one needs.
    page.goto(drawn)
    expect(page.locator("#found .file").first).to_have_text("1/4.jpg")


def test_one_of_the_index_whose_name_is_a_script(page):
    page.get_by_role("button", name="Pick one of the index").press("Enter")
    picked = page.locator("#picks button").filter(has_text="<script>")
    picked.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#stage-label")).to_contain_text("<script>alert(")
    expect(page.locator("#found .file").first).to_contain_text("<script>alert(")
    assert page.locator("main script").count() == 0
    expect(page).to_have_title(re.compile("<script>"))


def test_what_is_no_photograph_is_said(page, tmp_path):
    (tmp_path / "text.jpg").write_text("this is no picture")
    page.set_input_files("#file", tmp_path / "text.jpg")
    expect(page.locator("#said")).to_contain_text("18 bytes are no image")

"""The page of the REST endpoints in a real browser, under its Content-Security-Policy."""

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.live.server import Server


def test_everything_can_be_unfolded(server: Server, open_page: OpenPage) -> None:
    """Every endpoint and schema is shown, and the browser blocks nothing that the page needs."""
    page = open_page(server, "/docs")
    endpoints = page.locator(".opblock")
    paths = server.request("GET", "/openapi.json")[1]["paths"]
    expect(endpoints).to_have_count(sum(len(methods) for methods in paths.values()))
    for number in range(7):
        endpoints.nth(number).get_by_role("button").first.click()
        expect(endpoints.nth(number).locator(".responses-wrapper")).to_be_visible()
    schemas = page.locator("section.models")
    schemas.get_by_text("Stats", exact=True).first.click()
    expect(schemas).to_contain_text("uptime_sec")


def test_an_endpoint_can_be_tried_out(server: Server, open_page: OpenPage) -> None:
    """Swagger UI works as far as its last button, and the browser blocks nothing that it needs."""
    page = open_page(server, "/docs")
    operation = page.locator(".opblock", has_text="/topics").filter(has_text="Create a topic")
    operation.get_by_role("button").first.click()
    operation.get_by_role("button", name="Try it out").click()
    operation.locator("textarea").fill('{"name": "from-the-docs"}')
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table")).to_contain_text("201")
    names = [topic["name"] for topic in server.request("GET", "/topics")[1]["topics"]]
    assert names == ["from-the-docs"]

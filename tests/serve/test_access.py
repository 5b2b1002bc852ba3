"""Who may ask."""

import pytest
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse

from senet_jax.serve.access import COOKIE, Guard

TOKEN = "a-token-for-tests"


def client_of(token=None):
    guarded = Guard(PlainTextResponse("answered"), frozenset({"host.example"}), token)
    return TestClient(guarded, base_url="http://127.0.0.1:8000", follow_redirects=False)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "192.168.1.7", "host.example:80"]
)
def test_own_names(host):
    assert client_of().get("/api/index", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000", "", "[::1", "a@b"],
)
def test_a_name_that_is_bound_anew_is_refused(host):
    answer = client_of().get("/api/index", headers={"host": host})
    assert answer.status_code == 421


def test_a_page_elsewhere_gives_no_photograph():
    client = client_of()
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9000"):
        answer = client.post("/api/photographs", content=b"", headers={"origin": origin})
        assert answer.status_code == 403
    answer = client.post(
        "/api/photographs", content=b"", headers={"origin": "http://127.0.0.1:8000"}
    )
    assert answer.text == "answered"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": "Bearer \xff".encode("latin-1")},
        {"cookie": f"{COOKIE}=wrong"},
        {"cookie": f"{COOKIE}="},
        {"cookie": "\x01=;;;"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/index", "/page.js", "/openapi.json", "/?token=wrong"])
def test_nothing_without_the_token(headers, path):
    answer = client_of(TOKEN).get(path, headers=headers)
    assert answer.status_code == 401 and TOKEN not in answer.text


def test_the_token_in_a_header_or_a_cookie():
    client = client_of(TOKEN)
    headers = {"authorization": f"Bearer {TOKEN}"}
    assert client.get("/api/index", headers=headers).status_code == 200
    answer = client.get(f"/?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "samesite=lax" in answer.headers["set-cookie"].lower()
    assert client.get("/api/index").status_code == 200

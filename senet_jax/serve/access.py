"""Who may ask a server: requests by its own names, with its token where it has one."""

import hmac
import http.cookies
import ipaddress
import urllib.parse
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "senet_jax_token"
_COOKIE_SECONDS = 30 * 24 * 3600
_HEADERS: Mapping[str, str] = {
    "content-security-policy": "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """Lets a request through to an application, or refuses it.

    A page elsewhere can make a browser send requests here, by a name of its own that leads to this
    machine (DNS rebinding) as well. So a request has to call this machine by a number, by
    `localhost` or by the name that was given, and what changes something has to come from its own
    page.

    Args:
        app: the application.
        names: by which this machine may be called besides.
        token: that a request has to bring, in the header `Authorization: Bearer TOKEN` or in a
            cookie; `/?token=TOKEN` sets the cookie. None for no token.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str], token: str | None):
        self._app, self._names, self._token = app, names | {"localhost"}, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        answer = self._refusal(HTTPConnection(scope)) or self._app
        await answer(scope, receive, send_with_headers)

    def _refusal(self, request: HTTPConnection) -> Response | None:
        """What is answered in place of the application, None where it answers."""
        host = request.headers.get("host", "")
        if not self._is_own(host):
            return _refused(421, "this server does not go by that name; use its address")
        if request.scope["method"] not in ("GET", "HEAD") and _comes_from_elsewhere(request, host):
            return _refused(403, "the request comes from a page of another server")
        if self._token is None:
            return None
        given = request.query_params.get("token")
        if request.url.path == "/" and given is not None and self._is_token(given):
            return self._signed_in()
        if any(map(self._is_token, _tokens(request))):
            return None
        return _refused(401, "open the address with the token that senet-jax serve has printed")

    def _is_own(self, host: str) -> bool:
        try:
            name = urllib.parse.urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._names or _is_number(name)

    def _is_token(self, given: str) -> bool:
        assert self._token is not None
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token.encode())

    def _signed_in(self) -> Response:
        """To the page itself, whose address tells the token no longer."""
        response = RedirectResponse("/", 303)
        assert self._token is not None
        response.set_cookie(
            COOKIE, self._token, max_age=_COOKIE_SECONDS, httponly=True, samesite="lax"
        )
        return response


def _comes_from_elsewhere(request: HTTPConnection, host: str) -> bool:
    origin = request.headers.get("origin")
    return origin is not None and urllib.parse.urlsplit(origin).netloc != host


def _tokens(request: HTTPConnection) -> list[str]:
    """The tokens that a request brings."""
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    cookies = http.cookies.SimpleCookie()
    try:
        cookies.load(request.headers.get("cookie", ""))
    except http.cookies.CookieError:
        cookies = http.cookies.SimpleCookie()
    found = [given] * (kind.lower() == "bearer")
    return [*found, cookies[COOKIE].value] if COOKIE in cookies else found


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _refused(status: int, why: str) -> Response:
    return JSONResponse({"detail": why}, status)

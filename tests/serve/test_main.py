import asyncio
import logging
import socket
import threading
import urllib.parse

import pytest

from senet_jax.serve import __main__ as serve
from tests.serve.conftest import listening


class Lines(logging.Handler):
    """What is logged."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


@pytest.mark.parametrize("fault", [None, ValueError("a bug")])
def test_a_bug_is_logged_and_an_answer_that_the_end_cuts_off_is_not(monkeypatch, fault):
    monkeypatch.setattr(serve, "_SECONDS_TO_END", 0)
    asked, logged = threading.Event(), Lines()

    async def app(scope, receive, send):
        if scope["type"] == "http":
            asked.set()
            if fault:
                raise fault
            await asyncio.Event().wait()

    def ask(address):
        parts = urllib.parse.urlsplit(address)
        with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
            connection.recv(1000)

    with listening(app) as address:
        logging.getLogger("uvicorn.error").addHandler(logged)
        client = threading.Thread(target=ask, args=[address])
        client.start()
        assert asked.wait(20)
    logging.getLogger("uvicorn.error").removeHandler(logged)
    client.join()
    assert any("a bug" in line for line in logged.lines) == bool(fault)
    assert bool(logged.lines) == bool(fault)

"""Serves a page on which photographs of an index are searched; senet-jax index makes one.

On the page a photograph is given, a box drawn on it, and what is most similar is shown, with the
points and places that agree. Machines ask the same: /openapi.json describes it. By default the page
is for this machine alone; with another --host whoever has the token may ask. Ctrl-C ends it.
"""

import argparse
import asyncio
import logging
import re
import secrets
import socket
from typing import Any

from senet_jax.system.errors import CommandParser, UserError, reason, run_command, shown
from senet_jax.system.files import local_path
from senet_jax.system.optional import optional_import
from senet_jax.system.process import interruptible
from senet_jax.system.progress import Progress

RERANK = "alpha_qe"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_FEWEST_CHARACTERS = 8
_REQUESTS_AT_ONCE = 200
_SECONDS_TO_END = 3
"""For the answers that are under way."""


def main() -> None:
    """Opens the index, and answers until it is ended."""
    parser = CommandParser(prog="python -m senet_jax.serve", description=__doc__)
    parser.add_argument("index", type=local_path, metavar="INDEX", help="the folder of the index")
    parser.add_argument(
        "--host",
        default=_LOOPBACK[0],
        help="the address to listen on: 0.0.0.0 for all of this machine's (default: %(default)s)",
    )
    parser.add_argument(
        "--port", type=_port, default=8000, help="0 for any that is free (default: %(default)s)"
    )
    parser.add_argument(
        "--token",
        type=_token,
        help="what who asks has to know (default: made and printed, none for this machine alone)",
    )
    parser.add_argument(
        "--rerank",
        default=RERANK,
        metavar="METHOD,...",
        help="the re-ranking that can be switched on, as senet-jax rerank spells it "
        "(default: %(default)s)",
    )
    flags = parser.parse_args()
    with optional_import("serve", "servers"):
        import uvicorn  # noqa: F401

        from senet_jax.serve.access import Guard
        from senet_jax.serve.app import make_app
    # These take seconds to import.
    from senet_jax.index.searcher import Searcher
    from senet_jax.serve.service import Service
    from senet_jax.system.runtime import tune_for_inference, use_compilation_cache

    tune_for_inference()
    use_compilation_cache()
    service = Service(Searcher.open(flags.index), flags.rerank)
    token = flags.token
    if token is None and flags.host not in _LOOPBACK:
        token = secrets.token_urlsafe(16)
    names = frozenset({flags.host, socket.gethostname()})
    Progress.quiet = True
    listener = _listening(flags.host, flags.port)
    with listener, interruptible(lambda: "the index is as it was"):
        port = listener.getsockname()[1]
        host = f"[{flags.host}]" if ":" in flags.host else flags.host
        query = "" if token is None else f"?token={token}"
        if service.searcher.weights.random:
            print("RANDOM WEIGHTS, nothing is learned in them")
        print(
            f"{len(service.photographs):,} photographs: open http://{host}:{port}/{query} "
            "(Ctrl-C ends it)",
            flush=True,
        )
        make_server(Guard(make_app(service), names, token)).run(sockets=[listener])


def make_server(app: Any) -> Any:
    """The server of an application, a `uvicorn.Server`, which logs what is wrong with it."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=_REQUESTS_AT_ONCE,
        timeout_graceful_shutdown=_SECONDS_TO_END,
        ws="none",
    )
    logging.getLogger("uvicorn.error").addFilter(_is_fault)
    return uvicorn.Server(config)


def _is_fault(record: logging.LogRecord) -> bool:
    """Whether a line of the log tells more than that the end cut off an answer."""
    kind = record.exc_info[0] if record.exc_info else None
    is_end = kind is asyncio.CancelledError or record.getMessage().startswith("Cancel ")
    return not is_end


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{shown(text)} is no port; give 0 to 65535")
    return int(text)


def _token(text: str) -> str:
    if len(text) < _FEWEST_CHARACTERS or not re.fullmatch(r"[\w.~-]+", text, re.ASCII):
        raise argparse.ArgumentTypeError(
            f"a token has {_FEWEST_CHARACTERS} letters, digits or signs of -._~ at least"
        )
    return text


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        UserError: the address is none of this machine, or is taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or reason(error)
        raise UserError(
            f"cannot listen on {shown(host)}, port {port}: {why}; choose another --host or --port"
        ) from error


if __name__ == "__main__":
    run_command(main)

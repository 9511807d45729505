"""Serve a page in a thread."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from realis.core.errors import InputError, RunError
from realis.core.log import logger
from realis.serving.guard import LOOPBACK, App, Guard
from realis.serving.limits import BACKLOG, HEAD, LimitedBody, LimitedConnection

START = 20.0  # seconds that a server may take to start


@contextmanager
def serve(app: App, name: str, host: str, port: int) -> Iterator[str]:
    """Serve ``app`` in a thread, guarded (:class:`~realis.serving.guard.Guard`) and within the limits of
    :mod:`realis.serving.limits`; yield its address.

    Args:
        app: an ASGI application.
        name: of the page, for messages; its address is that of ``--NAME.host`` and ``--NAME.port``.
        host: an address of this machine, or a name of it.
        port: 0: one that is free.

    Raises:
        InputError: it cannot be served there.
        RunError: the server does not start.
    """
    if host not in LOOPBACK:
        logger.warning("%s: served at %s: whoever can reach it can see it and act on it", name, host)
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family)
    except OSError as error:
        raise InputError(
            f"--{name}.host {host} --{name}.port {port}: the page cannot be served there ({error.strerror or error}); "
            "choose another port, or 0 for one that is free"
        ) from error
    settings = uvicorn.Config(
        Guard(LimitedBody(app), host), http=LimitedConnection, h11_max_incomplete_event_size=HEAD, backlog=BACKLOG,
        headers=[("connection", "close")], loop="asyncio", ws="none", log_level="error", access_log=False,
        server_header=False, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        until = time.monotonic() + START
        while not server.started:
            if not thread.is_alive() or time.monotonic() > until:
                raise RunError(f"the server of the {name} page does not start within {START:g} seconds; try again")
            time.sleep(0.02)
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()

"""Who may ask for a page of this machine: all else is refused before the page sees it."""

import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# A page needs nothing from elsewhere, may not be framed, and runs no script but its own files.
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """An ASGI application in front of another: answers 403 to what :func:`refusal` refuses.

    Args:
        app: the other one.
        host: where it is served.
    """

    def __init__(self, app: App, host: str) -> None:
        self.app, self.host = app, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":  # no page uses one
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif reason := refusal(scope, self.host):
            await refuse(with_headers(send), 403, reason)
        else:
            await self.app(scope, receive, with_headers(send))


def with_headers(send: Send) -> Send:
    """Return ``send`` that adds :data:`HEADERS` to an answer."""
    more = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

    async def sends(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = message | {"headers": [*message.get("headers", []), *more]}
        await send(message)

    return sends


async def refuse(send: Send, status: int, reason: str) -> None:
    """Answer with ``status`` and one line of text."""
    body = f"refused: {reason}\n".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def refusal(scope: Scope, host: str) -> str:
    """Return why a request of HTTP is refused; empty if it is not.

    A page from elsewhere that is open in the same browser can send requests here. They tell where they come from
    (``Origin``, ``Sec-Fetch-Site``), and, if that page has had its own name point here, by which name they call this
    machine (``Host``).
    """
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        if key in headers and key in ("host", "origin"):
            return f"two headers {key}"
        headers[key] = value.decode("latin-1")
    name = host_name(headers.get("host", ""))
    if not is_ours(name, host):
        return f"the host {name!r} is not this one"
    origin = headers.get("origin", "")
    if origin and origin not in (f"http://{headers['host']}", f"https://{headers['host']}"):
        return f"a request of {origin}"
    is_link = scope["path"] == "/" and scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not is_link:
        return "a request of another site"
    return ""


def host_name(header: str) -> str:
    """Return the host of a ``Host`` header, without its port; empty if it is none.

    >>> host_name("[::1]:7860"), host_name("localhost")
    ('::1', 'localhost')
    """
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def is_ours(name: str, host: str) -> bool:
    """Return whether a machine that serves at ``host`` can rightly be called ``name``: never by a name that is someone
    else's to give. The port may be another: that of a tunnel."""
    if name in LOOPBACK or name == host.lower():
        return True
    if host in LOOPBACK:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == socket.gethostname().lower()
    return True

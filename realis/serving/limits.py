"""What a client can use up: bytes of a body, connections, and time."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from realis.serving.guard import App, Receive, Scope, Send, refuse

BODY = 64 * 1024  # bytes
HEAD = 32 * 1024  # bytes of request line and headers: with the cookies of all that this machine serves, by any port
CONNECTIONS = 100  # at once; a browser opens six to a page
BACKLOG = 64  # connections that are accepted at a time: so many more than CONNECTIONS may be open for a moment
PATIENCE = 10.0  # seconds that the headers may take to come, and then the body


class LimitedBody:
    """An ASGI application in front of another: reads the body of a request, at most :data:`BODY` bytes within
    :data:`PATIENCE` seconds, before the other sees the request; answers 413 or 408 to what is more.

    Args:
        app: the other one.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            body = await asyncio.wait_for(read_body(scope, receive), PATIENCE)
        except TimeoutError:
            await refuse(send, 408, f"the body took more than {PATIENCE:g} seconds")
        except ValueError as error:
            await refuse(send, 413, str(error))
        except ConnectionError:
            return  # nobody is there to be answered
        else:
            await self.app(scope, receive_first({"type": "http.request", "body": body}, receive), send)


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """Return the body of a request.

    Raises:
        ValueError: it is longer than :data:`BODY`; no more than that is read, and nothing if its length is declared.
        ConnectionError: the client has gone.
    """
    too_long = f"the body has more than {BODY} bytes"
    # The server has checked that there is one length at most, and that it is a number.
    if int(dict(scope["headers"]).get(b"content-length", 0)) > BODY:
        raise ValueError(too_long)
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > BODY:
            raise ValueError(too_long)
    return body


def receive_first(message: Any, receive: Receive) -> Receive:
    """Return ``receive`` that gives ``message`` before all others."""
    waiting = [message]

    async def receives() -> Any:
        return waiting.pop() if waiting else await receive()

    return receives


class LimitedConnection(H11Protocol):
    """A connection of uvicorn's, closed at once where there are :data:`CONNECTIONS`, and where no request has come in
    :data:`PATIENCE` seconds.

    ``limit_concurrency`` of uvicorn answers 503 but leaves connections open, each with a file descriptor, until the
    process has none left for its own files; and it has no limit on the time of headers. Every answer closes its
    connection (:func:`realis.serving.server.serve`), so that the time from its beginning is that of the headers.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.abort()
        else:
            self.loop.call_later(PATIENCE, self.close_without_request)

    def close_without_request(self) -> None:
        """Close the connection if the headers of a request have not come."""
        if self.cycle is None:
            self.transport.abort()

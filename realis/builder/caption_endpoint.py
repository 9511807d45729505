"""Captions from any endpoint of the OpenAI form (``/v1/chat/completions``), such as vLLM's."""

import base64
import http.client
import io
import json
import random
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import IO, Any

import cv2

from realis.builder.captioner import CaptionsConfig, NoCaption, Sample
from realis.core.errors import InputError, RunError, file_error
from realis.core.units import count

JPEG_QUALITY = 92
SHOWN = 2000  # bytes of a reply in which what is shown of it is looked for
BLOCK = 2**16  # bytes of a request that are sent at a time
CHECKED_FOR = 20.0  # seconds
LONGEST_REPLY = 2**22  # bytes; a caption has a few thousand
LONGEST_WAIT, LONGEST_PAUSE = 60.0, 600.0  # seconds: between retries of our own, and if the server asks for it
MAY_PASS = (408, 409, 425, 429)  # and 5xx: ask again
ABOUT_THE_CLIP = (400, 413, 415, 422)  # too long, not allowed: ask the next


class _PassingError(Exception):
    """Of a request that may succeed if it is made again; ``pause`` is how many seconds the server wants it to wait."""

    def __init__(self, message: str, pause: float | None = None) -> None:
        super().__init__(message)
        self.pause = pause


class _MalformedReplyError(_PassingError):
    """An answer in which there is no caption."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Does not carry the key to another server."""

    def redirect_request(self, *_: object) -> None:
        return None


class _TimedReader(io.RawIOBase):
    """What a socket receives until ``deadline``, in seconds of ``time.monotonic``. The socket's own time-out begins anew
    with every byte: a server that sends one now and then would hold a request up for ever."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(seconds_until(self._deadline))
        return self._raw.readinto(buffer)  # pyright: ignore[reportAttributeAccessIssue] - a SocketIO

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedConnection(http.client.HTTPConnection):
    """A connection for one exchange, all of which has its ``timeout`` together: the request, and of the reply any
    ``100 Continue``, headers, body."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._deadline = time.monotonic() + float(self.timeout or 0)

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(seconds_until(self._deadline))  # for the handshake of TLS

    def send(self, data: bytes) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - nothing else is sent here
        for start in range(0, len(data), BLOCK):
            if self.sock:
                self.sock.settimeout(seconds_until(self._deadline))
            super().send(data[start : start + BLOCK])

    def response_class(  # pyright: ignore[reportIncompatibleVariableOverride] - called as a class is
        self, sock: socket.socket, *given: Any, **named: Any
    ) -> http.client.HTTPResponse:
        """The reply of this exchange."""
        reply = http.client.HTTPResponse(sock, *given, **named)
        reply.fp.close()
        reply.fp = io.BufferedReader(_TimedReader(sock, self._deadline))
        return reply


class _TimedSecureConnection(http.client.HTTPSConnection, _TimedConnection):
    """The same over TLS."""


class _TimedHandler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Opens such connections."""

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_TimedConnection, request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_TimedSecureConnection, request)


class EndpointCaptioner:
    """Asks an endpoint, one clip a request. :meth:`caption` may be called from several threads.

    Args:
        config: of the captions.

    Raises:
        InputError: the key cannot be read.
    """

    together = 1

    def __init__(self, config: CaptionsConfig) -> None:
        self.config = config
        self.calls = config.requests
        self.requests = self.tokens = 0
        self.counts_tokens = True
        url = config.url.rstrip("/")
        self.url = url if url.endswith("/chat/completions") else f"{url}/chat/completions"
        self.key = read_key(Path(config.api_key_file)) if config.api_key_file else ""
        host = urllib.parse.urlsplit(self.url).hostname or ""
        proxies = {} if host == "localhost" or host.startswith("127.") or host == "::1" else None
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies), _NoRedirect, _TimedHandler)
        self._lock, self._stopped = threading.Lock(), threading.Event()

    def caption(self, samples: list[Sample]) -> list[str]:
        """One caption for each sample, each a request.

        Raises:
            NoCaption: the endpoint refuses the clip, or does not answer with a caption.
            InputError: the endpoint cannot be used so, or the budget is spent.
            RunError: it cannot be reached, or fails again and again.
        """
        return [self._caption(sample) for sample in samples]

    def check(self) -> None:
        """Whether anybody is there; what is answered does not matter.

        Raises:
            RunError: nobody is.
        """
        try:
            self._opener.open(self.url.removesuffix("/chat/completions") + "/models", timeout=CHECKED_FOR).close()
        except urllib.error.HTTPError as answer:
            answer.close()
        except (OSError, http.client.HTTPException) as error:
            raise RunError(f"--captions.url: {self.url} cannot be reached ({error}); start the server first") from None

    def stop(self) -> None:
        """Ask nothing again."""
        self._stopped.set()

    def summary(self) -> str:
        """Requests and tokens so far."""
        tokens = count(self.tokens, "token") if self.counts_tokens else "unknown tokens"
        return f"{count(self.requests, 'request')}, {tokens}"

    def _caption(self, sample: Sample) -> str:
        body = request_body(sample, self.config)
        for attempt in range(self.config.retries + 1):
            self._spend()
            try:
                return self._text(self._post(body))
            except _PassingError as error:
                trouble = error
            if attempt < self.config.retries and self._stopped.wait(self._pause(attempt, trouble)):
                raise RunError(f"captions: stopped while {self.url} was asked again: {trouble}")
        if isinstance(trouble, _MalformedReplyError):
            raise NoCaption("malformed reply", str(trouble))
        raise RunError(
            f"captions: {self.url} failed {self.config.retries + 1} times, the last time with: {trouble}; "
            "what was captioned is kept: run again to go on"
        )

    def _spend(self) -> None:
        """Count a request that is about to be made."""
        config = self.config
        with self._lock:
            if config.budget_tokens and not self.counts_tokens:
                raise InputError(
                    f"--captions.budget-tokens: {self.url} does not say how many tokens it uses; give "
                    "--captions.budget-requests instead"
                )
            used_up = [
                f"{limit} {what} (--captions.budget-{what})"
                for what, used, limit in (
                    ("requests", self.requests, config.budget_requests),
                    ("tokens", self.tokens, config.budget_tokens),
                )
                if limit and used >= limit
            ]
            if used_up:
                raise InputError(
                    f"captions: the budget of {' and '.join(used_up)} is used up; what was captioned is kept: run "
                    "again, with a new budget, to go on"
                )
            self.requests += 1

    def _pause(self, attempt: int, trouble: _PassingError) -> float:
        """Seconds until the next attempt: what the server asks for, or about twice as long each time."""
        if trouble.pause is None:
            return min(LONGEST_WAIT, self.config.retry_wait * 2**attempt) * random.uniform(0.75, 1.25)
        if trouble.pause > LONGEST_PAUSE:
            raise RunError(
                f"captions: {self.url} asks to wait {trouble.pause:.0f} seconds ({trouble}); what was captioned is "
                "kept: run again then to go on"
            )
        return trouble.pause

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json", "User-Agent": "realis"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.url, body, headers)
        try:
            with self._opener.open(request, timeout=self.config.timeout) as reply:
                return read_all(reply)
        except urllib.error.HTTPError as error:
            raise self._judged(error) from None
        except (OSError, http.client.HTTPException) as error:
            raise _PassingError(str(error) or type(error).__name__) from None

    def _judged(self, error: urllib.error.HTTPError) -> Exception:
        """What an answer with an HTTP status other than 200 means for the clip and the run."""
        try:
            with error:
                said = self._shown(error.read(SHOWN))[:300]
        except (OSError, http.client.HTTPException):
            said = ""
        answer = f"HTTP {error.code} {error.reason}{': ' if said else ''}{said}"
        if error.code in MAY_PASS or error.code >= 500:
            return _PassingError(answer, retry_after(error.headers.get("Retry-After", "")))
        if error.code in ABOUT_THE_CLIP:
            return NoCaption("refused by the endpoint", answer)
        return InputError(
            f"captions: {self.url} answers {answer}; check --captions.url, --captions.model and --captions.api-key-file"
        )

    def _shown(self, reply: bytes) -> str:
        """The beginning of a reply in one line, for logs and ledgers: without the key, which it may repeat."""
        said = " ".join(reply.decode(errors="replace").split())
        return said.replace(self.key, "***") if self.key else said

    def _text(self, reply: bytes) -> str:
        """The caption in a reply; its tokens are counted even if there is none."""
        try:
            content = json.loads(reply)
            self._count(content)
            text = content["choices"][0]["message"]["content"]
            text.encode()  # half a surrogate pair could not be written
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            began = self._shown(reply[:SHOWN])[:80]
            raise _MalformedReplyError(f"{type(error).__name__} in {began!r}") from None
        if not text.strip():
            raise _MalformedReplyError("the content is empty")
        return text

    def _count(self, content: dict) -> None:
        usage = content.get("usage")
        used = usage.get("total_tokens") if isinstance(usage, dict) else None
        known = type(used) is int and used > 0  # fewer would give back what the budget has spent
        with self._lock:
            self.counts_tokens = self.counts_tokens and known
            self.tokens += used if used and known else 0


def read_key(file: Path) -> str:
    """The API key in a file.

    Raises:
        InputError: there is none; what is there instead is not shown.
    """
    try:
        key = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not plain ASCII"
        raise file_error(f"--captions.api-key-file: {file} cannot be read as a key ({why})", error) from None
    if not key or any(character.isspace() or not character.isprintable() for character in key):
        raise InputError(f"--captions.api-key-file: {file} holds no key; wanted one line with nothing else")
    return key


def request_body(sample: Sample, config: CaptionsConfig) -> bytes:
    """The request for one clip: its frames as JPEG, and the prompt."""
    told = f"You see {count(len(sample.frames), 'frame')} of one video, {1 / sample.rate:.2f} seconds apart. {config.prompt}"
    images = []
    for frame in sample.frames:
        _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        data = base64.b64encode(jpeg.tobytes()).decode()
        images.append({"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}})
    content = [*images, {"type": "text", "text": told}]
    request = {
        "model": config.model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": config.max_tokens,
        "temperature": 0,
    }
    return json.dumps(request).encode()


def read_all(reply: IO[bytes]) -> bytes:
    """A whole reply.

    Raises:
        _MalformedReplyError: it is far too long.
    """
    content = reply.read(LONGEST_REPLY + 1)
    if len(content) > LONGEST_REPLY:
        raise _MalformedReplyError(f"more than {LONGEST_REPLY} bytes")
    return content


def seconds_until(deadline: float) -> float:
    """How long it is until ``deadline``, in seconds of ``time.monotonic``.

    Raises:
        TimeoutError: it has passed.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def retry_after(header: str) -> float | None:
    """The seconds that a ``Retry-After`` header asks for, given as a number or as a date; ``None`` if it does not say.

    >>> retry_after("1.5"), retry_after("soon")
    (1.5, None)
    """
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None

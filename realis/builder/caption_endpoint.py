"""Captions from any endpoint of the OpenAI form (``/v1/chat/completions``), such as vLLM's."""

import asyncio
import base64
import json
import random
import ssl
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import cv2
import httpx2

from realis.builder.captioner import CaptionsConfig, NoCaption, Sample
from realis.core.errors import InputError, RunError, file_error
from realis.core.units import count

JPEG_QUALITY = 92
SHOWN = 2000  # bytes of a reply in which what is shown of it is looked for
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


class EndpointCaptioner:
    """Asks an endpoint, one clip a request. :meth:`caption` may be called from several threads.

    Args:
        config: of the captions.

    Raises:
        InputError: the key cannot be read, or the URL or a proxy of the environment cannot be used.
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
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._tls = ssl.create_default_context()
        try:
            address = httpx2.URL(self.url)
            if not address.host or (address.port or 0) > 65535:
                raise httpx2.InvalidURL("there can be no such host or port")
            on_this_machine = address.host in ("localhost", "::1") or address.host.startswith("127.")
            self._through_proxies = not on_this_machine
            self._open_client()  # connects to nothing yet, but takes the proxies of the environment
        except httpx2.InvalidURL as error:
            raise InputError(f"--captions.url: got {config.url!r}, wanted http://HOST:PORT/v1 ({error})") from None
        except (ValueError, ImportError) as error:
            raise InputError(f"captions: a proxy that the environment names cannot be used: {error}") from None

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
            asyncio.run(self._reach(self.url.removesuffix("/chat/completions") + "/models"))
        except _PassingError as error:
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

    def _open_client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            headers={"User-Agent": "realis", "Accept-Encoding": "identity"},
            trust_env=self._through_proxies,
            verify=self._tls,
            timeout=None,  # _reply has one for all of an exchange
        )

    @asynccontextmanager
    async def _reply(self, seconds: float, *request: str, **given: Any) -> AsyncIterator[httpx2.Response]:
        """The reply to a request, to be read before ``seconds`` have passed since the request began. A time-out of
        httpx2's own begins anew with every byte: a server that sends one now and then would hold a request up for ever.
        No redirect is followed: it would carry the key to another server.

        Raises:
            _PassingError: the server cannot be reached, is too slow, or breaks off.
        """
        try:
            async with (
                asyncio.timeout(seconds),
                self._open_client() as client,
                client.stream(*request, **given) as reply,
            ):
                yield reply
        except TimeoutError:
            raise _PassingError(f"no whole reply within {seconds:g} seconds") from None
        except httpx2.HTTPError as error:
            raise _PassingError(self._shown(first_cause(error))) from None

    async def _reach(self, url: str) -> None:
        async with self._reply(CHECKED_FOR, "GET", url):
            pass

    async def _exchange(self, body: bytes) -> tuple[httpx2.Response, bytes]:
        """The reply to a request and its body, which ends where it is too long. The status of an error says enough: it
        is returned with what came of its body."""
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        reply, content = None, bytearray()
        try:
            async with self._reply(self.config.timeout, "POST", self.url, content=body, headers=headers) as reply:
                async for block in reply.aiter_raw():  # as it was sent: what is unpacked has any length
                    content += block
                    if len(content) > (LONGEST_REPLY if reply.is_success else SHOWN):
                        break
        except _PassingError:
            if reply is None or reply.is_success:
                raise
        return reply, bytes(content)

    def _post(self, body: bytes) -> bytes:
        reply, content = asyncio.run(self._exchange(body))
        if not reply.is_success:
            raise self._judged(reply, content)
        if len(content) > LONGEST_REPLY:
            raise _MalformedReplyError(f"more than {LONGEST_REPLY} bytes")
        return content

    def _judged(self, reply: httpx2.Response, content: bytes) -> Exception:
        """What an answer with an HTTP status other than 2xx means for the clip and the run."""
        status = reply.status_code
        said = self._shown(content[:SHOWN].decode(errors="replace"))[:300]
        answer = f"HTTP {status} {self._shown(reply.reason_phrase)}{': ' if said else ''}{said}"
        if status in MAY_PASS or status >= 500:
            return _PassingError(answer, retry_after(reply.headers.get("Retry-After", "")))
        if status in ABOUT_THE_CLIP:
            return NoCaption("refused by the endpoint", answer)
        return InputError(
            f"captions: {self.url} answers {answer}; check --captions.url, --captions.model and --captions.api-key-file"
        )

    def _shown(self, said: str) -> str:
        """What a server said in one line, for logs and ledgers: without the key, which it may repeat."""
        said = " ".join(said.split())
        return said.replace(self.key, "***") if self.key else said

    def _text(self, reply: bytes) -> str:
        """The caption in a reply; its tokens are counted even if there is none."""
        try:
            content = json.loads(reply)
            self._count(content)
            text = content["choices"][0]["message"]["content"]
            text.encode()  # half a surrogate pair could not be written
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            began = self._shown(reply[:SHOWN].decode(errors="replace"))[:80]
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


def first_cause(error: BaseException) -> str:
    """The error that led to ``error``: httpx2's own says of a connection only that all attempts to make it failed."""
    while cause := error.__cause__ or error.__context__:  # httpcore2 raises some of its errors "from None"
        error = cause
    if isinstance(error, BaseExceptionGroup):  # one for each address of the host
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


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

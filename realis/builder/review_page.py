"""The review page: Gradio, served on this machine."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realis.builder.clip import Clip, printable
from realis.builder.review_guard import LOOPBACK, Guard
from realis.builder.review_html import card_html, header_html
from realis.builder.review_previews import Previews
from realis.builder.review_queue import REASONS, ReviewQueue
from realis.builder.verdicts import DROP, KEEP
from realis.core.errors import InputError, RunError
from realis.core.log import logger

if TYPE_CHECKING:
    from fastapi import FastAPI
    from gradio import Blocks

HERE = Path(__file__).parent
LONGEST_NAME = 40
REFRESH = 3.0  # seconds between two looks at what the others have done
START = 20.0  # seconds that a server may take to start


@dataclass(frozen=True)
class TabState:
    """State of one browser tab: who reviews in it (empty: not asked yet), and which clip it shows."""

    session: str
    reviewer: str
    clip: str

    @classmethod
    def from_browser(cls, state: Any, session: str) -> "TabState":
        """Return the state that the browser has stored and sends along, which may be anything."""
        state = state if isinstance(state, dict) else {}
        reviewer = " ".join(printable(str(state.get("reviewer", ""))).split())[:LONGEST_NAME]
        return cls(session, reviewer, str(state.get("clip", "")))


class Page:
    """What the page does when something is pressed; the methods give what :meth:`view` does.

    The browser sends along which clip it shows: a key that is pressed twice says the same of one clip twice, and nothing
    of the next, which nobody has seen yet.
    """

    def __init__(self, queue: ReviewQueue, previews: Previews) -> None:
        self.queue, self.previews = queue, previews

    def resume(self, tab: TabState) -> list[Any]:
        """The page is opened, or loaded again."""
        return self.view(tab, self.queue.show(tab.session, tab.clip))

    def decide(self, verdict: str, reason: str, tab: TabState) -> list[Any]:
        """A verdict on the clip that is shown."""
        return self.view(tab, self.queue.decide(tab.session, tab.reviewer, tab.clip, verdict, reason))

    def undo(self, tab: TabState) -> list[Any]:
        """The reviewer's last verdict is taken back."""
        return self.view(tab, self.queue.undo(tab.session, tab.reviewer, tab.clip))

    def step(self, by: int, tab: TabState) -> list[Any]:
        """The clip ``by`` places on is shown."""
        return self.view(tab, self.queue.step(tab.session, tab.clip, by))

    def view(self, tab: TabState, clip: Clip) -> list[Any]:
        """What the browser stores, the header, whether the name is asked for, whether the review is shown, the clip."""
        import gradio

        place, total = self.queue.places[clip.name], len(self.queue.clips)
        card = card_html(clip, place, total, self.queue.opinion(clip), self.previews.crop, tab.reviewer)
        self.previews.prepare(clip)
        self.previews.prepare(self.queue.after(tab.session, clip.name))
        return [
            {"reviewer": tab.reviewer, "clip": clip.name}, self.header(tab),
            gradio.update(visible=False), gradio.update(visible=True), card,
        ]  # fmt: skip

    def welcome(self, tab: TabState) -> list[Any]:
        """As :meth:`view`, where a name is still to be given."""
        import gradio

        stored = {"reviewer": "", "clip": tab.clip}
        return [stored, self.header(tab), gradio.update(visible=True), gradio.update(visible=False), ""]

    def header(self, tab: TabState) -> str:
        """How far the review is, now."""
        self.queue.stay(tab.session, tab.clip)
        return header_html(self.queue.progress())


def make_blocks(page: Page) -> "Blocks":
    """The page in Gradio's components."""
    gradio = import_gradio()
    from gradio import Request  # handlers are known by their annotations

    stored = gradio.BrowserState({"reviewer": "", "clip": ""}, storage_key="realis-review", secret="not a secret")
    with gradio.Blocks(title="realis: review", analytics_enabled=False) as blocks:
        stored.render()
        header = gradio.HTML(elem_id="header")
        with gradio.Column(visible=False, elem_id="welcome") as welcome:
            name = gradio.Textbox(label="Your name", info="Your verdicts are stored under it.", elem_id="name")
            begin = gradio.Button("Begin", variant="primary", elem_id="begin")
        with gradio.Column(visible=False, elem_id="review") as review:
            card = gradio.HTML(elem_id="card")
            with gradio.Row(elem_id="verdicts"):
                buttons = make_buttons(page)
    view = [stored, header, welcome, review, card]

    def answer(act: Callable[[TabState], list[Any]]) -> Callable[..., list[Any]]:
        def handler(state: Any, request: Request) -> list[Any]:
            tab = TabState.from_browser(state, str(request.session_hash))
            try:
                return act(tab) if tab.reviewer else page.welcome(tab)
            except (InputError, RunError) as error:
                raise gradio.Error(str(error), duration=None) from error

        return handler

    def named(name: str, state: Any, request: Request) -> list[Any]:
        clip = TabState.from_browser(state, "").clip
        return answer(page.resume)({"reviewer": name, "clip": clip}, request)

    def left(state: Any, request: Request) -> list[Any]:
        return page.welcome(TabState.from_browser(state, str(request.session_hash)))

    def now(state: Any, request: Request) -> str:
        return page.header(TabState.from_browser(state, str(request.session_hash)))

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    with blocks:
        blocks.load(answer(page.resume), [stored], view, **quiet)
        gradio.on([begin.click, name.submit], named, [name, stored], view, **quiet)
        for button, act in buttons:
            handler = answer(act) if act else left
            button.click(handler, [stored], view, **quiet)
        gradio.Timer(REFRESH).tick(now, [stored], [header], **quiet)
    return blocks


def make_buttons(page: Page) -> list[tuple[Any, Callable[[TabState], list[Any]] | None]]:
    """The buttons, in the order in which they are shown, with what each does; the one without is for leaving."""
    import gradio

    known: list[tuple[str, str, Callable[[TabState], list[Any]] | None]] = [
        ("back", "\u2190", partial(page.step, -1)),
        ("keep", "Keep  K", partial(page.decide, KEEP, "")),
        ("drop", "Drop  D", partial(page.decide, DROP, "")),
        *((f"reason-{i}", f"{reason}  {i}", partial(page.decide, DROP, reason)) for i, reason in enumerate(REASONS, 1)),
        ("undo", "Undo  U", page.undo),
        ("forward", "\u2192", partial(page.step, 1)),
        ("leave", "other name", None),
    ]  # fmt: skip
    return [(gradio.Button(label, elem_id=name, size="sm", min_width=0), act) for name, label, act in known]


def import_gradio() -> Any:
    """The package.

    Raises:
        InputError: it is not installed.
    """
    try:
        import gradio
    except ImportError as error:
        raise InputError(
            "review: got no Gradio, wanted it for the page on which clips are looked at: pip install 'realis[ui]', or keep "
            "every clip unseen with --review.auto-accept"
        ) from error
    return gradio


def make_app(queue: ReviewQueue, previews: Previews, host: str) -> Guard:
    """The page and its previews as one guarded ASGI application.

    Gradio serves no files (no ``allowed_paths``), takes none, and documents nothing: see :data:`review_guard.GET`.

    Raises:
        InputError: Gradio is not installed.
    """
    gradio = import_gradio()
    from fastapi import FastAPI

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    add_previews(app, previews)
    fonts = ["system-ui", "sans-serif"]  # of the browser: others would be fetched
    gradio.mount_gradio_app(
        app, make_blocks(Page(queue, previews)), path="/", footer_links=[], run_history=False, allowed_paths=[],
        ssr_mode=False, pwa=False, mcp_server=False, enable_monitoring=False, max_file_size=0,
        theme=gradio.themes.Base(font=fonts, font_mono=["monospace"]),
        css=(HERE / "review_page.css").read_text(),
        head=f"<script>{(HERE / 'review_page.js').read_text()}</script>",
    )  # fmt: skip
    return Guard(app, host)


def add_previews(app: "FastAPI", previews: Previews) -> None:
    """Routes to the previews, by the digest of a clip; and one by which the page knows that it is served."""
    from fastapi import HTTPException
    from fastapi.responses import FileResponse, Response

    def made(make: Callable[..., Any], digest: str, *place: int) -> Any:
        try:
            return make(digest, *place)
        except KeyError:
            raise HTTPException(404, "no such clip") from None
        except (InputError, RunError) as error:
            raise HTTPException(500, str(error)) from None

    @app.get("/alive")
    def alive() -> bool:
        return True

    @app.get("/previews/{digest}/film.mp4")
    def film(digest: str) -> FileResponse:
        return FileResponse(made(previews.film, digest), media_type="video/mp4")

    @app.get("/previews/{digest}/part.png")
    def part(digest: str, top: int, left: int, side: int) -> Response:
        return Response(made(previews.part, digest, top, left, side), media_type="image/png")

    @app.get("/previews/{digest}/places.json")
    def places(digest: str) -> dict[str, Any]:
        still = made(previews.still, digest)
        return {"frame": still.number, "places": still.places}


@contextmanager
def serve(app: Guard, host: str, port: int) -> Iterator[str]:
    """Serve ``app`` in a thread; gives its address.

    Args:
        port: 0: one that is free.

    Raises:
        InputError: it cannot be served there.
    """
    import uvicorn

    if host not in LOOPBACK:
        logger.warning("review: served at %s: whoever can reach it can see the clips and decide", host)
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family)
    except OSError as error:
        raise InputError(
            f"--review.host {host} --review.port {port}: the page cannot be served there ({error.strerror or error}); "
            "choose another port, or 0 for one that is free"
        ) from error
    settings = uvicorn.Config(
        app, log_level="error", access_log=False, ws="none", server_header=False, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        until = time.monotonic() + START
        while not server.started:
            if not thread.is_alive() or time.monotonic() > until:
                raise RuntimeError("the review page's server does not start")
            time.sleep(0.02)
        name = f"[{host}]" if ":" in host else host
        yield f"http://{name}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()

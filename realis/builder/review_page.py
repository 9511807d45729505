"""The review page: what it does when something is pressed, and its routes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException
from fastapi.responses import FileResponse, HTMLResponse, Response

from realis.builder.clip import Clip, printable
from realis.builder.review_html import card_html, header_html, page_html
from realis.builder.review_previews import Previews
from realis.builder.review_queue import REASONS, ReviewQueue
from realis.builder.verdicts import DROP, KEEP
from realis.core.errors import InputError, RunError
from realis.serving.app import page_app

LONGEST_NAME = 40
REFRESH = 3.0  # seconds between two looks at what the others have done
BUTTONS = [
    ("back", "\u2190"),
    ("keep", "Keep  K"),
    ("drop", "Drop  D"),
    *((f"reason-{i}", f"{reason}  {i}") for i, reason in enumerate(REASONS, 1)),
    ("undo", "Undo  U"),
    ("forward", "\u2192"),
    ("leave", "other name"),
]


@dataclass(frozen=True)
class TabState:
    """State of one browser tab: who reviews in it (empty: not asked yet), and which clip it shows."""

    session: str
    reviewer: str
    clip: str

    @classmethod
    def from_browser(cls, state: Any) -> "TabState":
        """Return the state that the browser has stored and sends along, which may be anything."""
        state = state if isinstance(state, dict) else {}
        reviewer = " ".join(printable(str(state.get("reviewer", ""))).split())[:LONGEST_NAME]
        return cls(str(state.get("session", "")), reviewer, str(state.get("clip", "")))


class Page:
    """What the page does when something is pressed.

    The browser sends along which clip it shows: a key that is pressed twice says the same of one clip twice, and nothing
    of the next, which nobody has seen yet.
    """

    def __init__(self, queue: ReviewQueue, previews: Previews) -> None:
        self.queue, self.previews = queue, previews
        self.actions: dict[str, Callable[[TabState], Clip]] = {
            "show": lambda tab: queue.show(tab.session, tab.clip),  # the page is opened, or loaded again
            "keep": partial(self.decide, KEEP, ""),
            "drop": partial(self.decide, DROP, ""),
            **{f"reason-{i}": partial(self.decide, DROP, reason) for i, reason in enumerate(REASONS, 1)},
            "undo": lambda tab: queue.undo(tab.session, tab.reviewer, tab.clip),
            "back": lambda tab: queue.step(tab.session, tab.clip, -1),
            "forward": lambda tab: queue.step(tab.session, tab.clip, 1),
        }

    def decide(self, verdict: str, reason: str, tab: TabState) -> Clip:
        """Write a verdict on the clip that is shown, and return the next."""
        return self.queue.decide(tab.session, tab.reviewer, tab.clip, verdict, reason)

    def act(self, name: str, tab: TabState) -> dict[str, str]:
        """Do one of ``actions``; return what the browser stores and shows: reviewer, clip, header and card. Without a
        reviewer nothing is done, and there is no card: the name is still to be given.

        Raises:
            KeyError: no such action.
            InputError, RunError: a verdict cannot be written.
        """
        action = self.actions[name]
        if not tab.reviewer:
            return {"reviewer": "", "clip": "", "header": self.header(tab), "card": ""}
        clip = action(tab)
        place, total = self.queue.places[clip.name], len(self.queue.clips)
        card = card_html(clip, place, total, self.queue.opinion(clip), self.previews.crop, tab.reviewer)
        self.previews.prepare(clip)
        self.previews.prepare(self.queue.after(tab.session, clip.name))
        return {"reviewer": tab.reviewer, "clip": clip.name, "header": self.header(tab), "card": card}

    def header(self, tab: TabState) -> str:
        """Return how far the review is, now; the tab is heard from."""
        self.queue.stay(tab.session, tab.clip)
        return header_html(self.queue.progress())


def make_app(queue: ReviewQueue, previews: Previews) -> FastAPI:
    """Return the page, its actions and its previews as one application; it knows no other paths."""
    app = page_app(Path(__file__).parent, "review_page.css", "review_page.js")
    add_actions(app, Page(queue, previews))
    add_previews(app, previews)
    return app


def answered(do: Callable[..., Any], *given: Any) -> Any:
    """Return what ``do`` returns, or answer why it cannot.

    Raises:
        HTTPException: the answer.
    """
    try:
        return do(*given)
    except KeyError:
        raise HTTPException(404, "not a part of this page") from None
    except (InputError, RunError) as error:
        raise HTTPException(500, str(error)) from None


def add_actions(app: FastAPI, page: Page) -> None:
    """Routes to the page, to what its buttons do, and to how far the review is."""

    @app.get("/", response_class=HTMLResponse)
    def shown() -> str:
        return page_html(BUTTONS, LONGEST_NAME, REFRESH)

    @app.post("/act/{name}")
    def act(name: str, state: Annotated[Any, Body()]) -> dict[str, str]:
        return answered(page.act, name, TabState.from_browser(state))

    @app.post("/progress")
    def progress(state: Annotated[Any, Body()]) -> dict[str, str]:
        return {"header": answered(page.header, TabState.from_browser(state))}


def add_previews(app: FastAPI, previews: Previews) -> None:
    """Routes to the previews, by the digest of a clip."""

    @app.get("/previews/{digest}/film.mp4")
    def film(digest: str) -> FileResponse:
        return FileResponse(answered(previews.film, digest), media_type="video/mp4")

    @app.get("/previews/{digest}/part.png")
    def part(digest: str, top: int, left: int, side: int) -> Response:
        return Response(answered(previews.part, digest, top, left, side), media_type="image/png")

    @app.get("/previews/{digest}/places.json")
    def places(digest: str) -> dict[str, Any]:
        still = answered(previews.still, digest)
        return {"frame": still.number, "places": still.places}

"""What the applications of pages have in common: routes of their files, templates, and what is not served."""

from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined


def page_app(folder: Path, *files: str) -> FastAPI:
    """Return an application that serves the files of ``folder`` with these names, and no documentation of itself."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)  # without the schema there are no pages about it
    for name in files:
        app.get(f"/{name}")(file_route(folder / name))
    return app


def file_route(file: Path) -> Callable[[], FileResponse]:
    """Return a route that answers with ``file``; browsers ask each time whether it has changed."""
    # Without parameters, which a client could give.
    return lambda: FileResponse(file, headers={"Cache-Control": "no-cache"})


def templates_in(folder: Path) -> Environment:
    """Return the templates of a folder: what is put into them is escaped, and a name that is not given is an error."""
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

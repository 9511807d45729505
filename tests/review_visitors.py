"""Who talks to the review page as a browser does."""

import socket
import time

import httpx2


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Page:
    """The page on a port of this machine, once it is served."""

    def __init__(self, port):
        self.port = port
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)
        for _ in range(4000):
            try:
                self.http.get("/")
                return
            except httpx2.TransportError:
                time.sleep(0.02)
        raise AssertionError("the page is not served")


class Visitor:
    """A browser tab, without the browser."""

    def __init__(self, page, session):
        self.page, self.session = page, session
        self.state = {"reviewer": "", "clip": ""}

    def press(self, button, state=None):
        """Press a button; returns the candidate that is then shown."""
        state = state or self.state
        body = {"session": self.session} | state if isinstance(state, dict) else state
        answer = self.page.http.post(f"/act/{button}", json=body)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        self.state = {"reviewer": found["reviewer"], "clip": found["clip"]}
        return found["card"]

    def enter(self, name):
        return self.press("show", self.state | {"reviewer": name})

"""Who talks to the review page as a browser does, through Gradio's queue."""

import json
import socket
import time

import httpx


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Page:
    """The page on a port of this machine, once it is served."""

    def __init__(self, port):
        self.port = port
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)
        for _ in range(4000):
            try:
                self.config = self.http.get("/config").json()
                return
            except httpx.TransportError:
                time.sleep(0.02)
        raise AssertionError("the page is not served")


class Visitor:
    """A browser tab, without the browser."""

    def __init__(self, page, session):
        self.page, self.session = page, session
        self.state = {"reviewer": "", "clip": ""}
        components = {one["id"]: one["props"].get("elem_id") for one in page.config["components"]}
        self.events = {
            (components.get(target), kind): one["id"]
            for one in page.config["dependencies"]
            for target, kind in one["targets"]
        }

    def press(self, button, *values, state=None):
        """Press a button; returns the candidate that is then shown."""
        event = self.events[button, "click"]
        body = {"data": [*values, state or self.state], "fn_index": event, "session_hash": self.session}
        answer = self.page.http.post("/gradio_api/queue/join", json=body)
        assert answer.status_code == 200
        with self.page.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line[6:]) if line.startswith("data: ") else {}
                if message.get("msg") == "process_completed":
                    assert message["success"], message
                    self.state, *_, card = message["output"]["data"]
                    return card
        raise AssertionError("no answer")

    def enter(self, name):
        return self.press("begin", name)

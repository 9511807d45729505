"""The review page as a browser talks to it: the real application on 127.0.0.1."""

import json
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import pytest

from footage import film
from reads import unread_fields
from realis.builder.clip import Clip, Dropped
from realis.builder.review import VERDICTS, ReviewConfig, review
from review_visitors import Page, Visitor, free_port

ROOT = Path(__file__).parents[2]


def make_clips(build, count):
    build.mkdir()
    clips = []
    for i in range(count):
        film(build / f"c{i}.mp4", frames=6, size=(96, 128), place=10 * i)
        clips.append(
            Clip(f"c{i}", "x.mov", file=f"c{i}.mp4", digest=f"4096-{i:08x}", height=96, width=128, rate=Fraction(25), frames=6,
                 caption="Detailed <fur>", keywords=("fur",), scores={"sharpness": 0.25})
        )  # fmt: skip
    return clips


class Served(Page):
    """The stage at work in a thread; ``given`` is what it has given."""

    def __init__(self, build, clips, linger=0):
        self.build, self.given = build, []
        config = ReviewConfig(port=free_port(), linger=linger)
        self.thread = threading.Thread(target=lambda: self.given.extend(review(clips, build, config)), daemon=True)
        self.thread.start()
        super().__init__(config.port)

    def rows(self):
        return [json.loads(line) for line in (self.build / VERDICTS).read_text().splitlines()]


@pytest.fixture
def served(tmp_path):
    clips = make_clips(tmp_path / "build", 4)
    with unread_fields(ReviewConfig) as unread:
        served = Served(tmp_path / "build", clips)
        served.clips = clips
        yield served
        for i in range(4):  # so that the stage ends
            Visitor(served, "end").press(
                "keep", state={"reviewer": "end", "clip": f"c{i}"}
            ) if served.thread.is_alive() else None
        served.thread.join(20)
    assert unread == set()


def test_two_reviewers_decide_all_and_the_stage_goes_on(served):
    ann, bob = Visitor(served, "ann"), Visitor(served, "bob")
    assert 'data-clip="c0"' in ann.enter("Ann")
    assert 'data-clip="c1"' in bob.enter("Bob")  # not hers
    assert 'data-clip="c2"' in ann.press("reason-2")
    card = ann.press("undo")
    assert 'data-clip="c0"' in card
    assert "Ann: " not in card
    assert "Ann: drop, noise" in ann.press("reason-3") + ann.press("back") + ann.press("back")
    again = Visitor(served, "reload")  # the browser has kept what it shows
    again.state = dict(ann.state)
    assert again.state["clip"] == "c0"
    again.press("forward")
    assert again.state == {"reviewer": "Ann", "clip": "c1"}
    with ThreadPoolExecutor(2) as pool:  # at once, and both on the same clip
        list(pool.map(lambda one: one.press("keep", state={"reviewer": one.session, "clip": "c1"}), (ann, bob)))
        pool.submit(ann.press, "keep", state={"reviewer": "Ann", "clip": "c2"})
    assert [(row["clip"], row["verdict"]) for row in served.rows()[:3]] == [
        ("c0", "drop"),
        ("c0", "undo"),
        ("c0", "drop"),
    ]
    assert sorted((row["clip"], row["reviewer"]) for row in served.rows()[3:]) == [
        ("c1", "ann"),
        ("c1", "bob"),
        ("c2", "Ann"),
    ]
    bob.press("drop", state={"reviewer": "Bob", "clip": "c3"})
    served.thread.join(20)
    assert [outcome for _, (outcome,) in served.given] == [
        Dropped("c0", "drop: noise", "drop 1, keep 0"), served.clips[1], served.clips[2],
        Dropped("c3", "drop: no reason given", "drop 1, keep 0"),
    ]  # fmt: skip


def test_without_a_name_nothing_is_decided(served):
    visitor = Visitor(served, "nobody")
    assert visitor.enter("  ") == ""
    for state in ({"reviewer": "", "clip": "c0"}, {"clip": "c0"}, ["c0"], "c0"):
        assert visitor.press("keep", state=state) == ""
    assert not (served.build / VERDICTS).exists()
    visitor.press("keep", state={"reviewer": "Ann", "clip": "../../c0"})  # nor of a clip that is not there
    assert not (served.build / VERDICTS).exists()


def test_previews_are_served_and_nothing_else(served):
    http, secret = served.http, served.build / "secret.mp4"
    secret.write_text("secret")
    film = http.get("/previews/4096-00000001/film.mp4", headers={"Range": "bytes=0-99"})
    assert (film.status_code, film.headers["content-type"], len(film.content)) == (206, "video/mp4", 100)
    assert http.get("/previews/4096-00000001/places.json").json()["frame"] == 3
    part = http.get("/previews/4096-00000001/part.png", params={"top": 3, "left": 3, "side": 560})
    assert part.content.startswith(b"\x89PNG")
    assert part.headers["content-security-policy"].startswith("default-src 'self'")
    assert http.get("/previews/ffffffff/film.mp4").status_code == 404
    (served.build / "c2.mp4").write_text("damaged")
    assert "c2.mp4: not a video" in http.get("/previews/4096-00000002/places.json").json()["detail"]
    for path in (
        "/file=/etc/passwd", f"/file={secret}", "/docs", "/openapi.json", "/review_page.py", "/review_page.html",
        "/review_page.js?name=review_page.py", "/static/..%2f..%2f..%2f..%2f..%2fetc/passwd", "/previews/../film.mp4",
        "/previews/..%2f..%2fsecret.mp4/film.mp4", "/previews/4096-00000001/..%2f..%2f..%2fsecret.mp4", "//etc/passwd",
    ):  # fmt: skip
        answer = http.get(path)
        assert b"secret" not in answer.content and b"import" not in answer.content
        assert answer.status_code == (200 if "?" in path else 404), path
    for path, status in {"/": 405, "/upload": 404, "/act/leave": 404}.items():
        assert http.post(path, json={"reviewer": "Eve", "clip": "c0"}).status_code == status, path
    assert not (served.build / VERDICTS).exists()


def test_other_origins_are_refused(served):
    body = {"reviewer": "Eve", "clip": "c0", "session": "eve"}
    for headers in (
        {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"},
    ):  # fmt: skip
        assert served.http.post("/act/keep", json=body, headers=headers).status_code == 403
        assert served.http.post("/progress", json=body, headers=headers).status_code == 403
        assert served.http.get("/previews/4096-00000001/film.mp4", headers=headers).status_code == 403
    plain = {"Content-Type": "text/plain"}  # what a page from elsewhere may send without asking
    served.http.post("/act/keep", content=json.dumps(body), headers=plain)
    assert not (served.build / VERDICTS).exists()


def test_the_page_names_nothing_outside_and_has_no_script_of_its_own(served):
    page = served.http.get("/").text
    loaded = re.findall(r'(?:src|href|action)="([^"]*)"', page)
    assert sorted(loaded) == ["/review_page.css", "/review_page.js", "data:,"]
    for inline in ("<script>", "style=", "onclick="):  # what the policy forbids
        assert inline not in page + Visitor(served, "ann").enter("Ann")
    for file, kind in (("review_page.css", "text/css"), ("review_page.js", "javascript")):
        answer = served.http.get(f"/{file}")
        assert answer.status_code == 200 and kind in answer.headers["content-type"]
        assert "//" not in re.sub(r"(?m)// .*$", "", answer.text)


def test_what_cannot_be_written_is_said(served):
    (served.build / "review").write_text("no folder")
    body = {"reviewer": "Ann", "clip": "c0", "session": "ann"}
    answer = served.http.post("/act/keep", json=body)
    assert answer.status_code == 500 and "review" in answer.json()["detail"]
    (served.build / "review").unlink()


SCRIPT = """
import sys
from pathlib import Path
from realis.core import log
from realis.builder.clip import Clip
from realis.builder.review import ReviewConfig, review
from realis.core.errors import run_command
log.setup()
clips = [Clip(f"c{i}", "x", digest=f"{i:08x}") for i in range(3)]
run_command(lambda: print(list(review(clips, Path(sys.argv[1]), ReviewConfig(port=0)))))
"""


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_decided(tmp_path):
    (tmp_path / "review").mkdir()
    row = {"clip": "c1", "digest": "00000001", "reviewer": "Ann", "verdict": "keep"}
    (tmp_path / VERDICTS).write_text(json.dumps(row) + "\n")
    before = (tmp_path / VERDICTS).read_bytes()
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    said = process.stderr.readline()
    while "open http://127.0.0.1:" not in said:
        assert process.poll() is None, said
        said = process.stderr.readline()
    assert "verdicts are wanted on 2 clips" in said
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "verdicts are still wanted on 2 of 3 clips" in rest
    assert "Traceback" not in rest
    assert (tmp_path / VERDICTS).read_bytes() == before

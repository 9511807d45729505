"""Drive the review page in headless Chromium, as two reviewers, and look at what it asks for and what it refuses.

    python benchmarks/review_page.py [--browser chromium] [--output out/review_page]

Seven clips are filmed from photographs. Ann and Bob, in two browser contexts, keep, drop with a reason, undo, move,
load the page again, and decide at once, until every clip has a verdict. Checked are the file of verdicts, what the
stage gives, that the page fits windows from 1280x600 on without scrolling, that the part of a frame is shown pixel for
pixel, that nothing is asked of any other address, and that paths outside and foreign origins are refused. Screenshots
go to the folder; prints one line a check, exit code 1 if one fails. Needs Chromium (Debian: apt-get install chromium)
and no Python package for it: the browser is spoken to over two pipes.
"""

import base64
import http.server
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import cv2
import numpy as np
from command_line import parser_of

from realis.builder.clip import Clip, Dropped
from realis.builder.review import PREVIEWS, VERDICTS, ReviewConfig, review
from realis.builder.review_page import REFRESH
from realis.core import log
from realis.data.photographs import photograph
from realis.ops.pixels import planes_to_image, to_uint8

PHOTOGRAPHS = {
    "astronaut": ("astronaut.png", "A close-up portrait of a smiling astronaut in an orange suit; the fabric of the "
                  "suit and the stitched patches are shown in fine detail, behind her a flag and a model shuttle."),
    "brick": ("brick.png", "A wall of weathered bricks with rough texture and mortar lines."),
    "cat": ("chelsea.png", "A macro shot of a tabby cat with detailed fur and whiskers, looking past the camera. "
            "There is no text in the picture."),
    "coffee": ("coffee.png", "A cup of coffee on a wooden table, its grain and the foam seen in intricate detail."),
    "grass": ("grass.png", "Dense grass, blade by blade, moving in the wind."),
    "gravel": ("gravel.png", "Gravel of many colours; every stone is seen with its own texture."),
    "tissue": ("ihc.png", "A stained section of tissue under a microscope, with an intricate pattern."),
}  # fmt: skip
WORDS = ("close-up", "macro", "detailed", "intricate", "texture", "fur", "fabric", "grass", "stone", "brick", "pattern")
# Screens of 1280x720 and 1366x768 less what a browser takes of them, and a larger window.
WINDOWS = ((1280, 600), (1366, 650), (1440, 900))
SIZE, PORTRAIT = (1080, 1920), (1920, 1080)  # height, width
FRAMES = 24
SCORES = {"sharpness": 0.0421, "high_frequencies": 0.00318, "exposure": 0.473, "motion": 3.86, "blockiness": 1.013,
          "noise": 0.0061, "bars": 0.0, "duplicate_distance": 31.0}  # fmt: skip
PATIENCE = 30.0  # seconds


def digest_of(number: int) -> str:
    """Of the form that fingerprints of clips have."""
    return f"4096-{number + 1:032x}"


def make_clips(build: Path) -> list[Clip]:
    """A pan over each photograph, enlarged; one in portrait."""
    (build / "clips").mkdir(parents=True)
    clips = []
    for number, (name, (picture, caption)) in enumerate(PHOTOGRAPHS.items()):
        height, width = PORTRAIT if name == "cat" else SIZE
        image = planes_to_image(to_uint8(photograph(picture)))
        fit = max((height + 60) / image.shape[0], (width + 60) / image.shape[1])
        image = cv2.resize(image, None, fx=fit, fy=fit, interpolation=cv2.INTER_CUBIC)
        write(build / "clips" / f"{name}.mp4", [image[i : i + height, 2 * i : 2 * i + width] for i in range(FRAMES)])
        words = tuple(word for word in WORDS if word.rstrip("ed")[:6] in caption.lower())
        scores = {key: value * (1 + number / 10) for key, value in SCORES.items()}
        clips.append(
            Clip(name, f"{name}.mov", file=f"clips/{name}.mp4", height=height, width=width, rate=Fraction(25),
                 frames=FRAMES, digest=digest_of(number), scores=scores, caption=caption, keywords=words)
        )  # fmt: skip
    return clips


def write(file: Path, images: list[np.ndarray]) -> None:
    """As H.264, quickly."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "18"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(stream.encode(None))


class Browser:
    """Headless Chromium, spoken to by the DevTools protocol: JSON messages that end with a zero byte. A context
    manager."""

    def __init__(self, program: str, profile: Path) -> None:
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        command = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                   "--mute-audio", "--remote-debugging-pipe", "--no-first-run", "--disable-background-networking",
                   f"--user-data-dir={profile}", "about:blank"]  # fmt: skip
        script = f'exec "$@" 3<&{to_read} 4>&{to_write} {to_read}<&- {to_write}>&-'
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command], pass_fds=(to_read, to_write), stderr=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(to_write)
        self._count, self._answers, self._news = 0, {}, threading.Condition()
        self.events: list[dict[str, Any]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)

    def _listen(self) -> None:
        rest = b""
        while data := os.read(self._read, 1 << 16):
            *messages, rest = (rest + data).split(b"\0")
            with self._news:
                for message in map(json.loads, messages):
                    if "id" in message:
                        self._answers[message["id"]] = message
                    else:
                        self.events.append(message)
                self._news.notify_all()

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Ask for something, and wait for the answer."""
        with self._news:
            self._count += 1
            number = self._count
            message = {"id": number, "method": method, "params": parameters} | (
                {"sessionId": session} if session else {}
            )
            data = json.dumps(message).encode() + b"\0"
            while data:
                data = data[os.write(self._write, data) :]
            if not self._news.wait_for(lambda: number in self._answers, PATIENCE):
                raise TimeoutError(method)
            answer = self._answers.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def visitor(self) -> "Tab":
        """A tab with a storage of its own, as another person's browser has."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        return Tab(self, self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"])


class Tab:
    """A page in the browser, in the last of :data:`WINDOWS`."""

    KEYS = {"ArrowLeft": 37, "ArrowRight": 39, " ": 32, "Enter": 13}

    def __init__(self, browser: Browser, target: str) -> None:
        self.browser = browser
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(*WINDOWS[-1])

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask something of this tab."""
        return self.browser.call(method, self.session, **parameters)

    def resize(self, width: int, height: int) -> None:
        """The window gets another size, in pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def do(self, script: str) -> Any:
        """The value of an expression of JavaScript."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, script: str) -> Any:
        """Until an expression is true."""
        end = time.monotonic() + PATIENCE
        while not (value := self.do(script)):
            if time.monotonic() > end:
                raise TimeoutError(script)
            time.sleep(0.05)
        return value

    def press(self, key: str) -> None:
        """A key goes down and up."""
        code = self.KEYS.get(key, ord(key[0].upper()))
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def click(self, script: str, y: float = 0.5, x: float = 0.5) -> None:
        """Click on the element that an expression gives: at shares ``y``, ``x`` of it."""
        box = self.do(f"(({script}).getBoundingClientRect()).toJSON()")
        place = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"], "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, **place)

    def picture(self, file: Path) -> None:
        """What is seen, as PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def clip(self) -> str:
        """The name of the clip that is shown."""
        return self.wait("document.querySelector('#candidate')?.dataset.clip")

    def act(self, key: str) -> str:
        """Press a key that shows another clip; returns its name."""
        before = self.clip()
        self.press(key)
        return self.wait(f"(name => name && name !== {json.dumps(before)} && name)"
                         "(document.querySelector('#candidate')?.dataset.clip)")  # fmt: skip

    def is_ready(self) -> None:
        """Until film and part are shown."""
        self.wait("document.querySelector('.screen.ready') && document.querySelector('.part.ready') && true")

    def requests(self) -> list[str]:
        """The addresses of all requests of this tab."""
        sent = [one for one in self.browser.events if one["method"] == "Network.requestWillBeSent"]
        return [one["params"]["request"]["url"] for one in sent if one.get("sessionId") == self.session]

    def errors(self) -> list[str]:
        """What went wrong in it."""
        mine = [one for one in self.browser.events if one.get("sessionId") == self.session]
        logged = [one["params"]["entry"] for one in mine if one["method"] == "Log.entryAdded"]
        thrown = [str(one["params"]["exceptionDetails"]) for one in mine if one["method"] == "Runtime.exceptionThrown"]
        return thrown + [f"{one['text']} {one.get('url', '')}" for one in logged if one["level"] == "error"]


class Checks:
    """Prints one line a check, and counts those that fail."""

    def __init__(self) -> None:
        self.failed = 0

    def __call__(self, what: str, fits: bool, found: object = "") -> None:
        self.failed += not fits
        print(f"{'ok  ' if fits else 'FAIL'} {what}{'' if fits else f': {found}'}", flush=True)


def status(address: str, path: str, data: bytes | None = None, **headers: str) -> int:
    """How a request that no browser makes is answered; ``path`` is sent as it is."""
    parts = urlsplit(address)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{parts.scheme}://{parts.netloc}/", data, names)
    request.selector = path
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def rows(build: Path) -> list[dict[str, str]]:
    """The file of verdicts."""
    file = build / VERDICTS
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def drive_ann(ann: Tab, address: str, build: Path, output: Path, check: Checks) -> None:
    """One reviewer alone: asked for a name, looks, keeps, drops, undoes, loads again."""
    ann.call("Page.navigate", url=address)
    ann.wait("document.querySelector('#name input')?.offsetParent && true")
    ann.picture(output / "1_name.png")
    check("the name is asked for first", not ann.do("document.querySelector('#candidate')"))
    ann.click("document.querySelector('#name input')")
    ann.call("Input.insertText", text="Ann kdu16")
    ann.click("document.querySelector('#begin')")
    check("the first clip is shown", ann.clip() == "astronaut", ann.clip())
    ann.is_ready()
    for size in WINDOWS:
        check_window(ann, size, output, check)
    check("the film plays", ann.wait("document.querySelector('video').currentTime > 0.1"))
    check("the words are marked", ann.do("[...document.querySelectorAll('mark')].length") >= 3)
    before = ann.do("document.querySelector('.part img').src")
    ann.click("document.querySelector('.screen')", y=0.9, x=0.95)
    after = ann.wait(f"(now => now !== '{before}' && now)(document.querySelector('.part img').src)")
    check("a click moves the part", after.endswith("part.png?top=520&left=1360&side=560"), after)
    ann.press("c")
    check("C goes to the next detailed place", ann.wait(f"document.querySelector('.part img').src !== '{after}'"))
    ann.press(" ")
    check("space stops the film", ann.wait("document.querySelector('video').paused"))
    fails = "Promise.resolve(new Response(JSON.stringify({detail: 'the disk is full <b>'}), {status: 500}))"
    ann.do(f"window.real = window.fetch; window.fetch = () => {fails}; 1")
    ann.press("k")
    trouble = "document.querySelector('#trouble')"
    found = ann.wait(f"!{trouble}.hidden && {trouble}.innerText")
    ann.picture(output / "2_trouble.png")
    ann.do("window.fetch = window.real; 1")
    check("what goes wrong is said", found == "the disk is full <b>" and ann.clip() == "astronaut", found)
    check("K goes on", ann.act("k") == "brick")
    check("and nothing is wrong any more", ann.do(f"{trouble}.hidden"))
    check("so does 2", ann.act("2") == "cat")
    ann.is_ready()
    time.sleep(0.5)
    ann.picture(output / "3_portrait.png")
    said = [(row["clip"], row["verdict"], row["reason"], row["reviewer"]) for row in rows(build)]
    wanted = [("astronaut", "keep", "", "Ann kdu16"), ("brick", "drop", "blurry", "Ann kdu16")]
    check("both verdicts are in the file", said == wanted, said)
    check("U goes back", ann.act("u") == "brick")
    check("and is in the file", rows(build)[-1]["verdict"] == "undo" and rows(build)[-1]["clip"] == "brick")
    check("right moves on without a verdict", ann.act("ArrowRight") == "cat")
    ann.call("Page.reload")
    time.sleep(1)
    check("loaded again it goes on where it was", ann.clip() == "cat", ann.clip())
    ann.wait("document.querySelector('#progress').dataset.decided === '1'")
    check("with the name", ann.do("document.querySelector('.who').innerText") == "Ann kdu16")
    check("left moves back", ann.act("ArrowLeft") == "brick")
    ann.act("ArrowLeft")
    ann.is_ready()
    time.sleep(0.5)
    ann.picture(output / "4_decided.png")
    check("a decided clip says so", "Ann kdu16: keep" in ann.do("document.querySelector('.said').innerText"))
    ann.act("ArrowRight")


def check_window(tab: Tab, size: tuple[int, int], output: Path, check: Checks) -> None:
    """Whether a candidate can be looked at and decided without scrolling in a window of this width and height."""
    name = "x".join(map(str, size))
    tab.resize(*size)
    time.sleep(1)
    tab.picture(output / f"2_candidate_{name}.png")
    found = tab.do("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    check(f"it fits {name}", found[0] <= size[0] and found[1] <= size[1], found)
    lowest = tab.do("Math.max(...['#keep', '#forward', '.known'].map("
                    "one => document.querySelector(one).getBoundingClientRect().bottom))")  # fmt: skip
    check(f"so do its buttons and its scores, {name}", lowest <= size[1], lowest)
    cut = tab.do("[...document.querySelectorAll('#verdicts button')].filter(one => one.scrollWidth > one.clientWidth)"
                 ".map(one => one.innerText)")  # fmt: skip
    check(f"no word of a button is cut off, {name}", not cut, cut)
    hidden = tab.do("(one => [one.scrollWidth - one.clientWidth, one.scrollHeight - one.clientHeight])"
                    "(document.querySelector('.scores'))")  # fmt: skip
    check(f"all scores are seen, {name}", hidden == [0, 0], hidden)
    shown = tab.do("(image => [image.naturalWidth, image.getBoundingClientRect().width, image.naturalHeight, "
                   "image.getBoundingClientRect().height])(document.querySelector('.part img'))")  # fmt: skip
    room = tab.do("document.querySelector('.part').clientHeight")
    check(f"the part is shown pixel for pixel, {name}", shown == [room] * 4 and room >= 300, (shown, room))


def drive_both(ann: Tab, bob: Tab, address: str, build: Path, output: Path, check: Checks) -> None:
    """Two at once, until all is decided."""
    bob.call("Page.navigate", url=address)
    bob.wait("document.querySelector('#name input')?.offsetParent && true")
    bob.click("document.querySelector('#name input')")
    bob.call("Input.insertText", text="Bob")
    bob.press("Enter")
    check("two reviewers see different clips", bob.clip() != ann.clip(), (bob.clip(), ann.clip()))
    seen = [(ann.clip(), bob.clip())]
    for key in ("k", "5"):
        for tab in (ann, bob):  # both keys are down before either is answered
            tab.press(key)
        for tab, before in zip((ann, bob), seen[-1], strict=True):
            tab.wait(f"document.querySelector('#candidate').dataset.clip !== '{before}'")
        seen.append((ann.clip(), bob.clip()))
    check("also after deciding at once", all(a != b for a, b in seen), seen)
    check("nothing is lost", len(rows(build)) == 7, rows(build))
    ann.is_ready()
    ann.wait("document.querySelector('#progress').dataset.decided === '5'")
    ann.picture(output / "5_two_reviewers.png")
    ann.press("k")
    bob.press("d")
    note = "document.querySelector('#progress .note')?.innerText"
    check("both are told that all is decided", bool(ann.wait(note) and bob.wait(note)))
    time.sleep(1)
    ann.picture(output / "6_all_decided.png")


def check_refusals(address: str, build: Path, stranger: Tab, check: Checks) -> None:
    """Paths outside, foreign origins, names that are not ours, uploads; and a page from elsewhere in a browser."""
    secret = build / "secret.mp4"
    secret.write_bytes(b"secret")
    host = urlsplit(address).netloc
    for path in (
        "/file=/etc/passwd", f"/file={secret}", f"{build / PREVIEWS}/../../secret.mp4", "/review_page.py",
        "/static/../../../../../etc/passwd", "/..%2f..%2f..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/review.py",
        "//etc/passwd", "/../../etc/passwd", "/previews/..%2f..%2fsecret.mp4/film.mp4",
        f"/previews/{digest_of(0)}/../../../secret.mp4", "/previews/../film.mp4", "/docs", "/openapi.json",
    ):  # fmt: skip
        found = status(address, path)
        check(f"not there: {path.replace(str(build), 'BUILD')}", found == 404, found)
    found = status(address, "/upload", b"x", Content_Type="multipart/form-data")
    check("not there: an upload", found == 404, found)
    keep = json.dumps({"session": "stranger", "reviewer": "Eve", "clip": "coffee"}).encode()
    for what, headers in {
        "a POST of a foreign origin": {"Origin": "http://evil.example"},
        "one of another port": {"Origin": f"http://{host.rsplit(':', 1)[0]}:1"},
        "one of a page without origin": {"Origin": "null"},
        "one by a name that is not ours": {"Host": f"evil.example:{host.rsplit(':', 1)[1]}"},
        "one of a page of another site": {"Sec_Fetch_Site": "cross-site"},
    }.items():
        for path in ("/act/keep", "/progress"):
            found = status(address, path, keep, Content_Type="application/json", **headers)
            check(f"refused: {what}, {path}", found == 403, found)
    found = status(address, "/act/keep", keep + bytes(1 << 16), Content_Type="application/json")
    check("refused: a body of more than 64 KiB", found == 413, found)
    film = build / PREVIEWS / f"{digest_of(0)}-960.mp4"
    film.unlink()
    film.symlink_to(secret)
    found = status(address, f"/previews/{digest_of(0)}/film.mp4")
    check("a link out of the previews is not followed", found == 200 and not film.is_symlink(), found)
    check_foreign_page(address, stranger, keep, check)
    check("no verdict of a stranger is in the file", all(row["reviewer"] != "Eve" for row in rows(build)), rows(build))


def check_foreign_page(address: str, stranger: Tab, keep: bytes, check: Checks) -> None:
    """A page of another origin, in a browser that can reach both."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>elsewhere</title><iframe></iframe>")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
        stranger.call("Page.navigate", url=f"http://127.0.0.1:{elsewhere.server_address[1]}/")
        stranger.wait("document.title === 'elsewhere'")
        options = f"{{method: 'POST', mode: 'no-cors', body: {json.dumps(keep.decode())}}}"
        read = stranger.do(f"fetch('{address}/act/keep', {options}).then(() => 'read', () => 'kept from it')")
        check("kept from a page from elsewhere: what it is answered", read == "kept from it", read)
        stranger.do(f"document.querySelector('iframe').src = '{address}/'")
        time.sleep(1)
        mine = [one for one in stranger.browser.events if one.get("sessionId") == stranger.session]
        sent = [one["params"] for one in mine if one["method"] == "Network.requestWillBeSent"]
        asked = {one["requestId"] for one in sent if one["request"]["url"] == f"{address}/act/keep"}
        # the answer itself is not announced, as the browser keeps it from the page; its headers are
        answers = [one["params"] for one in mine if one["method"] == "Network.responseReceivedExtraInfo"]
        states = [one["statusCode"] for one in answers if one["requestId"] in asked]
        check("refused: what a page from elsewhere sends", states == [403], states)
        framed = stranger.do("document.querySelector('iframe').contentDocument === null")
        refused = any("frame" in error.lower() or "403" in error for error in stranger.errors())
        check("refused: to be framed by it", framed and refused, stranger.errors())
        elsewhere.shutdown()


def drive(program: str, output: Path, check: Checks) -> None:
    """Everything, in a build of its own."""
    with tempfile.TemporaryDirectory() as folder:
        build = Path(folder, "build")
        clips = make_clips(build)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        address, given = f"http://127.0.0.1:{port}", []
        run: Callable[[], None] = lambda: given.extend(review(clips, build, ReviewConfig(port=port, linger=8)))  # noqa: E731
        stage = threading.Thread(target=run, daemon=True)
        stage.start()
        while stage.is_alive() and not is_open(port):
            time.sleep(0.1)
        with Browser(program, Path(folder, "profile")) as browser:
            ann, bob, stranger = browser.visitor(), browser.visitor(), browser.visitor()
            drive_ann(ann, address, build, output, check)
            check_refusals(address, build, stranger, check)
            drive_both(ann, bob, address, build, output, check)
            asked = {urlsplit(url).netloc or url[:10] for tab in (ann, bob) for url in tab.requests()}
            check("nothing is asked of any other address", asked == {f"127.0.0.1:{port}"}, asked)
            check("no errors in the pages", not ann.errors() + bob.errors(), ann.errors() + bob.errors())
            stage.join(PATIENCE)
            time.sleep(2 * REFRESH)
            ann.picture(output / "7_ended.png")
        check_outcomes(clips, given, build, check)


def is_open(port: int) -> bool:
    """Whether something listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def check_outcomes(clips: list[Clip], given: list[Any], build: Path, check: Checks) -> None:
    """What the stage gave, against the file."""
    last = {row["clip"]: row for row in rows(build) if row["verdict"] != "undo"}
    check("the stage has ended, with every clip", [clip for clip, _ in given] == clips, given)
    for clip, (outcome,) in given:
        reason = f"drop: {last[clip.name]['reason'] or 'no reason given'}"
        fits = outcome == clip if last[clip.name]["verdict"] == "keep" else (
            isinstance(outcome, Dropped) and outcome.reason == reason)  # fmt: skip
        check(f"{clip.name}: {last[clip.name]['verdict']} by {last[clip.name]['reviewer']}", fits, outcome)


def main() -> None:
    """Parse and run."""
    parser = parser_of(__doc__)
    parser.add_argument("--browser", default="chromium")
    parser.add_argument("--output", type=Path, default=Path("out/review_page"))
    arguments = parser.parse_args()
    if not shutil.which(arguments.browser):
        parser.error(f"{arguments.browser}: not found; install Chromium")
    log.setup()
    arguments.output.mkdir(parents=True, exist_ok=True)
    check = Checks()
    drive(arguments.browser, arguments.output, check)
    print(f"{check.failed} failed; screenshots in {arguments.output}")
    raise SystemExit(bool(check.failed))


if __name__ == "__main__":
    main()

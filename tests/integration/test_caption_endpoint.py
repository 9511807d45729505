"""The endpoint's path against a small server of the OpenAI form on this machine."""

import base64
import email.utils
import gzip
import http.server
import json
import logging
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import replace
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from footage import film
from reads import unread_fields
from realis.builder.caption_endpoint import LONGEST_REPLY, EndpointCaptioner, retry_after
from realis.builder.captioner import CaptionsConfig, Sample
from realis.builder.captions import captions
from realis.builder.clip import Clip, Dropped
from realis.core.errors import InputError, RunError

CLIPS = 6
OK = b"HTTP/1.1 200 OK\r\n"
SAMPLE = Sample([np.full((96, 128, 3), 30, np.uint8)], 1.0)  # of clip 0
# What is sent at once and what now and then: each such piece would begin a socket's time-out anew
DRIPPED = {
    "dripped body": (OK + b"Content-Length: 100000\r\n\r\n", b" "),
    "dripped header": (OK + b"X: ", b"x"),
    "dripped error": (b"HTTP/1.1 503 Busy\r\nContent-Length: 1000\r\n\r\n", b"x"),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


class Server(http.server.ThreadingHTTPServer):
    """Answers each request as ``script`` says; counts the requests by clip.

    A clip is known by the grey level of its frames, 30 + 30 n. ``script`` maps (clip, how often asked before) to an
    answer: a status with a body and headers, or something to be done with the connection.
    """

    daemon_threads = True

    def __init__(self, script):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.asked = script, Counter()
        self.bodies, self.keys, self.lock = [], [], threading.Lock()
        self.sent = 0  # bytes of a reply without end
        self.release = threading.Event()  # lets those go on that are hung up

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request, client_address):
        """Clients that went away are meant to."""


def good(clip):
    message = {"role": "assistant", "content": f"A close-up of\n clip {clip}."}
    return 200, json.dumps({"choices": [{"message": message}], "usage": {"total_tokens": 100}}), {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        images = [part["image_url"]["url"] for part in body["messages"][0]["content"] if part["type"] == "image_url"]
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(images[0].split(",", 1)[1]), np.uint8), 1)
        clip = round((float(picture.mean()) - 30) / 30)
        with server.lock:
            before = server.asked[clip]
            server.asked[clip] += 1
            server.bodies.append(body)
            server.keys.append(self.headers["Authorization"])
        answer = server.script(clip, before)
        if answer == "hang":
            server.release.wait(60)
            self.close_connection = True
        elif answer == "die":
            self.close_connection = True
        elif answer == "endless":
            self.flood()
        elif isinstance(answer, bytes):
            self.wfile.write(answer)
            self.close_connection = True
        elif isinstance(answer, str):
            self.drip(*DRIPPED[answer])
        else:
            status, text, headers = answer or good(clip)
            self.answer(status, text.encode(errors="surrogateescape"), headers)

    def answer(self, status, text, headers):
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(text))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def drip(self, begin, drop):
        self.wfile.write(begin)
        while not self.server.release.wait(0.05):
            self.wfile.write(drop)

    def flood(self):
        self.wfile.write(OK + b"Content-Length: 1000000000\r\n\r\n")
        with suppress(ConnectionError):
            while self.server.sent < 2**26:
                self.server.sent += self.connection.send(bytes(2**16))
        self.close_connection = True

    def log_message(self, *_):
        pass


@contextmanager
def serving(script=lambda clip, before: None):
    with Server(script) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.release.set()
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """Clips of one grey level each."""
    folder = tmp_path_factory.mktemp("grey")
    for number in range(CLIPS):
        with av.open(str(folder / f"clip{number}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
            for _ in range(6):
                image = np.full((96, 128, 3), 30 + 30 * number, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode(None))
    return folder


@pytest.fixture
def build(footage, tmp_path):
    for file in footage.iterdir():
        (tmp_path / file.name).hardlink_to(file)
    return tmp_path


@pytest.fixture
def clips():
    return [
        Clip(f"clip{n}", f"video{n}.mp4", file=f"clip{n}.mp4", frames=6, rate=Fraction(25), digest=f"digest{n}")
        for n in range(CLIPS)
    ]


def config(server, **options):
    usual = {"requests": 3, "retries": 3, "retry_wait": 0.01, "timeout": 20.0, "frames": 2, "model": "some/model"}
    return CaptionsConfig(by="endpoint", url=server.url, **usual | options)


def run(clips, build, config):
    return {clip.name: outcome for clip, [outcome] in captions(clips, build, config)}


def expected(clips):
    return {clip.name: replace(clip, caption=f"A close-up of clip {n}.") for n, clip in enumerate(clips)}


def once_each():
    return dict.fromkeys(range(CLIPS), 1)


def test_each_clip_is_asked_for_once_and_never_again(clips, build, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("realis"), "propagate", True)
    caplog.set_level(logging.INFO, "realis")
    with serving() as server:
        with unread_fields(CaptionsConfig) as unread:
            assert run(clips, build, config(server)) == expected(clips)
        assert unread == {
            f"CaptionsConfig.{name}" for name in ("batch", "device", "retry_wait")
        }  # of a model here; of retries
        assert run(clips, build, config(server)) == expected(clips)
        assert server.asked == once_each()
    assert "captions: 0 cached, 6 asked, 0 failed (6 requests, 600 tokens)" in caplog.text
    assert "captions: 6 cached, 0 asked, 0 failed" in caplog.text


def test_the_form_of_a_request(clips, build):
    with serving() as server:
        run(clips[:1], build, config(server, prompt="What is it?", max_tokens=77))
        [body] = server.bodies
        assert server.keys == [None]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("some/model", 77, 0)
    *images, text = body["messages"][0]["content"]
    assert len(images) == 2
    assert all(image["image_url"]["url"].startswith("data:image/jpeg;base64,") for image in images)
    assert text == {"type": "text", "text": "You see 2 frames of one video, 0.12 seconds apart. What is it?"}


def test_clips_with_the_same_content_are_asked_for_once(clips, build):
    twin = replace(clips[0], name="twin")
    with serving() as server:
        outcomes = run([clips[0], twin], build, config(server))
        assert server.asked == {0: 1}
    assert outcomes["twin"] == replace(twin, caption="A close-up of clip 0.")


PASSING = {
    "429": (429, "{}", {"Retry-After": "0.05"}), "429 without a time": (429, "slow down", {}),
    "429 until a date": (429, "", {"Retry-After": email.utils.formatdate(time.time() - 5, usegmt=True)}),
    "500": (500, "oh", {}), "503": (503, "", {}), "408": (408, "", {}), "no answer": "die",
    "broken JSON": (200, '{"choices": [', {}), "a list": (200, "[]", {}), "no choices": (200, '{"choices": []}', {}),
    "no text": (200, '{"choices": [{"message": {"content": null}}]}', {}), "an HTML page": (200, "<html>", {}),
    "empty content": (200, '{"choices": [{"message": {"content": " \\n"}}]}', {}), "nothing": (200, "", {}),
    "half a surrogate": (200, '{"choices": [{"message": {"content": "\\ud800"}}]}', {}),
    "a reply cut short": (200, '{"choices"', {"Content-Length": "5000", "Connection": "close"}),
    "not UTF-8": (200, "\udcff", {}), "nested too deep": (200, "[" * 100_000, {}),
    "compressed unasked": (200, gzip.compress(good(1)[1].encode()).decode(errors="surrogateescape"),
                           {"Content-Encoding": "gzip"}),
}  # fmt: skip


@pytest.mark.parametrize("trouble", PASSING.values(), ids=PASSING)
def test_what_may_pass_is_asked_again(trouble, clips, build):
    with serving(lambda clip, before: trouble if clip == 1 and before < 2 else None) as server:
        assert run(clips, build, config(server)) == expected(clips)
        assert server.asked == once_each() | {1: 3}


def test_the_time_that_the_server_asks_for_is_waited(build, monkeypatch):
    pauses = []
    troubles = [(429, "", {"Retry-After": "7"}), (503, "", {"Retry-After": "2.5"}), (500, "", {}), (500, "", {})]
    with serving(lambda _, before: troubles[before] if before < 4 else None) as server:
        captioner = EndpointCaptioner(config(server, retries=4, retry_wait=1.0))
        monkeypatch.setattr(captioner._stopped, "wait", pauses.append)
        assert captioner.caption([SAMPLE]) == ["A close-up of\n clip 0."]
    assert pauses[:2] == [7.0, 2.5]
    assert 3.0 <= pauses[2] <= 5.0 and 6.0 <= pauses[3] <= 10.0  # 1, 2, 4, 8 seconds, give or take a quarter


def test_a_server_that_asks_for_too_long_a_wait_ends_the_run(clips, build):
    with serving(lambda *_: (429, "quota", {"Retry-After": "86400"})) as server:
        with pytest.raises(RunError, match=r"asks to wait 86400 seconds.*run again then"):
            run(clips[:1], build, config(server))
        assert server.asked == {0: 1}


@pytest.mark.parametrize("trouble", ["hang", *DRIPPED])
def test_a_request_that_takes_too_long_is_made_again(trouble):
    """All of an exchange has one time-out."""
    with serving(lambda _, before: trouble if before == 0 else None) as server:
        assert EndpointCaptioner(config(server, timeout=0.5)).caption([SAMPLE]) == ["A close-up of\n clip 0."]
        assert server.asked == {0: 2}


def test_a_reply_that_is_far_too_long_is_no_caption():
    _, text, _ = good(0)
    with serving(lambda _, before: (200, text + " " * LONGEST_REPLY, {}) if before == 0 else None) as server:
        EndpointCaptioner(config(server)).caption([SAMPLE])
        assert server.asked == {0: 2}


def test_of_a_reply_without_end_no_more_is_read_than_it_may_have():
    with serving(lambda _, before: "endless" if before == 0 else None) as server:
        EndpointCaptioner(config(server)).caption([SAMPLE])
        assert server.asked == {0: 2}
        assert LONGEST_REPLY <= server.sent < 8 * LONGEST_REPLY  # some of it waits in the buffers of the sockets


@pytest.mark.parametrize(
    ("said", "kept"),
    [("A\u0000 \u001b[31mred\u202e\tcat.\u2028", "A [31mred cat."), ("x" * 20000, "caption too long"), ("\u0007", "empty caption")],
    ids=["control characters", "too long", "nothing else"],
)  # fmt: skip
def test_what_a_caption_may_be(said, kept, clips, build):
    answer = json.dumps({"choices": [{"message": {"content": said}}]})
    with serving(lambda *_: (200, answer, {})) as server:
        (outcome,) = run(clips[:1], build, config(server)).values()
    assert (outcome.caption if isinstance(outcome, Clip) else outcome.reason) == kept


def test_a_clip_without_any_well_formed_reply_is_dropped_and_the_others_are_not(clips, build):
    with serving(lambda clip, _: (200, '{"choices": []}', {}) if clip == 3 else None) as server:
        outcomes = run(clips, build, config(server))
        assert server.asked == once_each() | {3: 4}
    dropped = outcomes.pop("clip3")
    assert isinstance(dropped, Dropped)
    assert (dropped.name, dropped.reason) == ("clip3", "malformed reply")
    assert outcomes == {name: clip for name, clip in expected(clips).items() if name != "clip3"}


def test_a_clip_that_is_refused_is_dropped_without_asking_again(clips, build):
    with serving(lambda clip, _: (400, '{"error": "not allowed"}', {}) if clip == 3 else None) as server:
        dropped = run(clips, build, config(server))["clip3"]
        assert server.asked == once_each()
    assert dropped.reason == "refused by the endpoint"
    assert "HTTP 400" in dropped.detail and "not allowed" in dropped.detail


def test_an_endpoint_that_refuses_all_ends_the_run_and_drops_none(clips, build):
    many = [replace(clips[0], name=f"c{n}", digest=f"d{n}") for n in range(30)]
    outcomes = []
    with serving(lambda *_: (400, "at most 1 image", {})) as server:
        with pytest.raises(InputError, match=r"10 clips in a row got none.*at most 1 image.*none of them was dropped"):
            outcomes.extend(captions(many, build, config(server)))
        assert server.asked[0] <= 13
    assert outcomes == []


@pytest.mark.parametrize("status", [301, 401, 403, 404])
def test_wrong_settings_end_the_run_at_once(status, clips, build, tmp_path):
    key = tmp_path / "key"
    key.write_text("sk-very-secret\n")
    answer = (status, '{"error": "Incorrect key sk-very-secret"}', {"Location": "http://127.0.0.1:1/stolen"})
    with serving(lambda *_: answer) as server:
        with pytest.raises(InputError, match=rf"answers HTTP {status}.*check --captions\.url") as error:
            run(clips, build, config(server, api_key_file=str(key), requests=1))
        assert sum(server.asked.values()) == 1
        assert set(server.keys) == {"Bearer sk-very-secret"}
    assert "sk-very-secret" not in str(error.value)


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (
            b"HTTP/1.1 401 Not sk-very-secret\r\nContent-Length: 0\r\n\r\n",
            InputError,
            r"answers HTTP 401 Not \*\*\*; check",
        ),
        (b"HTTP/1.1 403 No\r\nContent-Length: 900\r\n\r\nWrong", InputError, "answers HTTP 403 No: Wrong; check"),
        (b"sk-very-secret\r\n\r\n", RunError, r"failed 1 time.*\*\*\*"),
    ],
    ids=["reason", "cut short", "no HTTP"],
)
def test_what_an_odd_answer_says_is_shown_without_the_key(answer, error, said, tmp_path):
    (tmp_path / "key").write_text("sk-very-secret")
    with serving(lambda *_: answer) as server, pytest.raises(error, match=said) as raised:
        EndpointCaptioner(config(server, retries=0, api_key_file=str(tmp_path / "key"))).caption([SAMPLE])
    assert "sk-very-secret" not in str(raised.value)


def test_the_key_is_written_nowhere(clips, build, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("realis"), "propagate", True)
    caplog.set_level(logging.DEBUG)
    key = tmp_path / "key"
    key.write_text("sk-very-secret")
    said = {1: (400, "sk-very-secret", {}), 2: (200, "sk-very-secret", {})}  # refused, malformed: to the end
    with serving(lambda clip, before: said.get(clip, None if before else (500, "sk-very-secret", {}))) as server:
        outcomes = run(clips, build, config(server, api_key_file=str(key)))
    assert [one.reason for one in outcomes.values() if isinstance(one, Dropped)] and "***" in str(outcomes)
    written = [file.read_text() for file in (build / "work").rglob("*") if file.is_file()]
    assert len(written) == CLIPS - 2
    assert "sk-very-secret" not in f"{caplog.text} {written} {outcomes}"
    with serving(lambda *_: (401, "sk-very-secret", {})) as server, pytest.raises(InputError) as error:
        run([replace(clips[0], digest="another")], build, config(server, api_key_file=str(key)))
    assert "sk-very-secret" not in str(error.value)


@pytest.mark.parametrize(
    "content, why", [(None, "No such file"), ("", "no key"), ("a b", "no key"), ("schlüssel", "ASCII")]
)
def test_a_key_that_is_none(content, why, tmp_path):
    if content is not None:
        (tmp_path / "key").write_text(content, encoding="utf-8")
    config = CaptionsConfig(by="endpoint", url="http://127.0.0.1:1/v1", api_key_file=str(tmp_path / "key"))
    with pytest.raises(InputError, match=f"--captions.api-key-file: .*{why}") as error:
        EndpointCaptioner(config)
    assert not content or content not in str(error.value)


def test_a_server_that_dies_half_way_loses_nothing(clips, build):
    done, lock = set(), threading.Lock()

    def dies(clip, _):
        with lock:
            if len(done) == 3:
                return "die"
            done.add(clip)
        return None

    first = []
    with serving(dies) as server, pytest.raises(RunError, match=r"failed 4 times.*run again to go on"):
        first.extend(captions(clips, build, config(server, requests=2)))
    assert {int(clip.name[4:]) for clip, _ in first} == done
    with serving() as server:
        assert run(clips, build, config(server)) == expected(clips)
        assert server.asked == {clip: 1 for clip in range(CLIPS) if clip not in done}


def test_nobody_there_ends_the_run(clips, build):
    with serving() as server:
        gone = config(server, retries=1)
    with pytest.raises(RunError, match=r"failed 2 times.*ConnectionRefusedError"):
        run(clips, build, gone)


def test_a_proxy_of_the_environment_is_used_except_for_this_machine(monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as server:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{server.server_port}")
        EndpointCaptioner(replace(config(server), url="http://captions.invalid/v1")).caption([SAMPLE])
        monkeypatch.setenv("http_proxy", "127.0.0.1:1")
        EndpointCaptioner(config(server)).caption([SAMPLE])
        assert server.asked == {0: 2}


def test_a_proxy_of_an_unknown_kind_ends_the_run(monkeypatch):
    monkeypatch.setenv("http_proxy", "ftp://me:hidden@127.0.0.1:1")
    with pytest.raises(InputError, match=r"a proxy that the environment names cannot be used.*ftp") as error:
        EndpointCaptioner(CaptionsConfig(by="endpoint", url="http://captions.invalid/v1"))
    assert "hidden" not in str(error.value)


@pytest.mark.parametrize("host", ["host:port", "host:99999", "[::1", ":8000"])
def test_a_url_without_a_host_or_port_that_can_be(host):
    with pytest.raises(InputError, match=r"--captions\.url: got 'http://.*wanted http://HOST:PORT/v1"):
        EndpointCaptioner(CaptionsConfig(by="endpoint", url=f"http://{host}/v1"))


def test_a_run_that_is_stopped_asks_a_busy_server_nothing_more(clips, build):
    with serving(lambda clip, _: (503, "", {}) if clip else None) as server:
        outcomes = captions(clips, build, config(server, retry_wait=30.0))
        next(outcomes)
        began = time.monotonic()
        outcomes.close()
        assert time.monotonic() - began < 20
        assert all(server.asked[clip] <= 1 for clip in range(1, CLIPS))


def test_a_run_that_is_stopped_keeps_what_was_under_way(clips, build):
    with serving() as server:
        outcomes = captions(clips, build, config(server))
        next(outcomes)
        outcomes.close()
        begun = Counter(server.asked)
        assert run(clips, build, config(server)) == expected(clips)
        assert begun and server.asked == once_each()


@pytest.mark.parametrize("budget", [{"budget_requests": 2}, {"budget_tokens": 150}])
def test_a_budget_ends_the_run_and_the_next_goes_on(budget, clips, build):
    with serving() as server:
        for _ in range(2):
            with pytest.raises(InputError, match=r"budget of .*\(--captions\.budget-.*run again"):
                run(clips, build, config(server, requests=1, **budget))
        assert sum(server.asked.values()) == 4
        assert run(clips, build, config(server, requests=1, **budget)) == expected(clips)
        assert server.asked == once_each()


def test_requests_at_once_do_not_overdraw_the_budget(clips, build):
    with serving() as server:
        with pytest.raises(InputError, match="4 requests"):
            run(clips, build, config(server, budget_requests=4))
        assert sum(server.asked.values()) == 4


@pytest.mark.parametrize("usage", ["null", '{"total_tokens": -1000}', '{"total_tokens": true}', "[7]"])
def test_a_budget_of_tokens_needs_them_to_be_counted(usage, clips, build):
    silent = (200, f'{{"choices": [{{"message": {{"content": "A cat."}}}}], "usage": {usage}}}', {})
    with serving(lambda *_: silent) as server:
        with pytest.raises(InputError, match="does not say how many tokens"):
            run(clips, build, config(server, requests=1, budget_tokens=10**6))
        assert sum(server.asked.values()) == 1


def test_when_to_come_back():
    soon = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert 90 < retry_after(soon) <= 100
    assert retry_after("3") == 3.0
    assert retry_after("-3") == 0.0
    assert retry_after("") is None
    assert retry_after("Mon, 01 Jan 99999999999 00:00:00 GMT") is None


def test_a_film_goes_the_whole_way(tmp_path):
    film(tmp_path / "a.mp4", frames=10)
    clip = Clip("a", "a.mp4", file="a.mp4", frames=10, rate=Fraction(25), digest="a")
    with serving(lambda *_: good("x")) as server:
        [(_, [kept])] = captions([clip], tmp_path, config(server, frames=4))
        assert len(server.bodies[0]["messages"][0]["content"]) == 5
    assert kept.caption == "A close-up of clip x."

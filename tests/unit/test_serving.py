"""Serving of local pages: who is answered, with which headers, and what nobody can use up."""

import asyncio
import logging
import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import httpx2
import pytest

from realis.core.errors import InputError
from realis.serving import limits
from realis.serving.app import page_app, templates_in
from realis.serving.guard import HEADERS, Guard, refusal
from realis.serving.server import serve


def request(path="/", method="GET", **headers):
    pairs = {"host": "127.0.0.1:7860"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return {
        "type": "http",
        "path": path,
        "method": method,
        "headers": [(k.encode(), v.encode()) for k, v in pairs.items()],
    }


@pytest.mark.parametrize(
    "scope",
    [
        request(), request(host="localhost:9"), request(host="[::1]:9"),
        request("/act", "POST", origin="http://127.0.0.1:7860", sec_fetch_site="same-origin"),
        request("/act", "POST", origin="https://127.0.0.1:7860"),  # behind a tunnel with TLS
        request(sec_fetch_site="none"), request(sec_fetch_site="cross-site", sec_fetch_mode="navigate"),  # a link in a mail
    ],
)  # fmt: skip
def test_what_a_page_needs_is_allowed(scope):
    assert refusal(scope, "127.0.0.1") == ""


@pytest.mark.parametrize(
    "scope",
    [
        request(host="evil.example"), request(host="evil.example:7860"), request(host=""), request(host="127.0.0.1.evil.example"),
        request(host="192.168.0.9:7860"), request(host="[::1"), request(host="127.0.0.1@evil.example:7860"),
        request(origin="http://evil.example"), request(origin="null"), request(origin="http://127.0.0.1:3000"),
        request(origin="http://127.0.0.1:7860.evil.example"), request("/act", "POST", origin="http://evil.example"),
        request("/act", sec_fetch_site="cross-site"), request("/act", sec_fetch_site="same-site"),
        request(sec_fetch_site="cross-site", sec_fetch_mode="no-cors"),
        request("/", "POST", sec_fetch_site="cross-site", sec_fetch_mode="navigate"),
        request("/act", sec_fetch_site="cross-site", sec_fetch_mode="navigate"),
        request() | {"headers": [(b"host", b"127.0.0.1"), (b"Host", b"localhost")]},
        request() | {"headers": [(b"host", b"127.0.0.1"), *2 * [(b"origin", b"http://127.0.0.1")]]},
        request() | {"headers": []},
    ],
)  # fmt: skip
def test_all_else_is_refused(scope):
    assert refusal(scope, "127.0.0.1")


def test_elsewhere_only_numbers_and_the_machines_own_name_are_believed():
    for name in ("0.0.0.0", "10.1.2.3:7860", "[fe80::1]:7860", socket.gethostname(), "localhost:7860"):
        assert refusal(request(host=name), "0.0.0.0") == ""
    assert refusal(request(host="review.example"), "0.0.0.0")
    assert refusal(request(host="review.example"), "review.example") == ""


async def echo(scope, receive, send):
    """An application that answers with the body that it was sent, once it has all of it."""
    assert scope["type"] != "lifespan", "this one has none"
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body or b"nothing"})


@pytest.fixture(scope="module")
def address():
    with serve(echo, "test", "127.0.0.1", 0) as address:
        yield address


CLIENT = httpx2.Client(trust_env=False, timeout=20)


def ask(address, method="GET", path="/", **options):
    return CLIENT.request(method, address + path, **options)


POLICY = {
    "default-src 'self'", "img-src 'self' data:", "object-src 'none'", "base-uri 'none'", "form-action 'self'",
    "frame-ancestors 'none'",
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "options"),
    [(200, {}), (403, {"headers": {"Origin": "null"}}), (413, {"method": "POST", "content": bytes(limits.BODY + 1)})],
)
def test_every_answer_has_the_headers(address, status, options):
    answer = ask(address, **options)
    assert answer.status_code == status
    assert set(answer.headers["content-security-policy"].split("; ")) == POLICY
    del answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["connection"] == "close"
    assert "server" not in answer.headers
    assert len(HEADERS) == 5


def test_what_is_served_is_guarded(address):
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = ask(address, "POST", "/act", content=b"body", headers=headers)
        assert answer.status_code == 403 and answer.text.startswith("refused: ")


def test_websockets_are_refused():
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    asyncio.run(Guard(echo, "127.0.0.1")(request() | {"type": "websocket"}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_a_body_is_taken_up_to_the_limit_and_no_further(address):
    assert ask(address, "POST", content=bytes(limits.BODY)).content == bytes(limits.BODY)
    pieces = [b"x" * 9000] * (limits.BODY // 9000)
    assert ask(address, "POST", content=iter(pieces)).content == b"".join(pieces)
    assert ask(address, "POST", content=iter([*pieces, pieces[0]])).status_code == 413


def raw(address):
    """A connection on which anything can be sent."""
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def test_a_long_body_is_refused_before_it_comes(address):
    with raw(address) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 400000000\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_long_headers_are_refused(address):
    with raw(address) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * (limits.HEAD + 1000))
        assert connection.recv(1000).startswith(b"HTTP/1.1 4")


def test_many_cookies_are_no_long_headers(address):
    with raw(address) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * (limits.HEAD - 1000))
        time.sleep(0.1)  # so that they come in two parts
        connection.sendall(b"\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def is_closed(connection):
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


@contextmanager
def impatient(monkeypatch, seconds=0.2):
    monkeypatch.setattr(limits, "PATIENCE", seconds)
    with serve(echo, "test", "127.0.0.1", 0) as address, raw(address) as connection:
        yield connection


def test_headers_that_do_not_come_close_the_connection(monkeypatch):
    with impatient(monkeypatch) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost:")
        assert is_closed(connection)


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch):
    with impatient(monkeypatch) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nbody")
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")


def test_an_answer_may_take_its_time(monkeypatch):
    async def slow(scope, receive, send):
        await asyncio.sleep(3 * limits.PATIENCE)
        await echo(scope, receive, send)

    monkeypatch.setattr(limits, "PATIENCE", 0.1)
    with serve(slow, "test", "127.0.0.1", 0) as address:
        assert ask(address).text == "nothing"


def test_more_connections_than_the_limit_are_closed_at_once(monkeypatch):
    monkeypatch.setattr(limits, "CONNECTIONS", 5)
    with serve(echo, "test", "127.0.0.1", 0) as address, ExitStack() as stack:
        kept = [stack.enter_context(raw(address)) for _ in range(5)]
        more = [stack.enter_context(raw(address)) for _ in range(50)]
        assert all(map(is_closed, more))
        for connection in kept:  # they are as they were
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
            connection.close()
        while True:  # the server has yet to see that they are gone
            try:
                assert ask(address).text == "nothing"
                break
            except httpx2.TransportError:
                pass


def test_a_port_that_is_taken_is_said_so():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"--review.port {port}"), serve(echo, "review", "127.0.0.1", port):
            pass


def test_at_another_address_it_warns(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("realis"), "propagate", True)
    with serve(echo, "review", "0.0.0.0", 0) as address:
        assert address.startswith("http://0.0.0.0:")
    assert "whoever can reach it" in caplog.text


def test_the_server_ends_with_its_context():
    threads = threading.active_count()
    with serve(echo, "test", "127.0.0.1", 0) as address, raw(address):
        assert threading.active_count() > threads
    assert threading.active_count() == threads
    with pytest.raises(httpx2.TransportError):
        ask(address)


def test_an_application_has_its_files_and_no_others(tmp_path):
    (tmp_path / "a.css").write_text("a")
    (tmp_path / "b.css").write_text("secret")
    with serve(page_app(tmp_path, "a.css"), "test", "127.0.0.1", 0) as address:
        answer = ask(address, path="/a.css?name=b.css&file=b.css")
        assert (answer.text, answer.headers["cache-control"]) == ("a", "no-cache")
        for path in ("/b.css", "/docs", "/redoc", "/openapi.json", "/a.css/", "//a.css"):
            assert ask(address, path=path).status_code == 404, path


def test_what_is_put_into_a_template_is_escaped(tmp_path):
    (tmp_path / "a.html").write_text('<p title="{{ text }}">{{ text }}</p>')
    html = templates_in(tmp_path).get_template("a.html").render(text='"><b>')
    assert html == '<p title="&#34;&gt;&lt;b&gt;">&#34;&gt;&lt;b&gt;</p>'

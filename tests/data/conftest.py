"""A web server on this machine that misbehaves as it is told."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from dancelcm_cli.data import http_download


@dataclass(frozen=True)
class Answer:
    """What one request gets; by default all of `body`, or the range that was asked for."""

    body: bytes
    status: int
    headers: Mapping[str, str]
    breaks_after: int | None  # bytes
    hangs: float  # seconds before the connection ends
    knows_ranges: bool
    states_length: bool


class LocalServer:
    """Serves `answers[path]` in order, the last of them for ever, and keeps the requests."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[tuple[str, Mapping[str, str]]] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        if context is not None:
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.port = self._http.server_address[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(
        self,
        path: str,
        body: bytes = b"",
        *,
        status: int = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
        breaks_after: int | None = None,
        hangs: float = 0.0,
        knows_ranges: bool = True,
        states_length: bool = True,
    ) -> str:
        """Add an answer to requests for `path`, and return its address."""
        answer = Answer(
            body, status, headers or {}, breaks_after, hangs, knows_ranges, states_length
        )
        self.answers.setdefault(path, []).append(answer)
        return self.url + path

    def asked(self, header: str) -> list[str | None]:
        return [headers.get(header) for _, headers in self.requests]

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append((self.path, dict(self.headers)))
                queue = server.answers[self.path]
                answer = queue.pop(0) if len(queue) > 1 else queue[0]
                start = _start(self.headers.get("Range")) if answer.knows_ranges else 0
                self._head(answer, start)
                try:
                    self.wfile.write(answer.body[start:][: answer.breaks_after])
                    self.wfile.flush()
                    time.sleep(answer.hangs)
                except OSError:  # the client has had enough
                    pass

            def _head(self, answer: Answer, start: int) -> None:
                length = len(answer.body)
                headers = {"Content-Length": str(length - start)} if answer.states_length else {}
                status = answer.status
                if start and status == HTTPStatus.OK:
                    status = HTTPStatus.PARTIAL_CONTENT
                    headers["Content-Range"] = f"bytes {start}-{length - 1}/{length}"
                    if start >= length:
                        status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
                        headers = {"Content-Length": "0", "Content-Range": f"bytes */{length}"}
                self.send_response(status)
                for name, value in {**headers, **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...

        return Handler


def _start(ranged: str | None) -> int:
    return int(ranged.removeprefix("bytes=").removesuffix("-")) if ranged else 0


@pytest.fixture
def server() -> Iterator[LocalServer]:
    local = LocalServer()
    yield local
    local.stop()


@pytest.fixture
def make_tls_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], LocalServer]]:
    """Make servers whose certificates are trusted for the length of a test."""
    authority = trustme.CA()
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    servers: list[LocalServer] = []

    def make() -> LocalServer:
        servers.append(LocalServer(context))
        return servers[-1]

    yield make
    for local in servers:
        local.stop()


@pytest.fixture
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_download, "FIRST_PAUSE", 0.0)

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import constants

from dancelcm_cli.data import http_download
from dancelcm_cli.data.http_download import CHUNK, TRIES, MirrorError, download, redirected

if TYPE_CHECKING:
    from tests.data.conftest import LocalServer

pytestmark = pytest.mark.usefixtures("_no_pauses")

BODY = random.Random(0).randbytes(6 * CHUNK + 123)
OTHER = random.Random(1).randbytes(len(BODY))


class Client:
    """Downloads into a part file and keeps what it was told."""

    def __init__(self, part: Path) -> None:
        self.part = part
        self.notes: list[str] = []

    def fetch(self, url: str, size: int | None = len(BODY)) -> bytes:
        begun = self.length
        steps: list[int] = []
        download(url, self.part, size, steps.append, self.notes.append)
        assert begun + sum(steps) == self.length
        return self.part.read_bytes()

    @property
    def length(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path / "file.part")


@pytest.mark.parametrize("size", [len(BODY), None], ids=["size known", "size unknown"])
def test_a_file_arrives_whole(server: LocalServer, client: Client, size: int | None) -> None:
    assert client.fetch(server.answer("/file", BODY), size) == BODY
    assert client.notes == []


@pytest.mark.parametrize("size", [len(BODY), None], ids=["size known", "size unknown"])
@pytest.mark.parametrize("breaks_after", [0, 1, CHUNK, 3 * CHUNK + 1, len(BODY) - 1])
def test_a_file_that_breaks_off_is_continued(
    server: LocalServer, client: Client, breaks_after: int, size: int | None
) -> None:
    server.answer("/file", BODY, breaks_after=breaks_after)
    assert client.fetch(server.answer("/file", BODY), size) == BODY
    kept = breaks_after // CHUNK * CHUNK
    assert server.asked("Range") == [None, f"bytes={kept}-" if kept else None]
    assert len(client.notes) == 1


def test_what_an_earlier_run_has_fetched_is_not_fetched_again(
    server: LocalServer, client: Client
) -> None:
    client.part.write_bytes(BODY[:1000])
    assert client.fetch(server.answer("/file", BODY)) == BODY
    assert server.asked("Range") == ["bytes=1000-"]


def test_a_complete_part_of_known_size_asks_nobody(server: LocalServer, client: Client) -> None:
    client.part.write_bytes(BODY)
    assert client.fetch(server.answer("/file", OTHER)) == BODY
    assert server.requests == []


def test_a_complete_part_of_unknown_size_is_kept(server: LocalServer, client: Client) -> None:
    client.part.write_bytes(BODY)
    assert client.fetch(server.answer("/file", BODY), size=None) == BODY
    assert server.asked("Range") == [f"bytes={len(BODY)}-"]


def test_a_part_longer_than_the_file_is_discarded(server: LocalServer, client: Client) -> None:
    client.part.write_bytes(BODY + b"more")
    assert client.fetch(server.answer("/file", BODY), size=None) == BODY


def test_a_server_that_ignores_ranges_is_read_from_the_start(
    server: LocalServer, client: Client
) -> None:
    client.part.write_bytes(OTHER[:1000])
    assert client.fetch(server.answer("/file", BODY, knows_ranges=False)) == BODY


def test_nothing_of_an_old_part_survives_a_start_from_scratch(
    server: LocalServer, client: Client
) -> None:
    client.part.write_bytes(OTHER[: 3 * CHUNK])
    server.answer("/file", BODY, knows_ranges=False, breaks_after=CHUNK)
    assert client.fetch(server.answer("/file", BODY)) == BODY


def test_a_server_that_continues_elsewhere_is_refused(server: LocalServer, client: Client) -> None:
    client.part.write_bytes(BODY[:1000])
    elsewhere = {"Content-Range": f"bytes 999-{len(BODY) - 1}/{len(BODY)}"}
    with pytest.raises(MirrorError, match="must continue at byte 1000"):
        client.fetch(server.answer("/file", BODY, headers=elsewhere))
    assert client.part.read_bytes() == BODY[:1000]


def test_breaks_are_forgiven_as_long_as_each_try_brings_something(
    server: LocalServer, client: Client
) -> None:
    assert len(BODY) // CHUNK > TRIES
    assert client.fetch(server.answer("/file", BODY, breaks_after=CHUNK)) == BODY


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_server_that_brings_nothing_new_is_given_up(
    server: LocalServer, client: Client, knows_ranges: bool
) -> None:
    server.answer("/file", BODY, breaks_after=2 * CHUNK, knows_ranges=knows_ranges)
    url = server.answer("/file", BODY, breaks_after=CHUNK // 2, knows_ranges=knows_ranges)
    with pytest.raises(MirrorError, match="the connection failed"):
        client.fetch(url)
    assert len(server.requests) == 1 + TRIES


def test_a_server_that_falls_silent_is_asked_again(
    server: LocalServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_download, "TIMEOUT", (1.0, 0.1))
    server.answer("/file", BODY, breaks_after=2 * CHUNK, hangs=0.5)
    assert client.fetch(server.answer("/file", BODY)) == BODY
    assert server.asked("Range") == [None, f"bytes={2 * CHUNK}-"]


def test_nobody_listening_is_no_traceback(client: Client, server: LocalServer) -> None:
    server.stop()
    with pytest.raises(MirrorError, match="the connection failed"):
        client.fetch(server.url + "/file")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_answer_that_may_pass_is_tried_again(
    server: LocalServer, client: Client, status: int
) -> None:
    server.answer("/file", b"later", status=status, headers={"Retry-After": "0"})
    assert client.fetch(server.answer("/file", BODY)) == BODY
    assert str(status) in client.notes[0]


def test_a_server_that_asks_for_time_gets_it_within_bounds(
    server: LocalServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_download, "LONGEST_PAUSE", 0.05)
    server.answer("/file", status=503, headers={"Retry-After": "86400"})
    assert client.fetch(server.answer("/file", BODY)) == BODY


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_taken_at_its_word(server: LocalServer, client: Client, status: int) -> None:
    with pytest.raises(MirrorError, match=f"it answers {status}"):
        client.fetch(server.answer("/file", b"<html>", status=status))
    assert len(server.requests) == 1
    assert client.length == 0


@pytest.mark.parametrize("body", [BODY + b"!", BODY[:-1], b"<html>sign in</html>"])
def test_a_file_of_another_size_is_refused_before_it_is_read(
    server: LocalServer, client: Client, body: bytes
) -> None:
    with pytest.raises(MirrorError, match=f"must offer {len(BODY)} bytes, but offers {len(body)}"):
        client.fetch(server.answer("/file", body))
    assert client.length == 0


def test_more_bytes_than_promised_are_not_read(server: LocalServer, client: Client) -> None:
    url = server.answer("/file", BODY + OTHER, states_length=False)
    with pytest.raises(MirrorError, match=f"must send {len(BODY)} bytes, but sends more"):
        client.fetch(url)
    assert client.length <= len(BODY)


def test_a_compressed_answer_cannot_grow_beyond_its_promise(
    server: LocalServer, client: Client
) -> None:
    bomb = gzip.compress(bytes(100 * CHUNK))
    url = server.answer("/file", bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(MirrorError, match="but sends more"):
        client.fetch(url, size=None)
    assert client.length <= len(bomb)


def test_an_endless_answer_of_unknown_length_is_not_begun(
    server: LocalServer, client: Client
) -> None:
    with pytest.raises(MirrorError, match="must say how long the file is"):
        client.fetch(server.answer("/file", BODY, states_length=False), size=None)
    assert client.length == 0


def test_a_redirect_to_another_host_is_followed_with_the_range(
    server: LocalServer, client: Client
) -> None:
    client.part.write_bytes(BODY[:1000])
    target = server.answer("/there", BODY).replace("127.0.0.1", "localhost")
    url = server.answer("/here", status=302, headers={"Location": target})
    assert client.fetch(url) == BODY
    assert server.asked("Range") == ["bytes=1000-"] * 2
    assert server.asked("Host") == [f"127.0.0.1:{server.port}", f"localhost:{server.port}"]


@pytest.mark.parametrize(
    "location", ["file:///etc/hostname", "ftp://example.org/file", "data:,text", "javascript:1"]
)
def test_a_redirect_to_another_kind_of_address_is_refused(
    server: LocalServer, client: Client, location: str
) -> None:
    with pytest.raises(MirrorError, match="must redirect from http to https, but goes to"):
        client.fetch(server.answer("/file", status=302, headers={"Location": location}))
    assert client.length == 0


def test_a_redirect_from_https_to_http_is_refused(
    server: LocalServer, make_tls_server: Callable[[], LocalServer], client: Client
) -> None:
    target = server.answer("/file", BODY)
    url = make_tls_server().answer("/file", status=302, headers={"Location": target})
    with pytest.raises(MirrorError, match="must redirect from https to https, but goes to http"):
        client.fetch(url)
    assert server.requests == []


def test_a_redirect_from_http_to_https_is_followed(
    server: LocalServer, make_tls_server: Callable[[], LocalServer], client: Client
) -> None:
    target = make_tls_server().answer("/file", BODY)
    assert client.fetch(server.answer("/file", status=308, headers={"Location": target})) == BODY


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(
    make_tls_server: Callable[[], LocalServer], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_tls_server().answer("/file", BODY)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    with pytest.raises(MirrorError, match="certificate"):
        client.fetch(url)
    assert client.notes == []


def test_redirects_in_a_circle_end(server: LocalServer, client: Client) -> None:
    with pytest.raises(MirrorError, match="redirects more than"):
        client.fetch(server.answer("/file", status=302, headers={"Location": "/file"}))


@pytest.mark.parametrize(
    ("url", "location", "target"),
    [
        ("https://a/b/c", "https://d/e", "https://d/e"),
        ("https://a/b/c", "//d/e", "https://d/e"),
        ("https://a/b/c", "e?x=1", "https://a/b/e?x=1"),
        ("http://a/b/c", "http://d/e", "http://d/e"),
    ],
)
def test_a_redirect_keeps_the_kind_of_address(url: str, location: str, target: str) -> None:
    assert redirected(url, location) == target


def test_the_hubs_token_goes_to_the_hub_alone(
    make_tls_server: Callable[[], LocalServer], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, store = make_tls_server(), make_tls_server()
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    target = store.answer("/blob", BODY)
    assert client.fetch(hub.answer("/file", status=302, headers={"Location": target})) == BODY
    assert hub.asked("Authorization") == ["Bearer hf_secret"]
    assert store.asked("Authorization") == [None]


def test_no_token_goes_over_an_open_line(
    server: LocalServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    client.fetch(server.answer("/file", BODY))
    assert server.asked("Authorization") == [None]


def test_no_password_of_the_users_is_sent(
    server: LocalServer, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    client.fetch(server.answer("/file", BODY))
    assert server.asked("Authorization") == [None]

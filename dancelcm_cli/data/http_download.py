"""One file over HTTP: continued where it broke off, tried again, never led astray.

A server may redirect, but only to https, or from http to http where the first address says http:
to no other kind of address, and never from https down to http. It gets no credentials, except the
Hugging Face hub its own token over TLS. What it sends is bounded by what it promised.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests

from dancelcm_cli import __version__

TRIES = 4  # in a row that bring not one new byte
FIRST_PAUSE = 1.0  # seconds; doubled after each of them
LONGEST_PAUSE = 60.0  # seconds that a server may ask us to wait
TIMEOUT = (10.0, 60.0)  # seconds to connect and between two bytes
MAX_REDIRECTS = 5
CHUNK = 1 << 16  # bytes; what a break loses at most
PASSING = {  # answers that another try may change
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
CONTENT_RANGE = re.compile(r"bytes (?P<start>\d+)-\d+/(?P<total>\d+|\*)")

Advance = Callable[[int], object]


class MirrorError(Exception):
    """This server cannot give the file; another may. Says why, as half a sentence."""


class BrokenOffError(Exception):
    """The transfer ended early; the next try may continue it, after `pause` seconds."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


@dataclass(frozen=True)
class Offer:
    """What a server promises to send: the bytes from `start` on, of `total`."""

    start: int
    total: int


def download(
    url: str, part: Path, size: int | None, advance: Advance, note: Callable[[str], None]
) -> None:
    """Fetch `url` into `part`, continuing what is there already.

    Args:
        url: where the file is.
        part: receives the file; keeps what has come when this raises.
        size: bytes the file must have, or None where only the server knows.
        advance: called with the number of new bytes; a negative one when they are lost again.
        note: told about every break.

    Raises:
        MirrorError: the server gives another thing, or nothing after `TRIES` tries.
    """
    furthest, fruitless = _length(part), 0
    with requests.Session() as session:
        session.auth = _no_credentials
        while True:
            try:
                _receive(session, url, part, size, advance)
                return
            except BrokenOffError as broken:
                fruitless = 0 if _length(part) > furthest else fruitless + 1
                furthest = max(furthest, _length(part))
                if fruitless == TRIES:
                    raise MirrorError(str(broken)) from broken
                pause = max(FIRST_PAUSE * 2 ** max(fruitless - 1, 0), broken.pause)
                note(f"{urlsplit(url).hostname}: {broken}; trying again in {pause:.0f} s")
            time.sleep(pause)


def redirected(url: str, location: str) -> str:
    """Return the address that the answer of `url` points to by its header `Location`.

    Raises:
        MirrorError: it may not be followed.
    """
    target = urljoin(url, location)
    kinds = urlsplit(url).scheme, urlsplit(target).scheme
    if kinds[1] != "https" and kinds != ("http", "http"):
        raise MirrorError(f"it must redirect from {kinds[0]} to https, but goes to {kinds[1]}")
    return target


def _receive(
    session: requests.Session, url: str, part: Path, size: int | None, advance: Advance
) -> None:
    have = _length(part)
    if have == size:
        return
    try:
        with _open(session, url, have) as response:
            if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                if response.headers.get("Content-Range") == f"bytes */{have}":
                    return  # all of it came before
                _discard(part, advance)
                raise BrokenOffError("what came before does not fit")
            offer = _offer(response, have, size)
            advance(offer.start - have)
            _write(response, part, offer, advance)
    except requests.exceptions.SSLError as error:
        raise MirrorError("its certificate cannot be trusted") from error
    except (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
    ) as error:
        raise BrokenOffError("the connection failed") from error
    except requests.RequestException as error:
        raise MirrorError(f"its answer cannot be read ({type(error).__name__})") from error


def _open(session: requests.Session, url: str, start: int) -> requests.Response:
    """Ask for the bytes from `start` on, and follow where that leads."""
    for _ in range(MAX_REDIRECTS + 1):
        headers = _headers(url)
        if start:
            headers["Range"] = f"bytes={start}-"
        response = session.get(
            url, headers=headers, stream=True, allow_redirects=False, timeout=TIMEOUT
        )
        location = session.get_redirect_target(response)
        if location is None:
            return response
        response.close()
        url = redirected(url, location)
    raise MirrorError(f"it redirects more than {MAX_REDIRECTS} times")


def _offer(response: requests.Response, have: int, size: int | None) -> Offer:
    """Read off the headers what will come when the bytes from `have` on were asked for."""
    status, headers = response.status_code, response.headers
    if status == HTTPStatus.PARTIAL_CONTENT:
        ranged = CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if ranged is None or int(ranged["start"]) != have:
            raise MirrorError(f"it must continue at byte {have}, but does not")
        return Offer(have, _total(ranged["total"], size))
    if status == HTTPStatus.OK:  # also the answer of a server that knows no ranges
        return Offer(0, _total(headers.get("Content-Length", ""), size))
    if status in PASSING:
        wait = headers.get("Retry-After", "")
        pause = min(float(wait), LONGEST_PAUSE) if wait.isdecimal() else 0.0
        raise BrokenOffError(f"it answers {status}", pause)
    raise MirrorError(f"it answers {status}")


def _total(stated: str, size: int | None) -> int:
    total = int(stated) if stated.isdecimal() else size
    if total is None:
        raise MirrorError("it must say how long the file is, but does not")
    if size not in (None, total):
        raise MirrorError(f"it must offer {size} bytes, but offers {total}")
    return total


def _write(response: requests.Response, part: Path, offer: Offer, advance: Advance) -> None:
    with part.open("r+b" if part.exists() else "wb") as file:
        file.truncate(offer.start)
        file.seek(offer.start)
        for chunk in response.iter_content(CHUNK):
            if file.tell() + len(chunk) > offer.total:
                raise MirrorError(f"it must send {offer.total} bytes, but sends more")
            file.write(chunk)
            advance(len(chunk))
        if file.tell() < offer.total:
            raise BrokenOffError(f"it ends after {file.tell()} of {offer.total} bytes")


def _discard(part: Path, advance: Advance) -> None:
    advance(-_length(part))
    part.unlink(missing_ok=True)


def _headers(url: str) -> dict[str, str]:
    """Return what `url` is told about us: the user's token where it is the hub, over TLS."""
    from huggingface_hub import constants, get_token  # only where something is fetched

    headers = {"User-Agent": f"dancelcm/{__version__}", "Accept-Encoding": "identity"}
    asked, hub = urlsplit(url), urlsplit(constants.ENDPOINT)
    if (asked.scheme, asked.netloc) == ("https", hub.netloc):
        token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
        return {**headers, "Authorization": f"Bearer {token}"} if token else headers
    return headers


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request  # given as the session's auth, it keeps requests from looking into ~/.netrc


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

"""One file over HTTP: resumed where an earlier attempt ended, tried again a few times, its failures told apart.

What has come lies in a ``.part`` file; a note beside it keeps what the server called this version of the file, its ETag
or its date. Without that an attempt begins anew.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

from ..version import __version__
from .progress import Progress, size_text

# Seconds without a byte after which a connection counts as stalled.
TIMEOUT_S = 30.0
# Seconds to wait before each further attempt.
BACK_OFF_S = (1.0, 3.0, 9.0)
_BLOCK = 1 << 18
_PASSING = (408, 425, 429)  # and all from 500 on
_NO_NETWORK = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class TransferError(Exception):
    """Why a file did not come; another attempt would not help."""


class _BrokenError(Exception):
    """What another attempt may mend."""


def transfer(url: str, part: Path, name: str, shown: bool) -> None:
    """Fetch a file completely, onto the disk itself.

    Args:
        url: of HTTP or HTTPS; proxies are those of the environment (``https_proxy``, ``no_proxy``).
        part: where to; what lies there is gone on with, if the server still has the same file.
        name: what the progress calls it.
        shown: show the progress.

    Raises:
        TransferError: it did not come; ``part`` may hold its beginning.
    """
    for pause in (*BACK_OFF_S, None):
        try:
            return _attempt(url, part, name, shown)
        except _BrokenError as error:
            if pause is None:
                raise TransferError(f'{error}, {len(BACK_OFF_S) + 1} times') from error
            time.sleep(pause)


def discard(part: Path) -> None:
    """Remove a ``.part`` file and its note."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _attempt(url: str, part: Path, name: str, shown: bool) -> None:
    start, version = _resumable(part)
    headers = {'User-Agent': f'moganet/{__version__}', 'Accept-Encoding': 'identity'}
    if start:
        headers |= {'Range': f'bytes={start}-', 'If-Range': version}
    with contextlib.closing(_open(url, headers, part)) as response:
        if response.status == http.client.PARTIAL_CONTENT:
            _check_continues(response.headers, start, version, part)
        elif response.status == http.client.OK:
            start = 0
        else:
            raise TransferError(f'the server answered {response.status} {response.reason}')
        length = response.headers.get('Content-Length', '')
        total = start + int(length) if length.isdigit() else None
        try:
            _check_space(part, start, total)
            with open(part, 'ab' if start else 'wb') as file, Progress(name, total, start, shown) as progress:
                if not start:
                    _write_note(part, response.headers)
                received = start
                while total is None or received < total:
                    block = _next_block(response)
                    if not block:
                        break
                    if not received:
                        _refuse_page(response.headers, block)
                    file.write(block)
                    received += len(block)
                    progress.add(len(block))
                file.flush()
                if total is None or received == total:
                    os.fsync(file.fileno())
        except OSError as error:
            raise TransferError(_disk_reason(error, part)) from error
        if not received:
            raise TransferError('the server sent an empty file')
        if total is not None and received < total:
            raise _BrokenError(f'the connection ended after {received} of {total} bytes')


def _open(url: str, headers: dict[str, str], part: Path) -> http.client.HTTPResponse:
    try:
        # Not urlopen, which keeps the proxies that it saw at its first call.
        opener = urllib.request.build_opener()
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        with error:
            told = f'{error.code} {error.reason}'
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and 'Range' in headers:
            discard(part)
            raise _BrokenError(f'the server has no more of the file than is here ({told})') from error
        if error.code in _PASSING or error.code >= 500:
            raise _BrokenError(f'the server failed ({told})') from error
        if error.code in (404, 410):
            raise TransferError(f'there is no such file on the server ({told})') from error
        if error.code in (401, 403, 407):
            raise TransferError(f'the server or a proxy refuses to give it ({told})') from error
        raise TransferError(f'the server answered {told}') from error
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, http.client.InvalidURL):
            raise TransferError(f'it is no valid URL ({error})') from error
        raise _connection_error(error, url) from error
    except ValueError as error:
        raise TransferError(f'it is no valid URL ({error})') from error
    if not isinstance(response, http.client.HTTPResponse):
        raise TransferError(f'the server sends on to {response.geturl()}, which is neither http nor https')
    return response


def _connection_error(error: Exception, url: str) -> TransferError | _BrokenError:
    """Tell apart what kept a connection from being made, or broke it."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    server = _server(url)
    if isinstance(reason, socket.gaierror):
        return TransferError(f'no network, or no such host: {server} cannot be resolved ({reason.strerror})')
    if isinstance(reason, ConnectionRefusedError):
        return TransferError(f'the connection was refused by {server}')
    if isinstance(reason, ssl.SSLCertVerificationError):
        return TransferError(f'the certificate of {server} cannot be verified ({reason.verify_message})')
    if isinstance(reason, OSError) and reason.errno in _NO_NETWORK:
        return TransferError(f'no network: {server} cannot be reached ({reason.strerror})')
    if isinstance(reason, TimeoutError):
        return _BrokenError(f'the connection to {server} stalled: no byte came for {TIMEOUT_S:g} s')
    return _BrokenError(f'the connection to {server} broke ({str(reason) or type(reason).__name__})')


def _server(url: str) -> str:
    """Return the host that is connected to; a proxy's name without the password that its URL may hold."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ''):
        return f'the proxy {urlsplit(proxy).hostname or "of the environment"}'
    return parts.hostname or url


def _next_block(response: http.client.HTTPResponse) -> bytes:
    """Read what has come, at least a byte; nothing at the end."""
    try:
        return response.read1(_BLOCK)
    except (OSError, http.client.HTTPException) as error:
        reason = _connection_error(error, response.geturl())
        # The connection stood, so that it may stand again.
        raise _BrokenError(str(reason)) from error


def _refuse_page(headers: Message, block: bytes) -> None:
    """Refuse a web page, by its type or its first bytes: a proxy's log-in, an error told as a success."""
    is_page = block.lstrip().lower().startswith((b'<!doctype html', b'<html'))
    if not is_page and headers.get_content_type() != 'text/html':
        return
    title = re.search(rb'<title[^>]*>(.*?)</title>', block, re.IGNORECASE | re.DOTALL)
    named = f' ({" ".join(title[1].decode(errors="replace").split())[:80]})' if title else ''
    raise TransferError(f'the server sent an HTML page{named} instead of the file; a log-in or a proxy may be between')


def _check_space(part: Path, start: int, total: int | None) -> None:
    """Refuse what does not fit before an hour is spent on it."""
    free = shutil.disk_usage(part.parent).free
    # A file that is begun anew gives its room back.
    taken = part.stat().st_size if not start and part.is_file() else 0
    if total is not None and total - start > free + taken:
        raise TransferError(
            f'the disk of {part.parent} is full: {size_text(total - start)} are needed, {size_text(free)} are free; '
            'make room, or name another folder in MOGANET_CACHE'
        )


def _disk_reason(error: OSError, part: Path) -> str:
    if error.errno in _DISK_FULL:
        return f'the disk of {part.parent} is full; make room, or name another folder in MOGANET_CACHE'
    return f'{part} cannot be written ({error.strerror or error})'


def _check_continues(headers: Message, start: int, version: str, part: Path) -> None:
    """Refuse a part of another version of the file, or another part than was asked for, and forget what is here."""
    given = re.match(r'bytes (\d+)-', headers.get('Content-Range', ''))
    now = _version(headers)
    if not start or given is None or int(given[1]) != start or now not in ('', version):
        discard(part)
        raise _BrokenError('the server sent another part of the file than was asked for')


def _version(headers: Message) -> str:
    """Return what tells this version of the file from others, as If-Range takes it: no weak tag; empty when none."""
    tag = headers.get('ETag', '')
    return tag if tag.startswith('"') else headers.get('Last-Modified', '')


def _note(part: Path) -> Path:
    return part.with_name(f'{part.name}.json')


def _write_note(part: Path, headers: Message) -> None:
    _note(part).write_text(json.dumps({'version': _version(headers)}), encoding='utf-8')


def _resumable(part: Path) -> tuple[int, str]:
    """Return how many bytes there are to go on from, and their version; 0 where the attempt begins anew."""
    try:
        version = json.loads(_note(part).read_text(encoding='utf-8'))['version']
        size = part.stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return 0, ''
    return (size, version) if size and isinstance(version, str) and version else (0, '')

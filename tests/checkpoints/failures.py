"""What a download's failure says, and what it leaves."""

from __future__ import annotations

import pytest

from moganet.checkpoints.download import cached_path, fetch
from moganet.checkpoints.errors import CheckpointError, DownloadError

from .server import Server


def failure(url: str, kind: type[CheckpointError] = DownloadError, **options) -> str:
    """What a fetch that fails says, which always tells how to do without it."""
    with pytest.raises(kind) as caught:
        fetch(url, **options)
    text = str(caught.value)
    assert type(caught.value) is kind and '\n' not in text
    assert f'fetch {url} elsewhere and put the file at {cached_path(url)}' in text
    return text


def left(server: Server) -> set[str]:
    """What lies in the cache of the server's URL."""
    return {path.name for path in cached_path(server.url()).parent.iterdir()} - {'moganet.pth.lock'}


def ranges(server: Server) -> list[str | None]:
    return [headers.get('range') for _, headers in server.requests]

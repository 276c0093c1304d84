"""Reading an annotation file of half a gigabyte."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .report import Findings


def read_json(path: str, findings: Findings) -> Any:
    """Return what a JSON file holds; note a fault and return None when it cannot be read."""
    try:
        with no_collection():
            # As the toolboxes read it: no byte order mark, no other encoding.
            return json.loads(Path(path).read_text(encoding='utf-8'))
    except json.JSONDecodeError as error:
        findings.fault('unreadable', path, f'line {error.lineno}', f'no JSON: {error.msg} in column {error.colno}')
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        findings.fault('unreadable', path, None, f'cannot be read: {error}')
    return None


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Keep Python from searching for garbage cycles: among millions of new lists it finds none, at half the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()

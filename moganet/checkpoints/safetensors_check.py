"""The safetensors format: the length of a header, a header in JSON, and the bytes of the tensors; no checksum."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from .errors import NotACheckpointError, TornFileError

LONGEST_HEADER = 100_000_000  # bytes; the safetensors library has the same bound
METADATA = '__metadata__'
# The metadata's values are texts; this one, which names classes and their colours, is JSON.
DATASET_META = 'dataset_meta'
_BYTES = {
    **dict.fromkeys(('F64', 'I64'), 8),
    **dict.fromkeys(('F32', 'I32'), 4),
    **dict.fromkeys(('F16', 'BF16', 'I16'), 2),
    **dict.fromkeys(('BOOL', 'I8', 'U8'), 1),
}


def check_safetensors(path: Path) -> dict[str, str]:
    """Hold the header to the file before anything of it is read; return its metadata.

    Raises:
        TornFileError: the file is cut short, or the tensors overlap or leave gaps.
        NotACheckpointError: the header is no safetensors header.
    """
    size = path.stat().st_size
    with path.open('rb') as file:
        length = int.from_bytes(file.read(8), 'little')
        if length > min(LONGEST_HEADER, size - 8):
            raise TornFileError(f'{path}: its header of {length:,} bytes does not fit in its {size:,}; fetch it again')
        text = file.read(length)
    header = _parsed(path, text)
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise NotACheckpointError(f'{path}: {METADATA} of a safetensors header is a map of texts')
    place = 0
    for name, begin, end in sorted((_span(path, name, row) for name, row in header.items()), key=lambda span: span[1:]):
        if begin != place:
            raise TornFileError(
                f'{path}: the tensor {name!r} begins at byte {begin:,} of the data, and the one before it ends at '
                f'{place:,}: the header is damaged; fetch the file again'
            )
        place = end
    if 8 + length + place != size:
        raise TornFileError(f'{path} has {size:,} bytes and should have {8 + length + place:,}; fetch it again')
    return metadata


def meta_of(metadata: dict[str, str]) -> dict[str, Any]:
    """Return the metadata of a header as a checkpoint's ``meta``, with the classes as what they were."""
    try:
        named = json.loads(metadata.get(DATASET_META, ''))
    except (ValueError, RecursionError):
        return dict(metadata)
    return {**metadata, DATASET_META: named} if isinstance(named, dict) else dict(metadata)


def _parsed(path: Path, text: bytes) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError('a name stands there twice')
        return found

    try:
        header = json.loads(text.decode(), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise TornFileError(f'{path}: its safetensors header is damaged ({error}); fetch it again') from error
    if not isinstance(header, dict):
        raise NotACheckpointError(f'{path}: a safetensors header is a map of names, not a {type(header).__name__}')
    return header


def _span(path: Path, name: str, row: Any) -> tuple[str, int, int]:
    """Return the name of a tensor and where its bytes begin and end, once its dtype and shape agree with that."""
    row = row if isinstance(row, dict) else {}
    dtype, shape, offsets = row.get('dtype'), row.get('shape'), row.get('data_offsets')
    if not isinstance(dtype, str) or dtype not in _BYTES:
        raise NotACheckpointError(f'{path}: the tensor {name!r} is of dtype {dtype!r}; known are {", ".join(_BYTES)}')
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2:
        raise TornFileError(f'{path}: shape or data_offsets of the tensor {name!r} are damaged; fetch the file again')
    begin, end = offsets
    if end - begin != math.prod(shape) * _BYTES[dtype]:
        raise TornFileError(
            f'{path}: the tensor {name!r}, {dtype} of shape {shape}, has {end - begin:,} bytes: the header is damaged; '
            'fetch the file again'
        )
    return name, begin, end


def _counts(numbers: Any) -> bool:
    return isinstance(numbers, list) and all(type(number) is int and 0 <= number < 1 << 62 for number in numbers)

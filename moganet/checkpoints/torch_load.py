"""Have torch read a file: weights alone, or everything."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from .allowed import file_globals
from .errors import NotACheckpointError, UnsafeFileError


def load(path: Path, unsafe: bool, mapped: bool) -> Any:
    """Return what torch finds in a file, with every tensor on the processor.

    Args:
        unsafe: run what the file's pickle says.
        mapped: leave the weights in the file, to be read when they are used; torch's zip files alone.

    Raises:
        UnsafeFileError: the weights-only reader refuses the file.
        NotACheckpointError: torch cannot read it.
    """
    try:
        # By the name's end alone torch would take the file for another format.
        if path.suffix == '.safetensors':
            with path.open('rb') as file:
                return _load(file, unsafe, mapped=False)
        return _load(str(path), unsafe, mapped)
    except pickle.UnpicklingError as error:
        raise UnsafeFileError(
            f'{path} is refused by the weights-only reader: {_reason(str(error))}. Nothing of it was run'
        ) from error
    except Exception as error:  # torch raises RuntimeError, KeyError, EOFError, OverflowError, TypeError ...
        raise NotACheckpointError(
            f'{path} cannot be read by torch {torch.__version__} ({type(error).__name__}: {error}); fetch it again'
        ) from error


def _load(file: Any, unsafe: bool, mapped: bool) -> Any:
    options: dict[str, Any] = {'map_location': 'cpu', 'mmap': mapped}
    if unsafe:
        return torch.load(file, weights_only=False, **options)
    if not takes_named_globals():
        from ..compat import restricted_pickle

        return torch.load(file, weights_only=False, pickle_module=restricted_pickle(), **options)
    with _exactly_allowed():
        return torch.load(file, weights_only=True, **options)


def _reason(message: str) -> str:
    """Return what the reader says of the file, without torch's advice to read it unsafely."""
    said = message.rpartition('WeightsUnpickler error:')[2].strip().splitlines()[0]
    return said.partition(' Please use')[0].rstrip('.')[:300]


def takes_named_globals() -> bool:
    """Whether torch's weights-only reader takes a list of what it may build, with a stand-in for a name."""
    major, minor = torch.__version__.split('.')[:2]
    return (int(major), int(minor)) >= (2, 6)


@contextlib.contextmanager
def _exactly_allowed() -> Iterator[None]:
    """Let torch build what :func:`file_globals` names and, whatever others have put on its list, nothing else."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        named: list[Any] = [(value, name) for name, value in file_globals().items()]
        with torch.serialization.safe_globals(named):
            yield
    finally:
        torch.serialization.add_safe_globals(before)

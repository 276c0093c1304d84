"""The formats that a model is exported to: what their files are called, and what they need."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

from ..compat import torch_version
from ..names import did_you_mean
from ..optional import missing

# torch.export.Dim.DYNAMIC, by which a traced program takes pictures of any size.
_LOWEST_TORCH = (2, 6)


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        name: as on the command line.
        suffix: what its files end in.
        writes: packages that writing it takes; their import names are those of their distributions.
        reads: packages that running it takes.
    """

    name: str
    suffix: str
    writes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()


FORMATS = {
    each.name: each
    for each in (
        Format('onnx', '.onnx', ('onnx', 'onnxscript', 'onnxruntime'), ('onnxruntime',)),
        # It is made of the ONNX form.
        Format('openvino', '.xml', ('onnx', 'onnxscript', 'openvino'), ('openvino',)),
        Format('torch-export', '.pt2'),
    )
}


def find_format(name: str) -> Format:
    """Return a format by its name.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in FORMATS:
        known = ', '.join(FORMATS)
        raise ValueError(f'format {name!r} is unknown; it must be one of {known}{did_you_mean(name, FORMATS)}')
    return FORMATS[name]


def format_of(path: str | Path) -> Format:
    """Return the format of a file by what its name ends in.

    Raises:
        ValueError: that is no format's.
    """
    for each in FORMATS.values():
        if Path(path).suffix == each.suffix:
            return each
    known = ', '.join(f'{each.suffix} ({each.name})' for each in FORMATS.values())
    raise ValueError(f'{path} is no exported model by its name; it must end in one of {known}')


def need(packages: tuple[str, ...], needed_by: str) -> None:
    """Import packages of the extra ``export``, and look at torch.

    Args:
        packages: their names.
        needed_by: what needs them, for the message.

    Raises:
        ImportError: one is missing, or torch is too old; the message has the line that installs it.
    """
    if torch_version() < _LOWEST_TORCH:
        lowest = '.'.join(map(str, _LOWEST_TORCH))
        raise ImportError(f'{needed_by} needs torch {lowest} or newer')
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise missing(needed_by, package, error) from error

"""Write a traced network in each format."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from .formats import Format, need
from .tracing import Traced

INPUT = 'input'
# The first with GELU as one operator.
DEFAULT_OPSET = 20
# Torch writes none below it.
_LOWEST_OPSET = 18
METADATA = 'moganet'  # what a key of ours begins with
TORCH_FILE = 'moganet.json'


def check_opset(opset: int) -> None:
    """Refuse a version of ONNX's operators that cannot be written.

    Raises:
        ValueError: it is below what torch writes, or above what the installed onnx knows.
        ImportError: onnx is not installed.
    """
    need(('onnx',), '--opset')
    import onnx

    highest = onnx.defs.onnx_opset_version()
    if not _LOWEST_OPSET <= opset <= highest:
        raise ValueError(f'--opset {opset}: from {_LOWEST_OPSET} to {highest} can be written here')


def write(traced: Traced, form: Format, path: Path, metadata: Mapping[str, str], opset: int = DEFAULT_OPSET) -> None:
    """Write a file; OpenVINO's weights go beside it, into one that ends in ``.bin``.

    Args:
        traced: the network.
        form: the format.
        path: the file.
        metadata: what is told of the model in it.
        opset: version of ONNX's operators.

    Raises:
        ImportError: what the format needs is not installed.
        ValueError: an operator of the network is not in the format.
    """
    need(form.writes, f'--format {form.name}')
    if form.name == 'torch-export':
        import json

        torch.export.save(traced.program, str(path), extra_files={TORCH_FILE: json.dumps(dict(metadata))})
        return
    proto = onnx_of(traced, metadata, opset)
    if form.name == 'onnx':
        path.write_bytes(proto.SerializeToString())
        return
    import openvino

    model = openvino.Core().read_model(proto.SerializeToString())
    for key, value in metadata.items():
        model.set_rt_info(value, [METADATA, key])
    openvino.save_model(model, str(path), compress_to_fp16=False)


def onnx_of(traced: Traced, metadata: Mapping[str, str], opset: int = DEFAULT_OPSET) -> Any:
    """Return the ONNX model of a traced network; arguments and errors are those of :func:`write`."""
    with _quietly():
        try:
            made = torch.onnx.export(
                traced.program, (), dynamo=True, opset_version=opset, input_names=[INPUT], output_names=traced.outputs,
                verbose=False,
            )  # fmt: skip
        except Exception as error:  # torch has many for what it cannot write
            line = str(error).strip().splitlines()[0][:300]
            raise ValueError(f'this network cannot be written as ONNX: {type(error).__name__}: {line}') from error
    assert made is not None  # without a file it returns the program
    proto = made.model_proto
    _strip(proto.graph)
    for function in proto.functions:
        _strip(function)
    _name_dimensions(proto.graph, traced)
    del proto.metadata_props[:]
    for key, value in metadata.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = f'{METADATA}.{key}', value
    return proto


def _strip(graph: Any) -> None:
    """Remove what torch notes of where in which source file each operator comes from."""
    for kind in ('node', 'input', 'output', 'value_info', 'initializer'):
        for entry in getattr(graph, kind, ()):
            entry.doc_string = ''
            if hasattr(entry, 'metadata_props') and not isinstance(entry, str):
                del entry.metadata_props[:]
    if hasattr(graph, 'metadata_props'):
        del graph.metadata_props[:]


def _name_dimensions(graph: Any, traced: Traced) -> None:
    """Name the sizes that are free; torch names them s77 and the like."""
    free = dict(enumerate(('batch', '', 'height', 'width')))
    names = {}
    for axis, dimension in enumerate(graph.input[0].type.tensor_type.shape.dim):
        if dimension.dim_param:
            names[dimension.dim_param] = dimension.dim_param = free[axis]
    for output in graph.output:
        for dimension in output.type.tensor_type.shape.dim:
            if dimension.dim_param:
                dimension.dim_param = names.get(dimension.dim_param, dimension.dim_param)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Drop what torch and onnxscript print, warn and log while they write."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(level)

"""Run exported models, each format behind the same call."""

from __future__ import annotations

import inspect
import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..names import missing_file
from .formats import FORMATS, format_of, need
from .writers import METADATA, TORCH_FILE


class ExportedModel(ABC):
    """An exported model; :func:`load_exported` opens one.

    Attributes:
        names: of its outputs.
        metadata: what was written into it about the model.
    """

    names: tuple[str, ...]
    metadata: dict[str, str]

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs.

        Args:
            x: normalised pictures, ``(N, C, H, W)``, float32, on any device.

        Returns:
            The outputs in the order of :attr:`names`, on the device of the pictures.

        Raises:
            ValueError: the pictures have another dtype or number of axes, or a shape that the model does not take.
        """
        if x.ndim != 4 or x.dtype != torch.float32:
            raise ValueError(f'pictures are {x.dtype} of shape {tuple(x.shape)}; float32 (N, C, H, W) is needed')
        try:
            outputs = self._run(x.detach().cpu().contiguous())
        except Exception as error:  # each runtime has its own
            line = ' '.join(str(error).split())[:300]
            raise ValueError(f'the exported model takes no pictures of shape {tuple(x.shape)}: {line}') from error
        return tuple(output.to(x.device) for output in outputs)

    @abstractmethod
    def _run(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs of float32 pictures on a processor."""


def load_exported(path: str | Path, threads: int | None = None, precision: str = 'fp32') -> ExportedModel:
    """Open an exported model.

    Args:
        path: a file that ends in ``.onnx``, ``.xml`` (OpenVINO) or ``.pt2`` (torch).
        threads: processor cores to use; the runtime's choice when None. Torch's programs use torch's own setting.
        precision: ``fp32``, or ``bf16`` for OpenVINO, which then computes in it where the processor can.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is of none of the formats or cannot be read, or an argument does not go with it.
        ImportError: what runs it is not installed; the message has the line that installs it.
    """
    form = format_of(path)
    if not Path(path).is_file():
        raise missing_file('exported model', path, f'*{form.suffix}')
    if threads is not None and threads < 1:
        raise ValueError(f'threads is {threads}; it must be at least 1')
    if precision not in ('fp32', 'bf16') or (precision != 'fp32' and form.name != 'openvino'):
        raise ValueError(f'precision is {precision!r}; it must be fp32, or with openvino also bf16')
    need(form.reads, f'running {path}')
    try:
        if form is FORMATS['onnx']:
            return _OnnxModel(path, threads)
        if form is FORMATS['openvino']:
            return _OpenVinoModel(path, threads, precision)
        return _TorchModel(path)
    except Exception as error:  # each runtime has its own
        raise ValueError(f'{path} cannot be read: {" ".join(str(error).split())[:300]}') from error


class _OnnxModel(ExportedModel):
    """By ONNX Runtime."""

    def __init__(self, path: str | Path, threads: int | None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        options.intra_op_num_threads = threads or 0
        self._session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
        self._input = self._session.get_inputs()[0].name
        self.names = tuple(output.name for output in self._session.get_outputs())
        told = self._session.get_modelmeta().custom_metadata_map
        self.metadata = {key.removeprefix(f'{METADATA}.'): value for key, value in told.items()}

    def _run(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(map(torch.from_numpy, self._session.run(None, {self._input: x.numpy()})))


class _OpenVinoModel(ExportedModel):
    """By OpenVINO, on the processor."""

    def __init__(self, path: str | Path, threads: int | None, precision: str) -> None:
        import openvino

        core = openvino.Core()
        model = core.read_model(str(path))
        # Left to itself it computes in bfloat16 where the processor has it.
        hints: dict[str, Any] = {
            'INFERENCE_PRECISION_HINT': {'fp32': 'f32', 'bf16': 'bf16'}[precision], 'PERFORMANCE_HINT': 'LATENCY',
        }  # fmt: skip
        if threads:
            hints['INFERENCE_NUM_THREADS'] = threads
        self._request = core.compile_model(model, 'CPU', hints).create_infer_request()
        self.names = tuple(output.get_any_name() for output in model.outputs)
        told = model.get_rt_info([METADATA]).value if model.has_rt_info([METADATA]) else {}
        self.metadata = {key: str(getattr(value, 'value', value)) for key, value in told.items()}

    def _run(self, x: Tensor) -> tuple[Tensor, ...]:
        found = self._request.infer([x.numpy()], share_inputs=True)
        return tuple(torch.from_numpy(np.array(found[place])) for place in range(len(self.names)))


class _TorchModel(ExportedModel):
    """By torch itself."""

    def __init__(self, path: str | Path) -> None:
        extra = {TORCH_FILE: ''}
        program = torch.export.load(str(path), extra_files=extra)
        # Its guards are about the memory format of maps of one pixel, and would refuse small pictures.
        free = 'check_guards' in inspect.signature(program.module).parameters
        self._module = program.module(check_guards=False) if free else program.module()
        self.metadata = json.loads(extra[TORCH_FILE] or '{}')
        self.names = tuple(json.loads(self.metadata.get('outputs', '[]')))

    def _run(self, x: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            return tuple(self._module(x))

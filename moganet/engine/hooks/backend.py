"""Evaluate the exported form of a model."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from torch import Tensor, nn

from ...deployment import ExportedModel, export_model, load_exported, network_of
from ...deployment.formats import find_format
from ...deployment.structure import flatten, like
from ..exporting import exporting
from ..sample_pictures import normalised

_PICTURES = 2


@HOOKS.register_module()
class BackendHook(Hook):
    """Before a test export the model, once the weights are loaded, and put the exported network in its place.

    What the toolbox does before and after the network stays its own. ``--backend`` of ``tools/test.py`` names it. It
    changes what ``runner.model`` is, so it serves runs that test and do nothing else.

    Args:
        format: see :data:`moganet.deployment.FORMATS`.
    """

    priority = 'HIGHEST'

    def __init__(self, format: str) -> None:
        self.format = find_format(format)

    def before_test(self, runner: Any) -> None:
        """Export, check and replace.

        Raises:
            RunFault: the model cannot be exported, or the exported one differs from it.
        """
        holder, model = _model_in(runner.model.eval())
        on_processor = copy.deepcopy(model).cpu()
        samples = runner.test_dataloader.dataset
        pictures = [normalised(on_processor, samples[place]) for place in range(min(_PICTURES, len(samples)))]
        with exporting(), tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f'model{self.format.suffix}')
            exported = export_model(on_processor, self.format, path, pictures)
            for line in exported.lines()[:-1]:
                runner.logger.info(line)
            served = serve(on_processor, load_exported(path), pictures[0])
        if holder is None:
            runner.model = served.to(next(model.parameters()).device)
        else:
            holder.module = served.to(next(model.parameters()).device)


class _Served(nn.Module):
    """An exported network, which returns what the network in torch returns, in the same tuples and lists."""

    def __init__(self, exported: ExportedModel, outputs: Any) -> None:
        super().__init__()
        self._exported, self._outputs = exported, outputs

    def forward(self, x: Tensor) -> Any:
        return like(self._outputs, self._exported(x.float()))


def serve(model: nn.Module, exported: ExportedModel, picture: Tensor) -> nn.Module:
    """Put an exported network in the place of a model's backbone, neck and head.

    Args:
        model: of a toolbox; it is changed.
        exported: its network, see :func:`moganet.deployment.network_of`.
        picture: normalised, ``(1, C, H, W)``, for the tuples and lists that its outputs come in.

    Returns:
        The model.
    """
    network, _ = network_of(model)
    whole: Any = model
    outputs = network.whole(picture)
    empty = [tensor.new_empty(0) for tensor in flatten(outputs)]
    whole.backbone = _Served(exported, like(outputs, empty))
    if network.neck is not None:
        whole.neck = None
    if network.head is not None:
        network.head.forward = _as_it_is
    return model


def _as_it_is(outputs: Any) -> Any:
    return outputs


def _model_in(model: Any) -> tuple[Any, nn.Module]:
    """Return the toolbox's model within wrappers, of processes and of test-time augmentation, and what holds it."""
    from mmengine.model import BaseTTAModel

    holder = None
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        holder, model = model, model.module
    return holder, model

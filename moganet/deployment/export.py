"""Export a model: trace it, write it, and hold what was written to the model in torch."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from ..models.backbones.moganet import VARIANTS, MogaNet
from ..models.fused import fuse
from ..models.layers.fused_block import FusedAggregation
from ..version import __version__
from ..whole_file import move_into_place, unfinished
from .check import Difference, batches_of, check_outputs
from .formats import Format
from .parts import network_of
from .runners import load_exported
from .tracing import trace
from .writers import DEFAULT_OPSET, write


@dataclass(frozen=True)
class Exported:
    """A file that was written and checked.

    Attributes:
        path: the file.
        kind: what was exported, see :class:`.parts.Network`.
        size: the height and width that it takes alone, pixels; None for any.
        differences: of each output in each batch that it was checked with.
        notes: what the user should know of it.
    """

    path: Path
    kind: str
    size: tuple[int, int] | None
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return what a tool prints of it."""
        size = 'any number and size' if self.size is None else f'any number, {self.size[0]} x {self.size[1]} pixels'
        told = {'network': 'up to its raw outputs', 'maps': "up to the neck's maps", 'backbone': 'backbone alone'}
        what = f'{told.get(self.kind, "whole model")}; pictures: {size}'
        return [*self.notes, 'differences from torch:', *map(str, self.differences), f'{self.path}: {what}']


class DiffersError(ValueError):
    """What was written does not compute what the model does."""


def export_model(
    model: nn.Module,
    form: Format,
    path: Path,
    pictures: Sequence[Tensor],
    *,
    part: str = 'network',
    fused: bool = True,
    shape: tuple[int, int] | None = None,
    batch: int | None = None,
    opset: int = DEFAULT_OPSET,
    metadata: Mapping[str, str] | None = None,
) -> Exported:
    """Write a model to a file which is whole, and as good as the model in torch, or is not there.

    Args:
        model: in evaluation, float32, on a processor; it is not touched.
        form: the format.
        path: the file, which is replaced if it is there. OpenVINO's weights go beside it, in one that ends in ``.bin``.
        pictures: real ones for the check, normalised, each ``(1, C, H, W)``, at least one.
        part: see :func:`.parts.network_of`.
        fused: export the backbone's fused form, see :func:`moganet.models.fused.fuse`.
        shape: height and width of all pictures, pixels; any when None, where the head allows.
        batch: how many pictures at a time, with ``shape``; any number when None.
        opset: version of ONNX's operators.
        metadata: what else is to be told in the file.

    Raises:
        ValueError: the model cannot be fused, traced or written; see also :func:`.parts.network_of`.
        DiffersError: an output differs by more than rounding; nothing is written.
        ImportError: what the format needs is not installed.
    """
    plain, note = network_of(model, part)
    network = network_of(_fused(model), part)[0] if fused else plain
    _, channels, *own = pictures[0].shape
    traced = trace(network, shape or (own[0], own[1]), channels, fixed=shape is not None, batch=batch)
    told = {'version': __version__, 'part': plain.kind, 'fused': str(fused), **_about(plain), **(metadata or {})}
    told |= {'outputs': json.dumps(list(traced.outputs)), 'size': json.dumps(traced.size)}
    told['input'] = 'NCHW, float32, normalised'
    # On the same disk, so that a move is all that is left when it has passed.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=unfinished(path.name)) as folder:
        written = Path(folder, path.name)
        write(traced, form, written, told, opset)
        batches = batches_of(pictures, traced.batch, traced.size)
        differences = check_outputs(plain, load_exported(written), traced.outputs, batches)
        worst = max(differences, key=lambda difference: difference.relative)
        if not worst.close:
            raise DiffersError(f'the exported model differs from the model in torch, and was not kept: {worst}')
        _move(written, path)
    return Exported(path, plain.kind, traced.size, tuple(differences), tuple(filter(None, (note, traced.note))))


def _fused(model: nn.Module) -> nn.Module:
    """Return the fused form, with operators that runtimes are fast at."""
    made = fuse(model)
    for module in made.modules():
        if isinstance(module, FusedAggregation):
            module.mean_as_map = True
    return made


def _about(model: nn.Module) -> dict[str, str]:
    """Return what a file tells of the backbone."""
    backbone = next(module for module in model.modules() if isinstance(module, MogaNet))
    name = next((name for name, variant in VARIANTS.items() if variant == backbone.variant), 'custom')
    return {'variant': name, 'gate_act_twice': str(backbone.gate_act_twice)}


def _move(written: Path, path: Path) -> None:
    """Give what was written its name; the file that names the weights comes last, and the old one goes first."""
    weights = written.with_suffix('.bin')
    if weights.exists():
        path.unlink(missing_ok=True)
        move_into_place(weights, path.with_suffix('.bin'))
    move_into_place(written, path)

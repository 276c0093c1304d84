"""MogaNet with a classifier on top: the one module that timm's registry and the Hugging Face hub hand out.

Its methods are those that timm's models have, so that timm's tools work with it; timm itself is not needed. The names
of its weights are those of OpenMixup's released files and of mmpretrain: ``backbone.*`` and ``head.fc.*``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from .backbones.moganet import NUM_STAGES, STRIDES, MogaNet
from .loading import check_origin

POOLS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        '': lambda x: x,
        'avg': lambda x: x.mean((2, 3)),
        'max': lambda x: x.amax((2, 3)),
        'avgmax': lambda x: 0.5 * (x.mean((2, 3)) + x.amax((2, 3))),
    }
)
"""From a map ``(N, C, H, W)`` to ``(N, C)``, by timm's names; the empty one leaves the map as it is."""


class ClassifierHead(nn.Module):
    """Pooling, dropout, one linear layer.

    Args:
        channels: of the map.
        num_classes: 0 for no classifier.
        pool: one of :data:`POOLS`.
        drop_rate: of what was pooled.

    Raises:
        ValueError: an unknown pooling, or a classifier without one.
    """

    def __init__(self, channels: int, num_classes: int, pool: str = 'avg', drop_rate: float = 0.0) -> None:
        super().__init__()
        if pool not in POOLS:
            raise ValueError(f'global_pool is {pool!r}; it must be one of {", ".join(map(repr, POOLS))}')
        if not isinstance(num_classes, int) or num_classes < 0:
            raise ValueError(f'num_classes is {num_classes}; it must be a whole number, 0 for no classifier')
        if num_classes and not pool:
            raise ValueError("global_pool='' leaves a map, which tells no classes apart; give num_classes=0, too")
        self.pool = pool
        self.drop = nn.Dropout(drop_rate)
        self.fc: nn.Module = nn.Linear(channels, num_classes) if num_classes else nn.Identity()
        if isinstance(self.fc, nn.Linear):
            nn.init.trunc_normal_(self.fc.weight, std=0.02)
            nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return the logits ``(N, num_classes)``; with ``pre_logits`` what the linear layer would get."""
        x = self.drop(POOLS[self.pool](x))
        return x if pre_logits else self.fc(x)

    def extra_repr(self) -> str:
        return f'pool={self.pool!r}'


class MogaNetClassifier(nn.Module):
    """MogaNet, pooling and a linear layer.

    Args:
        arch: see :class:`MogaNet`.
        num_classes: 0 for no classifier: the model gives what was pooled.
        in_chans: channels of the pictures.
        global_pool: ``avg``, ``max``, ``avgmax``, or empty for the map itself, without a classifier.
        drop_rate: dropout before the linear layer.
        drop_path_rate, layer_scale_init_value, gate_fp32: see :class:`MogaNet`.
        gate_act_twice: see :class:`MogaNet`. None means once, and that nobody has said so: weights that do not say it
            either are then refused.

    Attributes:
        backbone: the :class:`MogaNet`.
        head: the :class:`ClassifierHead`.
        num_features: channels of the last map.
        feature_info: of each stage its channels (``num_chs``), stride (``reduction``) and last module.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'tiny',
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = 'avg',
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 1e-5,
        gate_fp32: bool = False,
        gate_act_twice: bool | None = None,
    ) -> None:
        super().__init__()
        self.backbone = MogaNet(
            arch,
            in_channels=in_chans,
            out_indices=NUM_STAGES - 1,
            drop_path_rate=drop_path_rate,
            layer_scale_init_value=layer_scale_init_value,
            gate_fp32=gate_fp32,
            gate_act_twice=bool(gate_act_twice),
        )
        self.gate_is_told = gate_act_twice is not None
        widths = self.backbone.variant.embed_dims
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.num_features = self.head_hidden_size = widths[-1]
        self.feature_info = [
            {'num_chs': width, 'reduction': stride, 'module': f'backbone.norm{stage}'}
            for stage, (width, stride) in enumerate(zip(widths, STRIDES), 1)
        ]
        self.head = ClassifierHead(self.num_features, num_classes, global_pool, drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(N, num_classes)`` of pictures ``(N, in_chans, H, W)``, normalised."""
        return self.forward_head(self.forward_features(x))

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last map, ``(N, num_features, ceil(H / 32), ceil(W / 32))``."""
        return self.backbone(x)[-1]

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return the logits of the last map; with ``pre_logits`` what the linear layer would get."""
        return self.head(x, pre_logits)

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = 'NCHW',
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Return maps of several stages, in the network's order.

        Args:
            x: pictures.
            indices: stages, negative ones from the end; a number for as many of the last; None for all.
            norm: nothing: each map is that after its stage's norm, which is part of the trunk.
            stop_early: run no stage after the last one asked for.
            output_fmt: ``NCHW``.
            intermediates_only: leave out the last map, which otherwise precedes the list.

        Raises:
            ValueError: there is no such stage, or another format.
        """
        if output_fmt != 'NCHW':
            raise ValueError(f'output_fmt is {output_fmt!r}; the maps are NCHW')
        stages = self._stages(indices)
        last = stages[-1] if stop_early or intermediates_only else self.backbone.out_indices[-1]
        run = sorted({*stages, last})
        maps = dict(zip(run, self.backbone.forward_stages(x, run)))
        found = [maps[stage] for stage in stages]
        return found if intermediates_only else (maps[last], found)

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Remove the stages after the last one asked for, and the classifier; return the stages asked for.

        Args:
            indices: as for :meth:`forward_intermediates`.
            prune_norm: nothing: the norms are part of the trunk.
            prune_head: whether to remove a classifier that could stay.
        """
        stages = self._stages(indices)
        ends_early = stages[-1] < self.backbone.out_indices[-1]
        self.backbone.keep_stages(stages[-1])
        self.num_features = self.head_hidden_size = self.backbone.variant.embed_dims[stages[-1]]
        if prune_head or ends_early:
            self.reset_classifier(0, '')
        return stages

    def get_classifier(self) -> nn.Module:
        """Return the linear layer."""
        return self.head.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a new classifier, initialised, in the place of the old.

        Args:
            num_classes: 0 for none.
            global_pool: another pooling; as it is when None.
        """
        weight = next(self.backbone.parameters())
        pool = self.head.pool if global_pool is None else global_pool
        head = ClassifierHead(self.num_features, num_classes, pool, self.head.drop.p)
        self.head = head.to(weight.device, weight.dtype).train(self.training)
        self.num_classes = num_classes

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute each block in the backward pass, which saves memory and costs time, or stop doing so."""
        for module in self.backbone.modules():
            if hasattr(module, 'with_cp'):
                module.with_cp = enable

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return timm's patterns of layers, shallowest first: stages where ``coarse``, else blocks.

        A stage's patch embedding counts to its first block, as in timm's models.
        """
        if coarse:
            return {'stem': r'^backbone\.patch_embed1', 'blocks': r'^backbone\.[a-z_]+(\d)'}
        blocks = [
            (r'^backbone\.patch_embed(\d)', (0,)),
            (r'^backbone\.blocks(\d)\.(\d+)', None),
            (r'^backbone\.norm(\d)', (99999,)),
        ]
        return {'stem': r'^backbone\.patch_embed1', 'blocks': blocks}

    def no_weight_decay(self) -> set[str]:
        """Return the parameters that timm's optimizers should not decay beside those of one dimension: none.

        The authors' training with timm decays the layer scales.
        """
        return set()

    def _stages(self, indices: int | Sequence[int] | None) -> list[int]:
        """Return stages in the network's order."""
        number = self.backbone.out_indices[-1] + 1
        if indices is None:
            indices = number
        asked = range(-indices, 0) if isinstance(indices, int) else indices
        stages = sorted({stage + number if stage < 0 else stage for stage in asked})
        if not stages or not 0 <= stages[0] <= stages[-1] < number:
            raise ValueError(f'stages {indices} were asked for; there are {number}, from 0 to {number - 1}')
        return stages

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Note the gate's mode once more: torch hands a wrapped model's metadata on module by module."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        metadata = getattr(destination, '_metadata', None)
        if metadata is not None:
            metadata.setdefault(prefix[:-1], {})['gate_act_twice'] = self.backbone.gate_act_twice

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *args: Any
    ) -> None:
        """Refuse weights under others' names, or of which nobody says how often the gate is activated."""
        check_origin(state_dict, prefix, local_metadata, self.gate_is_told)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

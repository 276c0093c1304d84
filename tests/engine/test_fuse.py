from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import HOOKS, MODEL_WRAPPERS
from torch import Tensor, nn

from moganet import MogaNet
from moganet.engine.hooks import FuseHook
from moganet.models.fused import FusedMogaNet

from .toy import Samples, runner

SMALL = {'embed_dims': [8, 8, 8, 8], 'depths': [1, 1, 1, 1], 'ffn_ratios': [2, 2, 2, 2]}


class Model(BaseModel):
    """A backbone that is fed with a number."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = MogaNet(SMALL, out_indices=3)

    def forward(self, inputs: list[Tensor], data_samples: object = None, mode: str = 'tensor') -> list[Tensor]:
        maps: Tensor = self.backbone(torch.stack([each.mean().expand(3, 32, 32) for each in inputs]))[-1]
        return list(maps.mean((1, 2, 3)))


class Mean(BaseMetric):
    """The mean of what the model gives."""

    def process(self, data_batch: object, data_samples: list[Tensor]) -> None:
        self.results += [float(each) for each in data_samples]

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {'mean': sum(results) / len(results)}


@MODEL_WRAPPERS.register_module()
class Wrapped(BaseModel):
    """Stand in for a wrapper that several processes have."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *given: object) -> None:
        raise AssertionError

    def test_step(self, data: object) -> object:
        return self.module.test_step(data)


def test_a_run_evaluates_the_fused_form(tmp_path: Path) -> None:
    model, torch_state = Model(), torch.get_rng_state()
    loader = {'batch_size': 3, 'num_workers': 0, 'sampler': {'type': 'DefaultSampler', 'shuffle': False}}
    found, kinds = [], []
    for hooks, wrap in (([], False), ([HOOKS.build({'type': 'FuseHook'})], False), ([FuseHook()], True)):
        torch.set_rng_state(torch_state)
        model.train()  # as a Runner leaves it until the test begins
        parts: dict[str, Any] = {'test_dataloader': {**loader, 'dataset': Samples()}, 'test_evaluator': Mean()}
        run = runner(tmp_path, model=model, custom_hooks=hooks, test_cfg={}, **parts)
        if wrap:
            run.model = Wrapped(model)
        found.append(run.test()['mean'])
        inner = run.model.module if wrap else run.model
        kinds.append(type(inner.backbone))
    assert kinds == [MogaNet, FusedMogaNet, FusedMogaNet] and isinstance(model.backbone, MogaNet)
    assert max(found) - min(found) < 1e-5 * abs(found[0])

"""Norms over all processes, where one process computes a batch by itself to find a fault."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import nn

from moganet.engine.diagnosis import diagnose
from moganet.randomness import capture

from .toy import Toy


def test_a_diagnosis_does_not_wait_for_the_other_processes() -> None:
    model = Toy()
    model.body[1] = nn.SyncBatchNorm(4)
    waits: list[bool] = []
    model.body[1].register_forward_pre_hook(lambda norm, inputs: waits.append(norm.training))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batch: dict[str, Any] = {'inputs': [torch.full((3,), float('nan')), torch.zeros(3)], 'data_samples': []}
    found = diagnose(model, contextlib.nullcontext(), batch, capture())
    assert waits == [False] and model.body[1].training
    assert found.inputs and found.terms[:2] == ('loss_size', 'loss_sum')
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

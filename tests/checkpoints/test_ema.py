"""Raw weights and their moving average in one file: which is which, and which is returned."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from moganet.checkpoints.errors import CheckpointError
from moganet.checkpoints.formats import recognise

from . import writers
from .checks import Row, same


def test_without_state_dict_the_average_is_what_there_is() -> None:
    ours = writers.model('custom')
    data = {'author': 'MogaNet', 'state_dict_ema': writers.timm_names(ours)}
    weights = recognise(data, prefer='raw')
    assert weights.ema is True and same(weights.state_dict, ours) and weights.writer == 'timm'


def test_the_row_says_which_copy_was_evaluated() -> None:
    ours = writers.model('custom')
    data = writers.timm_raw(ours, writers.averaged(ours))
    assert recognise(data, released=Row('timm', ema=False)).ema is False
    assert recognise(data, released=Row('timm', ema=True)).ema is True
    assert recognise(data, released=Row('timm', ema=False), prefer='ema').ema is True


@pytest.mark.parametrize('head', ['classifier', 'retinanet'])
def test_mmengine_swaps_the_average_in(head: str) -> None:
    raw = writers.model('custom', head)
    ema = writers.averaged(raw)
    data = writers.mmengine(ema, raw, writers.our_config(), gate_act_twice=False)
    weights = recognise(data)
    assert weights.ema is True and same(weights.state_dict, ema) and same(weights.alternative, raw)
    assert ('steps', 1, "the moving average's counter") in weights.dropped
    assert same(recognise(data, prefer='raw').state_dict, raw)
    # Publishing deletes the second copy; the hook in the config still tells.
    del data['ema_state_dict']
    assert recognise(data).ema is False
    data['meta']['cfg'] += "custom_hooks = [dict(type='EMAHook', momentum=1e-4)]\n"
    assert recognise(data).ema is True


def test_flat_buffers_tell_the_average_whatever_the_config_says() -> None:
    raw = writers.model('custom')
    ema = writers.averaged(raw)
    weights = recognise(writers.openmixup(ema, raw, config=writers.openmixup_config(ema=False)))
    assert weights.ema is True and same(weights.state_dict, ema) and same(weights.alternative, raw)


class TestFlatBuffers:
    """Half a set of raw weights is none: it is listed as dropped, with the reason."""

    def spoilt(self, change: Any, reason: str) -> None:
        raw = writers.model('custom')
        data = writers.openmixup(writers.averaged(raw), raw)
        change(data['state_dict'])
        weights = recognise(data)
        assert weights.ema is True and weights.alternative is None and weights.writer == 'OpenMixup'
        assert not any(name.startswith('ema_') for name in weights.state_dict)
        (entry,) = (entry for entry in weights.dropped if entry.pattern == 'ema_*')
        assert reason in entry.reason and entry.number == sum(name[:4] == 'ema_' for name in data['state_dict'])
        with pytest.raises(CheckpointError, match='cannot be told from its ema_'):
            recognise(data, prefer='raw')

    def test_stray(self) -> None:
        self.spoilt(lambda state: state.update(ema_head_old=torch.ones(1)), 'are of no parameter, such as ema_head_old')

    def test_missing(self) -> None:
        self.spoilt(lambda state: state.pop('ema_head_fc_bias'), '1 parameters have none, such as head.fc.bias')

    def test_shape(self) -> None:
        self.spoilt(lambda state: state.update(ema_head_fc_bias=torch.ones(2)), "have not their parameter's shape")

    def test_ambiguous(self) -> None:
        reason = 'ema_head_fc_bias could be head.fc.bias or head.fc_bias'
        self.spoilt(lambda state: state.update({'head.fc_bias': torch.ones(1000)}), reason)


@pytest.mark.parametrize('entry', ['state_dict', 'state_dict_ema'])
def test_copies_that_differ_are_damaged(entry: str) -> None:
    ours = writers.model('custom')
    data = writers.timm_raw(ours, writers.averaged(ours))
    del data[entry]['norm1.weight']
    with pytest.raises(CheckpointError, match=r'1 weights are in only one of them, such as backbone\.norm1\.weight'):
        recognise(data)

"""How often the gate acts is told by what surrounds the weights, in a fixed order of trust."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest

from moganet.checkpoints.errors import CheckpointError
from moganet.checkpoints.formats import recognise

from . import writers
from .checks import Row, same


def _with_metadata(state: Any, module: str, value: bool) -> Any:
    state._metadata = OrderedDict({module: {'version': 1, 'gate_act_twice': value}})
    return state


class TestThreeFilesOfTiny:
    """T at 224 was released three times, with the gate in two modes and one that nobody knows."""

    OURS = writers.model('tiny')

    def test_gates(self) -> None:
        timm = recognise(writers.timm_extracted(self.OURS), 'moganet_tiny_sz224_8xbs128_ep300.pth.tar')
        mixup = recognise(writers.openmixup(self.OURS), 'moga_tiny_sz224_8xb128_fp16_ep300.pth')
        port = recognise(writers.port(self.OURS), 'moganet-tiny_3rdparty_8xb128_in1k.pth')
        assert [weights.gate_act_twice for weights in (timm, mixup, port)] == [False, True, None]
        assert all(same(weights.state_dict, self.OURS) for weights in (timm, mixup, port))

    def test_with_their_rows(self) -> None:
        timm = recognise(writers.timm_extracted(self.OURS), released=Row('timm', False, False))
        mixup = recognise(writers.openmixup(self.OURS), released=Row('OpenMixup', True, False))
        port = recognise(writers.port(self.OURS), released=Row('mmpretrain port', None, None))
        assert [weights.gate_act_twice for weights in (timm, mixup, port)] == [False, True, None]
        assert [weights.writer for weights in (timm, mixup, port)] == ['timm', 'OpenMixup', 'mmpretrain']

    def test_the_port_may_be_of_openmixups_file(self) -> None:
        weights = recognise(writers.openmixup(self.OURS), released=Row('mmpretrain port', None, None))
        assert (weights.writer, weights.gate_act_twice) == ('OpenMixup', True)


class TestGate:
    OURS = writers.model('custom')

    def settle(self, data: dict[str, Any], **given: Any) -> tuple[bool | None, str]:
        weights = recognise(data, 'x.pth', **given)
        return weights.gate_act_twice, weights.gate_source

    @pytest.mark.parametrize('twice', [True, False])
    def test_meta_of_the_file_wins(self, twice: bool) -> None:
        data = writers.mmengine(self.OURS, config=writers.our_config(not twice), gate_act_twice=twice)
        source = 'the meta of the file, against the config in the file and the metafile'
        assert self.settle(data, released=Row('timm', not twice)) == (twice, source)
        data['meta']['cfg'] = writers.our_config(twice)
        assert self.settle(data) == (twice, 'the meta of the file')

    @pytest.mark.parametrize('twice', [True, False])
    @pytest.mark.parametrize('module', ['backbone', 'module.backbone', 'module._orig_mod.backbone'])
    def test_metadata_of_the_state_dict(self, module: str, twice: bool) -> None:
        prefix = module.removesuffix('backbone')
        state = _with_metadata(writers.prefixed(self.OURS, prefix), module, twice)
        assert self.settle({'state_dict': state}) == (twice, 'the metadata of the state dict')

    @pytest.mark.parametrize('twice', [True, False, None])
    def test_config_of_this_project(self, twice: bool | None) -> None:
        data = writers.mmengine(self.OURS, config=writers.our_config(twice))
        assert self.settle(data) == (bool(twice), 'the config in the file')

    def test_config_of_somebody_elses_moganet_says_nothing(self) -> None:
        assert self.settle(writers.mmengine(self.OURS)) == (None, 'nothing')
        theirs = writers.our_config().replace("'moganet'", "'theirs', 'theirs.moganet'")
        assert self.settle(writers.mmengine(self.OURS, config=theirs)) == (None, 'nothing')
        forced = writers.FOREIGN_CONFIG.replace("arch='tiny'", "arch='tiny', attn_force_fp32=True")
        assert self.settle(writers.mmengine(self.OURS, config=forced)) == (None, 'nothing')

    def test_config_that_cannot_be_read_says_nothing(self) -> None:
        endless = writers.our_config(True) + '#' * 2_000_000
        for text in ('model = dict(', '{"model": 1', '\0', '(' * 5000, endless):
            assert self.settle(writers.mmengine(self.OURS, config=text)) == (None, 'nothing')

    def test_two_backbones_of_two_minds_say_nothing(self) -> None:
        text = "a = dict(type='MogaNet', gate_act_twice=True)\nb = {'type': 'MogaNet', 'gate_act_twice': False}\n"
        assert self.settle(writers.mmengine(self.OURS, config=text)) == (None, 'nothing')
        assert self.settle(writers.mmengine(self.OURS, config=text.replace('False', 'True')))[0] is True

    @pytest.mark.parametrize('force', [True, False])
    def test_authors_option_in_the_authors_config(self, force: bool) -> None:
        source = f'the config in the file (attn_force_fp32={force})'
        mixup = writers.openmixup(self.OURS, config=writers.openmixup_config(force))
        assert self.settle(mixup) == (force, source)
        dense = writers.mmcv1('mmdet', writers.model('custom', 'retinanet'), writers.dense_config(force))
        assert self.settle(dense) == (force, source)

    def test_metafile_then_habit(self) -> None:
        silent = writers.openmixup(self.OURS, config=writers.openmixup_config(None))
        assert self.settle(silent) == (True, 'its writer OpenMixup')
        silent['meta']['openmixup_version'] = '1.0.0'
        assert self.settle(silent) == (True, 'its writer OpenMixup')
        assert self.settle(silent, released=Row('OpenMixup', False)) == (False, 'the metafile')
        assert self.settle(writers.timm_raw(self.OURS), released=Row('timm')) == (False, 'its writer timm')

    def test_contradictions(self) -> None:
        data = writers.openmixup(self.OURS)
        told = (
            r'x\.pth is for gate_act_twice=True by the config in the file.*, and gate_act_twice=False by the metafile'
        )
        with pytest.raises(CheckpointError, match=told):
            self.settle(data, released=Row('OpenMixup', False))
        assert self.settle(data, released=Row('OpenMixup', False), gate_act_twice=True) == (True, 'the caller')
        state = _with_metadata(OrderedDict(self.OURS), 'backbone', False)
        with pytest.raises(CheckpointError, match='False by the metadata of the state dict, and .*True by the config'):
            self.settle(writers.mmengine(self.OURS, config=writers.our_config(True)) | {'state_dict': state})

    def test_the_caller_settles_all_but_the_own_meta(self) -> None:
        assert self.settle(writers.port(self.OURS), gate_act_twice=True) == (True, 'the caller')
        assert self.settle(writers.openmixup(self.OURS), gate_act_twice=False) == (False, 'the caller')
        data = writers.mmengine(self.OURS, gate_act_twice=True)
        with pytest.raises(CheckpointError, match='leave the argument out'):
            self.settle(data, gate_act_twice=False)
        assert self.settle(data, gate_act_twice=True) == (True, 'the meta of the file')

    @pytest.mark.parametrize('value', ['maybe', 1, 2.0, []])
    def test_neither_yes_nor_no(self, value: Any) -> None:
        with pytest.raises(CheckpointError, match='must be true or false'):
            self.settle(writers.mmengine(self.OURS, gate_act_twice=value))

    def test_a_row_of_another_writer(self) -> None:
        with pytest.raises(CheckpointError, match=r'x\.pth is by OpenMixup 0\.x, .* and by timm as the metafile'):
            self.settle(writers.openmixup(self.OURS), released=Row('timm', True))
        # Converted here, and still under its old name.
        data = writers.mmengine(self.OURS, gate_act_twice=True)
        assert self.settle(data, released=Row('timm', True)) == (True, 'the meta of the file')

"""Each work-around does what it is for, and nothing else."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.logging import MMLogger
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner.checkpoint import load_from_local

from moganet import compat
from moganet.checkpoints.allowed import file_globals


def test_scopes_are_found_under_their_import_names() -> None:
    assert MODULE2PACKAGE['mmseg'] == 'mmseg'
    assert MODULE2PACKAGE['moganet'] == 'moganet'


def test_mmseg_bases_are_found(tmp_path: Path) -> None:
    config = tmp_path / 'leaf.py'
    config.write_text("_base_ = ['mmseg::_base_/default_runtime.py']\n")
    assert Config.fromfile(config).default_scope == 'mmseg'


def test_weights_only_reader_takes_what_mmengine_saves(tmp_path: Path) -> None:
    history = HistoryBuffer()
    history.update(3.0)
    saved = {
        'history': history,
        'meta': {'sigmas': np.ones(3, np.float32), 'names': np.array(['zero', 'one']), 'score': np.float64(0.5)},
        'kinds': [np.zeros(1, code) for code in 'bhilBHILefd?'],
        'empty': np.array([]),
    }
    torch.save(saved, tmp_path / 'checkpoint.pth')
    # Before 2.6 torch takes no list of allowed objects, and MMEngine reads with the unsafe default.
    read = torch.load(tmp_path / 'checkpoint.pth', weights_only=compat.torch_version() >= (2, 6))
    assert read['history'].statistics('mean') == 3.0
    load_from_local(str(tmp_path / 'checkpoint.pth'), 'cpu')  # the fork's reader takes its own list off again
    torch.load(tmp_path / 'checkpoint.pth', weights_only=compat.torch_version() >= (2, 6))
    assert read['meta']['names'].tolist() == ['zero', 'one'] and read['meta']['score'] == 0.5
    assert read['empty'].shape == (0,)


@pytest.mark.parametrize('harm', [os.system, subprocess.Popen, eval])
def test_weights_only_reader_still_refuses_code(tmp_path: Path, harm: object) -> None:
    torch.save({'meta': harm}, tmp_path / 'checkpoint.pth')
    with pytest.raises(Exception, match='Weights only load failed'):
        torch.load(tmp_path / 'checkpoint.pth', weights_only=True)


def test_checkpoints_may_not_look_up_attributes_of_other_things() -> None:
    look_up = file_globals()['builtins.getattr']
    assert look_up(HistoryBuffer, 'mean') is HistoryBuffer.mean
    with pytest.raises(AttributeError, match='HistoryBuffer alone'):
        look_up(np.ndarray, 'tofile')


def test_sync_bn_becomes_bn_at_any_depth() -> None:
    cfg = Config(
        {
            'backbone': {'norm_cfg': {'type': 'SyncBN', 'eps': 1e-5}},
            'heads': [{'norm_cfg': {'type': 'BN'}}, {'norm_cfg': {'type': 'SyncBN', 'requires_grad': True}}],
        }
    )
    assert compat.sync_bn_to_bn(cfg._cfg_dict) == 2
    assert cfg.backbone.norm_cfg == {'type': 'BN', 'eps': 1e-5}
    assert cfg.heads[1].norm_cfg == {'type': 'BN', 'requires_grad': True}


def test_model_wrapper_has_no_device_and_keeps_what_the_config_says() -> None:
    cfg = Config({'find_unused_parameters': True})
    compat.cpu_model_wrapper(cfg)
    assert cfg.model_wrapper_cfg.device_ids is None
    assert cfg.model_wrapper_cfg.find_unused_parameters is True
    cfg = Config({'model_wrapper_cfg': {'type': 'MMSeparateDistributedDataParallel'}})
    compat.cpu_model_wrapper(cfg)
    assert cfg.model_wrapper_cfg.type == 'MMSeparateDistributedDataParallel'


def test_no_process_group_without_a_launcher() -> None:
    compat.init_cpu_process_group('none')
    assert not torch.distributed.is_initialized()


def test_process_group_is_gloo_with_the_variables_of_slurm() -> None:
    """In a process of its own: a process group stays."""
    code = (
        'from moganet import compat; import torch.distributed as d\n'
        'compat.init_cpu_process_group("slurm", 60)\n'
        'print(d.get_backend(), d.get_rank(), d.get_world_size())'
    )
    slurm = {'SLURM_PROCID': '0', 'SLURM_NTASKS': '1', 'SLURM_LOCALID': '0', 'MASTER_ADDR': '127.0.0.1'}
    env = {**os.environ, **slurm, 'MASTER_PORT': '0', 'PYTHONPATH': str(Path(compat.__file__).parents[1])}
    done = subprocess.run([sys.executable, '-c', code], env=env, capture_output=True, text=True)
    assert done.stdout.split() == ['gloo', '0', '1'], done.stderr


def test_only_named_warnings_are_silenced() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('always')
        compat.silence_noise()
        for noise in compat.NOISE:
            if noise.channel == 'warning':
                warnings.warn(f'before {noise.phrase} after', UserWarning, stacklevel=1)
        assert not seen
        warnings.warn('the loss is not finite', UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in seen] == ['the loss is not finite']


def test_dumps_go_to_the_log_file_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logger = MMLogger('quiet', log_file=str(tmp_path / 'run.log'))
    compat.quiet_console(logger)
    compat.quiet_console(logger)  # twice does no more than once
    console = next(handler for handler in logger.handlers if not isinstance(handler, logging.FileHandler))
    console.stream = sys.stdout  # pytest's
    logger.info('\n----\nSystem environment:\n  sys.platform: linux')
    logger.info('Config:\nmodel = dict()')
    logger.warning('"FileClient" will be deprecated in future.')
    logger.info('Epoch(train) [1][1/2]  loss: 2.3')
    printed, logged = capsys.readouterr().out, (tmp_path / 'run.log').read_text()
    assert printed.count('\n') == 1 and 'loss: 2.3' in printed
    assert 'sys.platform' in logged and 'model = dict()' in logged and 'loss: 2.3' in logged
    assert sum(isinstance(existing, compat.ConsoleFilter) for existing in console.filters) == 1


def test_import_noise_is_dropped_and_the_rest_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError), compat.quiet_import():
        print('Could not import OneDL')
        print('something worth reading')
        raise ImportError
    assert capsys.readouterr().out == 'something worth reading\n'


def test_importing_prints_nothing_and_imports_no_toolbox() -> None:
    toolboxes = ('mmcv', 'mmdet', 'mmseg', 'mmpose', 'mmpretrain')
    code = f'import moganet, sys; print([name for name in {toolboxes} if name in sys.modules])'
    env = {**os.environ, 'PYTHONPATH': str(Path(compat.__file__).parents[1])}
    done = subprocess.run([sys.executable, '-c', code], env=env, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ('[]\n', '')


def test_a_config_is_laid_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmengine.config import config as mmengine_config
    from yapf.yapflib import yapf_api

    # Where MMEngine looks the function up: the original in its own module, the fork in yapf's.
    holder = mmengine_config if hasattr(mmengine_config, 'FormatCode') else yapf_api
    calls: list[str] = []
    original = holder.FormatCode

    def counted(text: str, **options: Any) -> Any:
        calls.append(text)
        return original(text, **options)

    monkeypatch.setattr(holder, 'FormatCode', counted)
    cfg = Config({'names': ['a', 'b'], 'rate': 0.1})
    plain = cfg.pretty_text
    with compat.config_laid_out_once():
        assert cfg.pretty_text == cfg.pretty_text == plain
        cfg.rate = 0.2
        assert 'rate = 0.2' in cfg.pretty_text
    assert len(calls) == 3 and holder.FormatCode is counted


def test_no_time_to_wait_is_named_where_none_is_set() -> None:
    """Torch 2.1 refuses None."""
    assert compat.waiting(None) == {} and compat.waiting(90)['timeout'].total_seconds() == 90

"""The checks of a config refuse none of the configs that the toolboxes themselves come with."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.config.utils import ConfigParsingError
from mmengine.registry import init_default_scope

from moganet.engine import config_check

# What a config needs that is not installed here, or was never there: the reading itself fails, in every tool.
_UNREADABLE = (ImportError, FileNotFoundError, KeyError, ConfigParsingError, RuntimeError)

# Mistakes of theirs, in the versions that are installed here: names and arguments that are not there.
_WRONG = {
    'yoloxpose_tiny_4xb64-300e_coco-416.py': 'extra_mapping_labels',
    'rtmpose-m_8xb256-210e_hand5-256x256.py': 'HalpeHandDataset',
    'fcos_swinb_fpn_8x4_sample1e-3_mstrain_v3det_2x.py': 'force_grad_on_level',
    'faster-rcnn_r50_fpn_1x_voc0712-cocofmt.py': 'eval_mode',
    'bytetrack_yolox_x_8xb4-80e_crowdhuman-mot20train_test-mot20test.py': 'MOTChallengeMetrics',
    'bytetrack_yolox_x_8xb4-amp-80e_crowdhuman-mot20train_test-mot20test.py': 'MOTChallengeMetrics',
    **{f'twins-{name}_in1k.py': "no key '_delete'" for name in (
        'pcpvt-base_8xb128', 'pcpvt-large_16xb64', 'pcpvt-small_8xb128', 'svt-base_8xb128', 'svt-large_16xb64',
        'svt-small_8xb128')},
}
# Types that mmpretrain registers only where the package transformers is installed, which is in no set of ours.
_OPTIONAL = ('AutoModelForCausalLM', 'OPTForCausalLM', 'XBertLMHeadDecoder')
if importlib.util.find_spec('transformers') is not None:
    _OPTIONAL = ()


def _configs(toolbox: str) -> list[Path]:
    spec = importlib.util.find_spec(toolbox)
    assert spec is not None and spec.submodule_search_locations
    root = Path(spec.submodule_search_locations[0]) / '.mim' / 'configs'
    return sorted(path for path in root.rglob('*.py') if '_base_' not in path.parts)


@pytest.mark.slow
@pytest.mark.parametrize('toolbox', config_check.TOOLBOXES)
def test_configs_of_the_toolboxes_pass(toolbox: str) -> None:
    config_check.import_toolbox(toolbox)
    init_default_scope(toolbox)
    refused, read = [], 0
    for path in _configs(toolbox):
        try:
            cfg = Config.fromfile(path, import_custom_modules=False)
        except _UNREADABLE:
            continue
        if 'model' not in cfg:
            continue
        read += 1
        try:
            config_check.check_top_level(list(cfg.keys()))
            config_check.check_types(cfg, cfg.get('default_scope') or toolbox)
        except (KeyError, ValueError) as error:
            if not any(known in str(error) for known in (*_OPTIONAL, _WRONG.get(path.name, '?'))):
                refused.append(f'{path.name}: {error}')
    assert read > 100
    assert not refused, '\n'.join(refused)

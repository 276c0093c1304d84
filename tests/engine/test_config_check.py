from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from moganet.engine import config_check
from moganet.engine.config_file import read_config


def test_top_level_slips_are_named_and_variables_are_not() -> None:
    # Names that the toolboxes' own configs use beside those of a run.
    config_check.check_top_level(['model', 'test_pipeline', 'conv_cfg', 'models', 'val_cofw', 'val_evaluator_abs'])
    for slip, meant in (('optim_wraper', 'optim_wrapper'), ('trian_cfg', 'train_cfg'), ('custom_hoks', 'custom_hooks')):
        with pytest.raises(KeyError, match=f'did you mean {meant!r}'):
            config_check.check_top_level(['model', slip])


def test_options_must_exist_at_the_top_level() -> None:
    cfg = Config({'model': {}})
    config_check.check_options({'model.new.key': 1, 'load_from': 'x'}, cfg)
    with pytest.raises(KeyError, match="no 'trian_dataloader'; did you mean 'train_dataloader'"):
        config_check.check_options({'trian_dataloader.batch_size': 2}, cfg)


def test_options_must_reach_a_run() -> None:
    """A variable of the file was used where it stands; to change it afterwards would change nothing."""
    codec = {'type': 'MSRAHeatmap', 'sigma': 2}
    pipeline = [{'type': 'LoadImage'}, {'type': 'GenerateTarget', 'encoder': codec}]
    cfg = Config({'codec': codec, 'model': {'head': {'decoder': codec}}, 'train_dataloader': {'dataset': pipeline}})
    with pytest.raises(KeyError, match="'codec' is a variable of the config file, and a run does not read it") as told:
        config_check.check_options({'codec.sigma': 3}, cfg)
    assert 'model.head.decoder, train_dataloader.dataset.1.encoder' in str(told.value)
    cfg = Config({'size': 5, 'model': {}})
    with pytest.raises(KeyError, match="a run does not read it.$"):
        config_check.check_options({'size': 3}, cfg)
    config_check.check_options({'size': 3}, Config({'size': 5, 'runner_type': 'MyRunner'}))


def test_required_keys() -> None:
    cfg = Config({'modle': {}, 'train_cfg': {}})
    config_check.require_keys(cfg, ('train_cfg',), 'training')
    with pytest.raises(KeyError, match="the config has no model, which training needs; is it 'modle'"):
        config_check.require_keys(cfg, ('model', 'train_cfg'), 'training')


def test_toolbox_that_is_none_and_one_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="unknown task: default_scope='mmpos'.*did you mean 'mmpose'"):
        config_check.import_toolbox('mmpos')
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(ValueError, match='needs mmdet, which is not installed; `python -m moganet.doctor`'):
        config_check.import_toolbox('mmdet')


def test_toolbox_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise AssertionError('MMCV==3.0.0 is used but incompatible')

    monkeypatch.setattr('importlib.import_module', broken)
    with pytest.raises(ValueError, match=r'mmdet cannot be imported: MMCV==3.0.0 .*moganet\.doctor'):
        config_check.import_toolbox('mmdet')


def _check(**parts: Any) -> None:
    config_check.check_types(Config(parts), 'mmpretrain')


def test_types_are_looked_up_in_the_toolbox_and_in_mmengine() -> None:
    _check(
        model={
            'type': 'ImageClassifier',
            'backbone': {'type': 'MogaNet', 'arch': 'tiny'},
            'head': {'type': 'LinearClsHead'},
        },
        optim_wrapper={'type': 'OptimWrapper', 'optimizer': {'type': 'AdamW', 'lr': 1.0}},
        param_scheduler=[{'type': 'CosineAnnealingLR', 'T_max': 3, 'convert_to_iter_based': True}],
        default_hooks={'logger': {'type': 'LoggerHook', 'interval': 3}},
    )


def test_what_builders_take_out_is_no_unknown_argument() -> None:
    _check(
        train_dataloader={'batch_size': 2, 'num_batch_per_epoch': 3, 'dataset': {'type': 'ImageNet', 'lazy_init': 1}},
        optim_wrapper={
            'type': 'AmpOptimWrapper',
            'dtype': 'bfloat16',
            'clip_grad': {'max_norm': 1},
            'optimizer': {'type': 'AdamW', 'lr': 1, 'betas': (0.9, 0.99)},
            'paramwise_cfg': {'custom_keys': {}, 'bypass_duplicate': True},
        },
        val_evaluator={'type': 'Accuracy', 'collect_device': 'gpu', 'prefix': 'x'},
        custom_hooks=[{'type': 'EMAHook', 'momentum': 1e-4, 'priority': 'HIGH'}],
    )
    _check(optim_wrapper={'constructor': 'Mine', 'paramwise_cfg': {'num_layers': 12}, 'optimizer': {'type': 'SGD'}})
    ours = {'constructor': 'LayerWiseDecayOptimWrapperConstructor', 'optimizer': {'type': 'SGD', 'lr': 1}}
    _check(optim_wrapper={**ours, 'paramwise_cfg': {'layer_decay_rate': 0.8}})
    with pytest.raises(KeyError, match="no key 'decay_rate'; did you mean 'layer_decay_rate'"):
        _check(optim_wrapper={**ours, 'paramwise_cfg': {'decay_rate': 0.8}})


def test_types_of_a_base_from_this_package_are_those_of_the_configs_toolbox() -> None:
    _check(model={'type': 'ImageClassifier', '_scope_': 'moganet', 'head': {'type': 'LinearClsHead'}})
    with pytest.raises(KeyError, match="unknown type 'ImageClasifier' in mmpretrain"):
        _check(model={'type': 'ImageClasifier', '_scope_': 'moganet'})


@pytest.mark.parametrize(
    ('parts', 'told'),
    [
        (
            {'model': {'type': 'ImageClasifier'}},
            "model: unknown type 'ImageClasifier' in mmp.*'ImageClassifier'",
        ),
        ({'model': {'type': 'mmpretrain.Nothing'}}, "unknown type 'Nothing' in mmpretrain"),
        ({'param_scheduler': [{'type': 'LinearLr'}]}, r"param_scheduler\[0\]: unknown type 'LinearLr'.*'LinearLR'"),
        ({'default_hooks': {'x': {'type': 'LoggerHok'}}}, "default_hooks.x: unknown type 'LoggerHok'.*'LoggerHook'"),
        (
            {'model': {'type': 'ImageClassifier', 'neck': {'type': 'GlobalAveragePooling', 'dims': 1}}},
            "model.neck: GlobalAveragePooling has no argument 'dims'; did you mean 'dim'",
        ),
        ({'train_cfg': {'by_epoch': True, 'max_iter': 1}}, "EpochBasedTrainLoop has no argument 'max_iter'"),
        ({'train_cfg': {'type': 'IterBasedTrainLoop', 'max_iter': 1}}, "did you mean 'max_iters'"),
        ({'train_dataloader': {'batchsize': 4}}, "train_dataloader has no key 'batchsize'; did you mean 'batch_size'"),
        (
            {'train_dataloader': {'dataset': {'type': 'ImageNet', 'data_rot': 'x'}}},
            "train_dataloader.dataset: ImageNet has no argument 'data_rot'; did you mean 'data_root'",
        ),
        (
            {'train_dataloader': {'dataset': {'type': 'RepeatDataset', 'dataset': {'type': 'ImageNet', 'splt': 'x'}}}},
            "train_dataloader.dataset.dataset: ImageNet has no argument 'splt'; did you mean 'split'",
        ),
        ({'val_dataloader': {'sampler': {'type': 'DefaultSampler', 'shufle': True}}}, "did you mean 'shuffle'"),
        ({'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 1}, 'clip_gradd': 1}}, "did you mean 'clip_grad'"),
        ({'optim_wrapper': {'optimizer': {'type': 'SGD', 'lrr': 1}}}, "optimizer: SGD .*'lrr'; did you mean 'lr'"),
        (
            {'optim_wrapper': {'optimizer': {'type': 'SGD'}, 'paramwise_cfg': {'norm_decay': 0}}},
            "optim_wrapper.paramwise_cfg has no key 'norm_decay'; did you mean 'norm_decay_mult'",
        ),
        ({'val_evaluator': [{'type': 'Accuracy', 'topkk': 1}]}, r"val_evaluator\[0\]: Accuracy.*did you mean 'topk'"),
        ({'custom_hooks': [{'type': 'EarlyStoppingHook', 'monitr': 1}]}, "did you mean 'monitor'"),
        ({'param_scheduler': {'type': 'StepLR', 'step_sise': 1}}, "StepLR.*did you mean 'step_size'"),
        ({'val_cfg': {'fp61': True}}, "val_cfg: ValLoop has no argument 'fp61'; did you mean 'fp16'"),
        (
            {'model': {'type': 'ImageClassifier', 'backbone': {'type': 'MogaNet', 'depth': 50, 'style': 'pytorch'}}},
            r"model.backbone: MogaNet has no argument 'depth' \(nor style\).*_delete_=True",
        ),
        (
            {'model': {'type': 'ImageClassifier', 'backbone': {'type': 'MogaNet', 'attn_force_fp32': True}}},
            "model.backbone: MogaNet has no argument 'attn_force_fp32'; in its place: 'gate_fp32'",
        ),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(parts: dict[str, Any], told: str) -> None:
    with pytest.raises(KeyError, match=told):
        _check(**parts)


def test_what_is_no_name_of_a_registry_is_left_alone() -> None:
    _check(
        model={
            'type': 'ImageClassifier',
            'backbone': {'type': 'some.package.Backbone', 'nms': {'type': 'nms'}, 'mode': {'type': 'nearest'}},
            'roi_layer': {'type': 'RoIAlign'},
        },
        train_dataloader={'dataset': {'pipeline': [{'type': 'Albu', 'transforms': [{'type': 'Blur'}]}]}},
    )


def test_names_of_albumentations_are_left_alone() -> None:
    step = {'type': 'Albu', 'transforms': [{'type': 'Blur'}], 'bbox_params': {'type': 'BboxParams'}}
    config_check.check_types(Config({'train_dataloader': {'dataset': {'pipeline': [step]}}}), 'mmdet')


@pytest.mark.parametrize(
    ('text', 'error', 'told'),
    [
        ('model = dict(', ValueError, 'SyntaxError'),
        ("_base_ = 'gone.py'", FileNotFoundError, 'gone.py'),
        ("custom_imports = dict(imports=['no_such_package_at_all'], allow_failed_imports=False)", ValueError, 'doctor'),
        ('model = undefined', ValueError, 'undefined'),
    ],
)
def test_broken_files(text: str, error: type[Exception], told: str, tmp_path: Path) -> None:
    (tmp_path / 'leaf.py').write_text(text)
    with pytest.raises(error, match=told) as raised:
        read_config(str(tmp_path / 'leaf.py'), {})
    assert str(tmp_path / 'leaf.py') in str(raised.value)


def test_why_an_import_of_a_config_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'not_here.py').write_text("raise ImportError('this machine lacks it')\n")
    (tmp_path / 'leaf.py').write_text("custom_imports = dict(imports=['not_here'], allow_failed_imports=False)\n")
    with pytest.raises(ValueError, match='leaf.py cannot be read: ImportError: this machine lacks it. .*not_here'):
        read_config(str(tmp_path / 'leaf.py'), {})


def test_options_are_merged(tmp_path: Path) -> None:
    text = "model = dict(backbone=dict(arch='tiny'))\nparam_scheduler = [dict(end=1)]\n"
    (tmp_path / 'leaf.py').write_text(text)
    cfg = read_config(str(tmp_path / 'leaf.py'), {'model.backbone.arch': 'small', 'param_scheduler.0.end': 5})
    assert cfg.model.backbone.arch == 'small' and cfg.param_scheduler[0].end == 5
    with pytest.raises(ValueError, match='--cfg-options param_scheduler.7.end cannot be merged'):
        read_config(str(tmp_path / 'leaf.py'), {'param_scheduler.7.end': 5})


def test_no_toolbox_has_one_of_our_names() -> None:
    """What is registered here is in MMEngine's root registries, and a toolbox's own of the same name would hide it."""
    ours = {
        name
        for registry in config_check.scope_registries('mmengine')
        for name, cls in registry.module_dict.items()
        if cls.__module__.startswith('moganet')
    }
    assert {'MogaNet', 'PictureHook', 'DumpSegResults', 'LayerWiseDecayOptimWrapperConstructor'} <= ours
    for toolbox in config_check.TOOLBOXES:
        config_check.import_toolbox(toolbox)
        theirs = {
            name
            for registry in config_check.scope_registries(toolbox)
            for name, cls in registry.module_dict.items()
            if not cls.__module__.startswith(('moganet', 'mmengine', 'torch'))
        }
        assert len(theirs) > 50 and not ours & theirs, toolbox

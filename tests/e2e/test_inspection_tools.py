"""tools/misc/check_config.py and print_config.py, and what eval_metric.py refuses, by their command lines."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from mmengine.config import Config

from .tools import LEAVES, REPO, TOOLS, call, script

CHECK, PRINT = script(TOOLS / 'misc' / 'check_config.py'), script(TOOLS / 'misc' / 'print_config.py')
EVALUATE = script(TOOLS / 'analysis_tools' / 'eval_metric.py')
CONFIG = LEAVES['classification'].config


def test_check_config_goes_through_several(capsys: pytest.CaptureFixture[str]) -> None:
    others = [LEAVES[name].config for name in ('retinanet', 'sem-fpn', 'pose')]
    assert call(CHECK.main, CONFIG, *others) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.endswith(" parameters, nothing wrong") for line in lines)
    assert [line.split(': ')[0] for line in lines] == [str(config) for config in (CONFIG, *others)]


@pytest.mark.parametrize(
    ('option', 'told'),
    [
        ('model.backbone.drop_path=0.1', "model.backbone: MogaNet has no argument 'drop_path'; did you mean"),
        ('model.backbone.arch=tinny', "arch is 'tinny'"),
        ('model.head.in_channels=2048', 'model.head .*fc takes 2048 channels and is given 192'),
        ('val_evaluator.type=Acuracy', "val_evaluator: unknown type 'Acuracy' in mmpretrain; did you mean 'Accuracy'"),
        ('optim_wraper.type=OptimWrapper', "'optim_wraper'.*did you mean 'optim_wrapper'"),
    ],
)
def test_check_config_names_what_is_wrong(option: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    import re

    assert call(CHECK.main, CONFIG, '--cfg-options', option) == 2
    printed = capsys.readouterr()
    assert printed.out == '' and printed.err.count('\n') == 1 and re.search(told, printed.err)


def test_check_config_goes_on_after_a_wrong_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(CHECK.main, 'none.py', CONFIG) == 2
    printed = capsys.readouterr()
    assert 'no such config: none.py' in printed.err and 'nothing wrong' in printed.out


def test_print_config_prints_a_config(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    options = ('--cfg-options', 'optim_wrapper.optimizer.lr=0.125')
    assert call(PRINT.main, CONFIG, *options) == 0
    text = capsys.readouterr().out
    assert call(PRINT.main, CONFIG, '--save-path', 'whole.py', *options) == 0
    assert capsys.readouterr().out == 'written: whole.py\n' and Path('whole.py').read_text() == text
    saved, read = Config.fromfile('whole.py'), Config.fromfile(CONFIG)
    assert saved.optim_wrapper.optimizer.pop('lr') == 0.125 != read.optim_wrapper.optimizer.pop('lr')
    assert saved.to_dict() == read.to_dict()


@pytest.mark.parametrize(
    ('path', 'told'),
    [('there.py', 'it exists; give a new name'), ('x.txt', 'is a .py file'), ('no/x.py', 'there is no folder no')],
)
def test_print_config_overwrites_nothing(
    path: str, told: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path('there.py').write_text('kept = 1\n')
    assert call(PRINT.main, CONFIG, '--save-path', path) == 2
    assert told in capsys.readouterr().err
    assert Path('there.py').read_text() == 'kept = 1\n' and not Path(path).with_suffix('.txt').exists()


def test_eval_metric_refuses_other_files(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path('torn.pkl').write_bytes(pickle.dumps([{'a': 1}] * 3)[:-4])
    Path('none.pkl').write_bytes(pickle.dumps({'a': 1}))
    Path('few.pkl').write_bytes(pickle.dumps([{'a': 1}] * 3))
    Path('other.pkl').write_bytes(pickle.dumps([{'a': 1}] * 2))
    few = ('--cfg-options', 'test_dataloader.dataset.indices=2')
    for name, told in {
        'no.pkl': 'no such file of predictions: no.pkl',
        'torn.pkl': 'torn.pkl cannot be read as a pickle',
        'none.pkl': 'none.pkl holds no list of predictions',
        'few.pkl': 'few.pkl has predictions of 3 samples, and the test set of',
        'other.pkl': 'other.pkl does not hold what the test_evaluator of',
    }.items():
        assert call(EVALUATE.main, CONFIG, name, *few) == 2
        printed = capsys.readouterr().err
        assert told in printed and printed.count('\n') == 1
    assert call(EVALUATE.main, REPO / 'configs' / 'none.py', 'few.pkl') == 2
    assert 'no such config' in capsys.readouterr().err


def test_eval_metric_refuses_other_data(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An annotation file that is none, and predictions of pictures that are not in it."""
    import torch

    config, ann_file = LEAVES['retinanet'].config, workplace / 'list.json'
    ann_file.write_text('[]')
    found = {'bboxes': torch.ones(1, 4), 'scores': torch.ones(1), 'labels': torch.zeros(1, dtype=torch.int64)}
    Path('others.pkl').write_bytes(pickle.dumps([{'img_id': 999, 'pred_instances': found}] * 8))
    lines = {
        f'test_dataloader.dataset.ann_file={ann_file}': 'the data set of test_dataloader cannot be read: Ass',
        'test_dataloader.batch_size=1': 'others.pkl does not hold what the test_evaluator of',
    }
    for option, told in lines.items():
        assert call(EVALUATE.main, config, 'others.pkl', '--cfg-options', option) == 2
        printed = capsys.readouterr().err
        assert told in printed and printed.count('\n') == 1

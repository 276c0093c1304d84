"""check_dataset and browse_dataset by their command lines."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from .tools import LEAVES, REPO, TOOLS, call, script

CONFIG = LEAVES['classification'].config
CHECK = script(TOOLS / 'misc' / 'check_dataset.py')
BROWSE = script(TOOLS / 'analysis_tools' / 'browse_dataset.py')
ROOT = 'train_dataloader.dataset.data_root'

CHECK_LINES = {
    'no such config': (['configs/none.py'], ['no such config: configs/none.py']),
    'a slip in a split': ([CONFIG, '--split', 'trian'], ['--split', "'trian'", 'train', 'val', 'test']),
    'no such folder': (
        [CONFIG, '--cfg-options', f'{ROOT}=data/tiny/imagenett'],
        [f"{ROOT}='data/tiny/imagenett': no such folder", "did you mean '", "data/tiny/imagenet'?", 'make_tiny.py'],
    ),
    'no such data': (
        [REPO / 'configs/classification/moganet-xtiny_8xb128_in1k.py'],
        ["'data/imagenet'", 'data/imagenet/{train,val}'],
    ),
    'no data set of that split': (
        [CONFIG, '--split', 'test', '--cfg-options', 'test_dataloader=None'],
        ['--split test', 'it has: train, val'],
    ),
    'no threads': ([CONFIG, '--workers', '0'], ['--workers 0', 'at least 1']),
    'an unknown format': ([CONFIG, '--out', 'faults.txt'], ['--out faults.txt', '.csv or .json']),
    'an unknown kind of fault': ([CONFIG, '--ignore', 'bad-boxes'], ['bad-boxes', 'bad-box']),
    'an unknown key': ([CONFIG, '--cfg-options', 'train_dataloader.dataset.data_rot=x'], ["'data_rot'", "'data_root'"]),
}
BROWSE_LINES = {
    'no folder for the pictures': ([CONFIG], ['--out']),
    'no such config': (['configs/none.py', '--out', 'pictures'], ['no such config: configs/none.py']),
    'no such folder': (
        [CONFIG, '--out', 'pictures', '--cfg-options', f'{ROOT}=data/tiny/imagenett'],
        ["'data/tiny/imagenett': no such folder"],
    ),
    'no picture': ([CONFIG, '--out', 'pictures', '--number', '0'], ['--number 0', 'at least one']),
    'seed out of range': ([CONFIG, '--out', 'pictures', '--seed', '-1'], ['--seed -1']),
    'a pipeline that packs no picture': (
        [CONFIG, '--out', 'pictures', '--cfg-options', 'train_dataloader.dataset.pipeline=[]'],
        ['--split train cannot be read', 'no single colour picture', 'check_dataset.py'],
    ),
    'poses in 3D': (
        [CONFIG, '--out', 'pictures', '--cfg-options', 'visualizer.type=mmpose.Pose3dLocalVisualizer'],
        ['Pose3dLocalVisualizer', '3D are not drawn'],
    ),
}


@pytest.mark.parametrize('name', CHECK_LINES)
def test_check_refuses(name: str, workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _refused(CHECK, *CHECK_LINES[name], workplace, capfd)


@pytest.mark.parametrize('name', BROWSE_LINES)
def test_browse_refuses(name: str, workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _refused(BROWSE, *BROWSE_LINES[name], workplace, capfd)


def _refused(tool, arguments, told, workplace, capfd) -> None:  # type: ignore[no-untyped-def]
    assert call(tool.main, *arguments) == 2
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith('error: ') and all(part in lines[0] for part in told), lines
    assert [path.name for path in workplace.iterdir()] == ['data']


def test_check_of_clean_data(workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(CHECK.main, CONFIG, '--decode', '--workers', '2', '--out', 'found/all.json') == 0
    printed = capfd.readouterr()
    assert 'pictures: 160, annotations: 160; classes: 10' in printed.out and 'no faults' in printed.out
    assert printed.err == ''  # no bar where nobody looks
    found = json.loads(Path('found/all.json').read_text())
    assert [item['place'].split('_')[0] for item in found] == ['train', 'val', 'test']


def test_check_of_faulty_data(workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    name = next(Path('data/tiny/imagenet/train/zero').iterdir()).name
    Path('list.txt').write_text('zero/none.png 0\n' + f'zero/{name} 12\n' * 8)
    options = [f'train_dataloader.dataset.ann_file={Path("list.txt").absolute()}']
    arguments = [CONFIG, '--split', 'train', '--cfg-options', *options]
    assert call(CHECK.main, *arguments, '--out', 'faults.csv') == 1
    printed = capfd.readouterr().out
    assert 'bad-label: 8' in printed and 'and 3 more' in printed and 'faults: 16' in printed
    assert len(Path('faults.csv').read_text().splitlines()) == 17
    assert call(CHECK.main, *arguments, '--ignore', 'bad-label', 'duplicate', 'missing-file') == 0
    assert 'bad-label: 8, ignored as asked' in capfd.readouterr().out


def _drawn(task: str, capfd: pytest.CaptureFixture[str], *more: object) -> tuple[list[Path], str]:
    """Browse a tiny set; return the pictures that were printed, and what was."""
    assert call(BROWSE.main, LEAVES[task].config, '--out', 'pictures', '--number', '3', *more) == 0
    printed = capfd.readouterr().out
    paths = [Path(line.split('  ')[0]) for line in printed.splitlines() if '.png' in line]
    assert sorted(paths) == sorted(Path('pictures').absolute().iterdir()) and len(paths) == 3
    return paths, printed


@pytest.mark.parametrize('task', ['mask-rcnn', 'sem-fpn', 'pose'])
def test_browse(task: str, workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Pictures of the size that the pipeline gives, three times enlarged (poses: four times)."""
    paths, _ = _drawn(task, capfd)
    sides = {cv2.imread(str(path)).shape for path in paths}
    assert sides == {(512, 384, 3) if task == 'pose' else (384, 384, 3)}


def test_browse_draws_poses_where_people_are(workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What changes with the width of the lines is the skeleton: it is as high as a person in the model's input."""
    thin, thick = (
        [cv2.imread(str(path)).astype(int) for path in _drawn('pose', capfd, '--cfg-options', option)[0]]
        for option in ('visualizer.line_width=1', 'visualizer.line_width=6')
    )
    for one, other in zip(thin, thick):
        rows = np.flatnonzero((one != other).any(axis=(1, 2)))
        assert rows[-1] - rows[0] > 0.4 * one.shape[0]


def test_browse_draws_each_sample_once_and_by_the_seed(workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The seed chooses samples, and where all are drawn, their augmentation."""

    def drawn(seed: int, number: int, *more: str) -> dict[str, bytes]:
        folder = Path(f'{seed}-{number}')
        options = ['--out', folder, '--seed', seed, '--number', number, '--no-batch-augments', *more]
        assert call(BROWSE.main, CONFIG, *options) == 0
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    few = drawn(0, 6), drawn(1, 6)
    assert [len(pictures) for pictures in few] == [6, 6] and set(few[0]) != set(few[1])
    part = ('--cfg-options', 'train_dataloader.dataset.indices=5')
    one, other, again = drawn(0, 9, *part), drawn(1, 9, *part), drawn(0, 9, *part)
    assert set(one) == set(other) and len(one) == 5 and one == again != other


def test_browse_keeps_the_order_of_the_channels(workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A picture all red, a list of it alone: red it is drawn, though the pipeline packs blue first."""
    cv2.imwrite('red.png', np.full((64, 64, 3), (0, 0, 255), np.uint8))
    Path('list.txt').write_text('red.png 3\n' * 3)
    here = Path.cwd()
    options = [f'train_dataloader.dataset.{key}={value}' for key, value in (
        ('data_root', here), ('data_prefix', here), ('ann_file', here / 'list.txt'))]  # fmt: skip
    paths, _ = _drawn('classification', capfd, '--cfg-options', *options)
    for path in paths:
        blue, green, red = cv2.imread(str(path))[200:, 200:].reshape(-1, 3).mean(axis=0)
        assert red > 250 and blue < 5 and green < 5


def test_browse_mixes_as_the_classifier_does(workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mixup = [f'model.train_cfg.{key}' for key in ('_delete_=True', 'augments.type=Mixup', 'augments.alpha=1.0')]
    paths, printed = _drawn('classification', capfd, '--cfg-options', *mixup)
    assert 'note: mixed as the config does it to whole batches, here of 4: Mixup' in printed
    shares = [line.split('  ')[1] for line in printed.splitlines() if '.png' in line]
    parts = [[float(part.split()[0]) for part in share.split(', ')] for share in shares]
    assert all(abs(sum(part) - 1) < 0.02 for part in parts) and max(map(len, parts)) == 2
    mixed = [path.read_bytes() for path in paths]
    paths, printed = _drawn('classification', capfd, '--no-batch-augments', '--cfg-options', *mixup)
    assert 'note: left out, as asked: Mixup' in printed and [path.read_bytes() for path in paths] != mixed

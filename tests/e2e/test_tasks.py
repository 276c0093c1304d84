"""Every tiny leaf by the command lines: train, go on, evaluate, draw."""

from __future__ import annotations

import contextlib
import io
import pickle
import re
import sys
from pathlib import Path

import cv2
import pytest

from moganet.checkpoints import open_checkpoint
from moganet.compat import LOG_FILE_ONLY, NOISE

from .tools import LEAVES, TOOLS, Leaf, call, run, script, test, train

EVALUATE = script(TOOLS / 'analysis_tools' / 'eval_metric.py')

# Fewer runs for the second model of a task.
RESUMED = ('classification', 'retinanet', 'sem-fpn', 'pose')


@pytest.mark.parametrize('name', RESUMED)
def test_train_resume_test(name: str, workplace: Path) -> None:
    leaf = LEAVES[name]
    options = ('--cfg-options', *leaf.options)
    # A start of Python of its own: what importing prints is seen.
    first = run(sys.executable, TOOLS / 'train.py', leaf.config, '--work-dir', 'run', '--seed', '7', *options)
    assert 'eta: ' in first.stdout and 'loss: ' in first.stdout
    for phrase in (*LOG_FILE_ONLY, *(noise.phrase for noise in NOISE)):
        assert phrase not in first.stdout + first.stderr
    saved = Path((workplace / 'run' / 'last_checkpoint').read_text().strip())
    before = _iterations(saved)
    again = train(leaf.config, '--work-dir', 'run', '--resume', '--cfg-options', *leaf.options, leaf.longer)
    assert f'resuming from {saved}' in again.stdout
    assert 'Falling back to weights_only=False' not in again.stdout + again.stderr
    last = Path((workplace / 'run' / 'last_checkpoint').read_text().strip())
    assert _iterations(last) == 2 * before

    arguments = ('--work-dir', 'run', '--show-dir', 'pictures', '--tta', '--out', 'predictions.pkl')
    done = test(leaf.config, last, *arguments, '--cfg-options', *leaf.options)
    assert '--tta: ' in done.stdout
    result = done.stdout.split('\nresult\n')[1]
    assert f'{leaf.metric} ' in result
    _check_pictures(workplace / 'pictures', leaf.pictures)
    _check_metrics_of_saved(leaf, result)


@pytest.mark.parametrize('name', sorted(set(LEAVES) - set(RESUMED)))
def test_train_test(name: str, workplace: Path) -> None:
    leaf = LEAVES[name]
    train(leaf.config, '--work-dir', 'run', '--seed', '7', '--amp', 'bf16', '--cfg-options', *leaf.options)
    last = Path((workplace / 'run' / 'last_checkpoint').read_text().strip())
    arguments = ('--work-dir', 'run', '--show-dir', 'pictures', '--out', 'predictions.pkl')
    done = test(leaf.config, last, *arguments, '--cfg-options', *leaf.options)
    result = done.stdout.split('\nresult\n')[1]
    assert f'{leaf.metric} ' in result
    _check_pictures(workplace / 'pictures', leaf.pictures)
    _check_metrics_of_saved(leaf, result)
    with open(workplace / 'predictions.pkl', 'rb') as file:
        predictions = pickle.load(file)
    assert len(predictions) == 2
    assert all('seg_logits' not in prediction for prediction in predictions)  # hundreds of megabytes each
    again = test(leaf.config, last, '--work-dir', 'run', '--fused', '--cfg-options', *leaf.options)
    assert again.stdout.split('\nresult\n')[1] == re.sub(r'(pictures|predictions): .*\n', '', result)


def _check_metrics_of_saved(leaf: Leaf, result: str) -> None:
    """The saved predictions give the metrics that the test run printed, line by line."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        assert call(EVALUATE.main, leaf.config, 'predictions.pkl', '--cfg-options', *leaf.options) == 0
    printed = [line for line in result.splitlines() if re.fullmatch(r'.+ -?\d+\.\d{4}', line)]
    assert printed and told.getvalue().split('\nresult\n')[1].splitlines() == printed


def _iterations(checkpoint: Path) -> int:
    """Return how many iterations a checkpoint has behind it."""
    return int(open_checkpoint(checkpoint).data['meta']['iter'])


def _check_pictures(folder: Path, count: int) -> None:
    pictures = sorted(folder.glob('*.png'))
    assert len(pictures) >= count
    for picture in pictures:
        image = cv2.imread(str(picture))
        assert min(image.shape[:2]) >= 320 and image.std() > 10  # not empty

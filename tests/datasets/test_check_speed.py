"""How long a look at a data set of COCO's size takes: `python -m pytest -m slow -s tests/datasets/test_check_speed.py`.

It prints the seconds and demands none: a machine may be busy.
"""

from __future__ import annotations

import math
import os
import random
import time
from pathlib import Path

import pytest
from PIL import Image

from ..e2e.tools import TOOLS, call, script

PICTURES, ANNOTATIONS, CLASSES = 118_287, 860_001, 80  # as many as COCO train2017 has
WIDTH, HEIGHT = 640, 480
CORNERS = 24
CONFIG = """
default_scope = 'mmdet'
train_dataloader = dict(dataset=dict(
    type='CocoDataset', data_root={root!r}, ann_file='train.json', data_prefix=dict(img='pictures/'),
    metainfo=dict(classes={classes!r}), filter_cfg=dict(filter_empty_gt=True),
    pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True, with_mask=True)]))
"""


def _outlines(count: int) -> list[str]:
    """Ends of annotations: box, area and a polygon with the digits of COCO's."""
    generator, found = random.Random(0), []
    for _ in range(count):
        radius = generator.uniform(5, 100)
        x, y = generator.uniform(radius, WIDTH - radius), generator.uniform(radius, HEIGHT - radius)
        turns = [2 * math.pi * corner / CORNERS for corner in range(CORNERS)]
        corners = [f'{x + radius * math.cos(turn):.2f}, {y + radius * math.sin(turn):.2f}' for turn in turns]
        box = ', '.join(f'{number:.2f}' for number in (x - radius, y - radius, 2 * radius, 2 * radius))
        area = math.pi * radius**2
        found.append(f'"segmentation": [[{", ".join(corners)}]], "area": {area:.4f}, "iscrowd": 0, "bbox": [{box}]')
    return found


def _write(folder: Path) -> None:
    """Write annotations of COCO's size, and pictures that are links to a single one."""
    (folder / 'pictures').mkdir()
    Image.new('RGB', (WIDTH, HEIGHT), (90, 120, 60)).save(folder / 'one.jpg')
    outlines = _outlines(1000)
    with (folder / 'train.json').open('w') as file:
        file.write('{"categories": [')
        file.write(', '.join(f'{{"id": {i}, "name": "class {i}"}}' for i in range(1, CLASSES + 1)))
        file.write('], "images": [')
        for id in range(PICTURES):
            name = f'{id:012d}.jpg'
            os.symlink('../one.jpg', folder / 'pictures' / name)
            comma = ', ' if id else ''
            file.write(f'{comma}{{"id": {id}, "file_name": "{name}", "width": {WIDTH}, "height": {HEIGHT}}}')
        file.write('], "annotations": [')
        for id in range(ANNOTATIONS):
            ids = f'"id": {id}, "image_id": {id % PICTURES}, "category_id": {id % CLASSES + 1}'
            file.write(f'{", " if id else ""}{{{outlines[id % len(outlines)]}, {ids}}}')
        file.write(']}')


@pytest.mark.slow
def test_a_set_of_cocos_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(tmp_path)
    classes = tuple(f'class {i}' for i in range(1, CLASSES + 1))
    config = tmp_path / 'config.py'
    config.write_text(CONFIG.format(root=str(tmp_path), classes=classes))
    tool = script(TOOLS / 'misc' / 'check_dataset.py')
    start = time.perf_counter()
    assert call(tool.main, config, '--workers', '1') == 0
    seconds = time.perf_counter() - start
    told = capsys.readouterr().out
    assert f'pictures: {PICTURES:,}, annotations: {ANNOTATIONS:,}' in told and 'no faults' in told
    size = (tmp_path / 'train.json').stat().st_size
    with capsys.disabled():
        print(f'\n{size / 1e6:.0f} MB of annotations and {PICTURES:,} pictures in {seconds:.0f} s on one core')

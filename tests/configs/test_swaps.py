"""docs/swap_backbone.md: MogaNet in unmodified configs of the toolboxes, under their own Runner."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .leaves import REPO
from .swaps import IMPORTS, SWAPS

PAGE = (REPO / 'docs' / 'swap_backbone.md').read_text(encoding='utf-8')
TOOLBOXES = ('mmdet', 'mmseg', 'mmpose', 'mmpretrain')
# Run in a process that has not imported moganet: the config does so by itself.
_STEP = '''
import json, shutil, sys, tempfile
from pathlib import Path
from mmengine.config import Config
from mmengine.registry import init_default_scope
from tests.configs.small import on_tiny_data, step_runner

toolbox, tiny, leaves = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
assert 'moganet' not in sys.modules
work_dir = tempfile.mkdtemp()  # one for all: MMEngine's visualizer keeps the first that it is given
for leaf in leaves:
    cfg = Config.fromfile(leaf)
    assert 'moganet' in sys.modules
    __import__(toolbox)
    init_default_scope(cfg.get('default_scope'))
    dino = 'dino' in leaf  # it has 900 queries, and leaves its level embedding to init_weights
    cfg = on_tiny_data(cfg, tiny, side=256 if dino else 64)
    runner, changed = step_runner(cfg, Path(work_dir), init=dino)
    model = runner.model
    of_backbone = [name for name in changed if name.startswith('backbone.')]
    print('RESULT', json.dumps([leaf, type(model.backbone).__module__, len(of_backbone), len(changed)]))
shutil.rmtree(work_dir)
'''


def stock(name: str) -> Path:
    """The stock config of a key of SWAPS, as the toolbox installs it."""
    toolbox, _, path = name.partition('/')
    spec = importlib.util.find_spec(toolbox)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / '.mim' / 'configs' / path


def test_swaps_are_many_and_short() -> None:
    for toolbox, least in zip(TOOLBOXES, (5, 5, 5, 3)):
        assert sum(name.startswith(f'{toolbox}/') for name in SWAPS) >= least
    assert all(stock(name).is_file() for name in SWAPS)
    assert all(len((IMPORTS + body).split('\n')) - 1 < 10 for body in SWAPS.values())


def test_the_page_shows_what_is_tested() -> None:
    blocks = re.findall(r"```python\n_base_ = '\./([^']+)'\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= len(TOOLBOXES)
    shown = []
    for file, text in blocks:
        (name,) = (name for name in SWAPS if name.endswith(f'/{file}'))
        assert text == IMPORTS + SWAPS[name]
        shown.append(name.split('/')[0])
    assert set(shown) == set(TOOLBOXES)
    assert sorted(re.findall(r'^\| `(mm\w+/\S+)` \|', PAGE, re.MULTILINE)) == sorted(SWAPS)


@pytest.mark.parametrize('toolbox', TOOLBOXES)
def test_one_step_under_the_toolboxs_own_runner(toolbox: str, tiny: Path, tmp_path: Path) -> None:
    leaves = []
    for name, body in SWAPS.items():
        if name.startswith(f'{toolbox}/'):
            leaf = tmp_path / Path(name).name
            leaf.write_text(f"_base_ = '{stock(name)}'\n{IMPORTS}{body}", encoding='utf-8')
            leaves.append(str(leaf))
    env = {**os.environ, 'PYTHONPATH': str(REPO), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, '-c', _STEP, toolbox, str(tiny), *leaves]
    done = subprocess.run(command, env=env, cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith('RESULT ')]
    assert [leaf for leaf, *_ in found] == leaves
    for _, module, of_backbone, of_all in found:
        assert module == 'moganet.models.backbones.moganet' and 100 < of_backbone < of_all

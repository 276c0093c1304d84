"""The leaves under each toolbox's own train.py, with nothing of ours but what the config imports."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from moganet.checkpoints import open_checkpoint

from .tools import LEAVES, REPO, environment, run

TOOLBOXES = {'classification': 'mmpretrain', 'retinanet': 'mmdet', 'sem-fpn': 'mmseg', 'pose': 'mmpose'}


@pytest.mark.parametrize('name', TOOLBOXES)
def test_toolbox_trains_the_leaf(name: str, workplace: Path) -> None:
    leaf = LEAVES[name]
    spec = importlib.util.find_spec(TOOLBOXES[name])
    assert spec is not None and spec.origin is not None
    script = Path(spec.origin).parent / '.mim' / 'tools' / 'train.py'
    # The toolboxes' tools leave persistent workers as they are, which torch refuses where there are no workers.
    loaders = [f'{split}_dataloader.persistent_workers=False' for split in ('train', 'val', 'test')]
    env = environment(PYTHONPATH=str(REPO))
    arguments = ('--work-dir', 'run', '--cfg-options', *leaf.options, *loaders)
    done = run(sys.executable, script, leaf.config, *arguments, env=env)
    assert 'loss: ' in done.stdout
    last = (workplace / 'run' / 'last_checkpoint').read_text()
    # mmpose's tool builds MMEngine's Runner, whatever a config's runner_type says.
    assert ('resume_state' in open_checkpoint(last).data) == (name != 'pose')

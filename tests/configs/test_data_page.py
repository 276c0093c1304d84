"""docs/data.md against the configs, and against the tool that it describes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from mmengine.config import Config

from moganet.datasets.check import KINDS
from moganet.engine.data_check import datasets_of

from .leaves import BENCHMARKS, CONFIGS, REPO, TASKS

PAGE = (REPO / 'docs' / 'data.md').read_text(encoding='utf-8')


def _leaves(task: str) -> set[str]:
    """Benchmark leaves, one of those that differ in the model's size alone, and all that speak of data themselves."""
    of_task = [leaf for leaf in BENCHMARKS if leaf.startswith(f'{task}/')]
    one_size = {re.sub('moganet-[a-z]+', 'moganet', leaf): leaf for leaf in of_task}
    return {*one_size.values(), *(leaf for leaf in of_task if 'data_root' in (CONFIGS / leaf).read_text())}


def _datasets(task: str) -> list[dict[str, Any]]:
    """The data sets of all benchmark leaves of a task, each once."""
    found: list[dict[str, Any]] = []
    for leaf in sorted(_leaves(task)):
        cfg = Config.fromfile(CONFIGS / leaf)
        for split in ('train', 'val', 'test'):
            for _, dataset in datasets_of(cfg[f'{split}_dataloader'].dataset, split):
                files = {key: value for key, value in dataset.items() if key != 'pipeline'}
                if files not in found:
                    found.append(files)
    return found


def _tree(root: str) -> str:
    """The tree of a root on the page, with each name in braces spelled out."""
    begin = PAGE.index(f'```\n{root}/\n') + 4
    return '\n'.join(_spelled(word) for word in PAGE[begin : PAGE.index('```', begin)].split())


def _spelled(word: str) -> str:
    found = re.search(r'\{([^{}]*)\}', word)
    if not found:
        return word
    return '\n'.join(_spelled(word[: found.start()] + part + word[found.end() :]) for part in found[1].split(','))


@pytest.mark.parametrize('task', TASKS)
def test_every_root_and_file_of_a_benchmark_is_on_the_page(task: str) -> None:
    for dataset in _datasets(task):
        root = dataset['data_root'].rstrip('/')
        assert f'`{root}`' in PAGE
        tree = _tree(root)
        prefix = dataset.get('data_prefix') or {'split': dataset.get('split', '')}
        for folder in prefix.values():
            assert f'{folder.rstrip("/")}/' in tree, (folder, tree)
        assert (dataset.get('ann_file') or '').split('/')[-1] in tree
        if dataset.get('bbox_file'):
            assert f'`{dataset["bbox_file"]}`' in PAGE


def test_every_kind_of_fault_is_explained_as_the_tool_does() -> None:
    rows = [f'| `{kind}` | {meaning} |' for kind, meaning in KINDS.items()]
    assert '\n'.join(rows) in PAGE

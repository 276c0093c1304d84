"""Read the metafiles, ``configs/<task>/metafile.yml``: the only place where the model zoo's numbers are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Model = dict[str, Any]
# The compiled reader takes a seventh of the time, and is not in every build of PyYAML.
_LOADER = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)


def read_metafiles(root: Path) -> dict[str, list[Model]]:
    """Read every metafile that ``model-index.yml`` imports.

    Args:
        root: the folder of ``model-index.yml``: the repository, or the package's ``.mim`` once installed.

    Returns:
        The task's folder name to its models, in the metafile's order.

    Raises:
        FileNotFoundError: an imported metafile is missing.
    """
    models: dict[str, list[Model]] = {}
    for entry in _read(root / 'model-index.yml')['Import']:
        path = root / entry
        if not path.is_file():
            raise FileNotFoundError(f'model-index.yml imports {entry}, which does not exist')
        models[path.parent.name] = _read(path)['Models']
    return models


def metrics_of(model: Model) -> dict[str, float]:
    """All of a model's metrics, in the metafile's order; empty when there is no result yet."""
    return {name: value for result in model.get('Results', []) for name, value in result['Metrics'].items()}


def _read(path: Path) -> Any:
    return yaml.load(path.read_text(encoding='utf-8'), _LOADER)

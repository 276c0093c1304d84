"""The requirement sets, read by the code that the doctor uses; run as a module it prints the pip lines."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def load_environment(root: Path) -> ModuleType:
    """``moganet/environment.py`` by its path: importing the package would need torch, which is not there yet."""
    spec = importlib.util.spec_from_file_location('moganet_environment', root / 'moganet/environment.py')
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f'{root}/moganet/environment.py is missing: this copy of the repository is incomplete')
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main(root: Path) -> None:
    """Prints the pip lines of the modern set, to be typed by hand in an environment of one's own."""
    groups = load_environment(root).read_set('modern', root / 'requirements')
    for name, group in groups.items():
        if name == 'torchvision-fallback':
            print('# instead of the line before, beside a CPU-only torch without a matching CPU torchvision:')
        prefix = 'MMCV_WITH_OPS=1 ' if name == 'mmcv' else ''
        constraints = ' -c requirements/constraints.txt' if '--no-deps' not in group.options else ''
        print(f'{prefix}{group.line()}{constraints}')
    print('pip install --no-deps --no-build-isolation -e .')


if __name__ == '__main__':
    main(Path(sys.argv[1]))

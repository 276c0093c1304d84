"""The requirement sets, read by the code that the doctor uses; run as a module it prints the pip lines."""

from __future__ import annotations

import importlib.util
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

# Of the development tools: without it the tests run one after the other.
OPTIONAL = ('pytest-xdist',)
# The groups that tests and checks need, and users do not.
FOR_TESTS = ('dev', 'hub', 'timm')


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


def lacking(root: Path, group: str) -> list[str]:
    """The requirements of a group that the running interpreter has in no version at all."""
    environment = load_environment(root)
    found = []
    for text in environment.read_set('modern', root / 'requirements')[group].requirements:
        name = environment.requirement_name(text)
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            found += [] if name in OPTIONAL else [text]
    return found


def check_dev(root: Path) -> int:
    """Says which packages for tests and checks the running interpreter lacks, and the line that installs them.

    Returns:
        The exit code: 0 when there are all.
    """
    groups = load_environment(root).read_set('modern', root / 'requirements')
    missing = {name: found for name in FOR_TESTS if (found := lacking(root, name))}
    if missing:
        names = ', '.join(text.split('==')[0] for found in missing.values() for text in found)
        lines = [' '.join(['-m pip install', *groups[name].options, *found]) for name, found in missing.items()]
        line = ' && '.join(f'{sys.executable} {text}' for text in lines)
        print(f'error: {sys.prefix} lacks {names}, which tests and checks need: {line}', file=sys.stderr)
    return 1 if missing else 0


if __name__ == '__main__':
    if sys.argv[2:] == ['--check-dev']:
        sys.exit(check_dev(Path(sys.argv[1])))
    main(Path(sys.argv[1]))

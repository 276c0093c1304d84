"""The requirement sets, read by the code that the doctor uses; run as a module it prints the pip lines."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType

# Of the development tools: without it the tests run one after the other.
OPTIONAL = ('pytest-xdist',)
# The groups that tests and checks need, and most users do not, by name; a set need not have all of them.
FOR_TESTS = {
    'dev': 'development tools',
    'hub': "the Hugging Face hub's client",
    'timm': 'timm',
    'export': 'formats that models are exported to',
    'triton': "Triton, whose interpreter runs a GPU's kernels",
}
# The groups that stand in for the one before them, and when.
INSTEAD = {
    'torch-fallback': 'without a GPU, where no index offers a build for the CPU',
    'torchvision-fallback': 'beside a CPU-only torch without a matching CPU torchvision',
}


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


def constraints_of(root: Path, name: str) -> Path:
    """The file with the exact versions of a set, which its ``-c`` line names.

    Raises:
        ValueError: it has no such line.
    """
    path = root / 'requirements' / f'{name}.txt'
    for line in path.read_text(encoding='utf-8').splitlines():
        if line.startswith('-c '):
            return path.parent / line[3:].strip()
    raise ValueError(f'{path} names no constraints file: give it a line "-c FILE"')


def show(root: Path, name: str) -> None:
    """Prints the pip lines of a set, to be typed by hand in an environment of one's own."""
    exact = f' -c {constraints_of(root, name).relative_to(root)}'
    for key, group in load_environment(root).read_set(name, root / 'requirements').items():
        if key in INSTEAD:
            print(f'# instead of the line before, {INSTEAD[key]}:')
        prefix = 'MMCV_WITH_OPS=1 ' if key == 'mmcv' else ''
        print(f'{prefix}{group.line()}{"" if "--no-deps" in group.options else exact}')
    print('pip install --no-deps --no-build-isolation -e .')


def lacking(root: Path, name: str, group: str) -> list[str]:
    """The requirements of a set's group that the running interpreter has in no version at all."""
    environment = load_environment(root)
    found = []
    for text in environment.read_set(name, root / 'requirements')[group].requirements:
        distribution = environment.requirement_name(text)
        try:
            metadata.version(distribution)
        except metadata.PackageNotFoundError:
            found += [] if distribution in OPTIONAL else [text]
    return found


def check_dev(root: Path, name: str = 'modern') -> int:
    """Says which packages for tests and checks the running interpreter lacks, and the line that installs them.

    Returns:
        The exit code: 0 when there are all.
    """
    groups = load_environment(root).read_set(name, root / 'requirements')
    missing = {group: found for group in FOR_TESTS if group in groups and (found := lacking(root, name, group))}
    if missing:
        names = ', '.join(text.split('==')[0] for found in missing.values() for text in found)
        lines = [' '.join(['-m pip install', *groups[group].options, *found]) for group, found in missing.items()]
        line = ' && '.join(f'{sys.executable} {text}' for text in lines)
        print(f'error: {sys.prefix} lacks {names}, which tests and checks need: {line}', file=sys.stderr)
    return 1 if missing else 0


def main() -> int:
    """Reads the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog='python -m envsetup.sets', description='Prints the pip lines of a set.')
    parser.add_argument('root', type=Path, help='the repository')
    parser.add_argument('--set', dest='name', default='modern', help='of requirements/ (modern)')
    parser.add_argument('--check-dev', action='store_true', help='only say what tests and checks lack here')
    options = parser.parse_args()
    if options.check_dev:
        return check_dev(options.root, options.name)
    show(options.root, options.name)
    return 0


if __name__ == '__main__':
    sys.exit(main())

"""Packaging: a wheel carries configs, tools, the model index and the requirement sets in ``moganet/.mim``."""

from __future__ import annotations

import re
import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

ROOT = Path(__file__).resolve().parent
# What `mim` and MMEngine look for beside the modules of an OpenMMLab package; tools/misc/envsetup has the same list.
MIM = ('configs', 'tools', 'model-index.yml', 'requirements')


def read_version() -> str:
    """The version, read as text: importing moganet would need torch."""
    found = re.search(r"^__version__ = '(.+)'$", (ROOT / 'moganet/version.py').read_text(encoding='utf-8'), re.M)
    if found is None:
        raise ValueError("moganet/version.py must hold a line __version__ = '...'")
    return found.group(1)


def load_environment() -> ModuleType:
    """``moganet/environment.py``, which reads the requirement sets, by its path: importing moganet would need torch."""
    spec = spec_from_file_location('moganet_environment', ROOT / 'moganet/environment.py')
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f'{ROOT}/moganet/environment.py is missing: this copy of the sources is incomplete')
    module = module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def read_extras() -> dict[str, list[str]]:
    """The optional requirements.

    ``modern`` and ``classic`` exclude each other, and hold as much of the sets as pip can resolve: what is left out
    installs with --no-deps alone, and a resolver builds mmcv without operators. `python -m moganet.doctor` prints the
    lines for both.
    """
    read_set, folder = load_environment().read_set, ROOT / 'requirements'
    chosen = ('torch', 'torchvision', 'mmcv', 'toolboxes', 'dense-toolboxes')
    by_hand = ('mmpose', 'imaug')
    extras = {name: list(read_set('modern', folder)[name].requirements) for name in ('dev', 'export', 'triton')}
    for name in ('modern', 'classic'):
        groups = [group for key, group in read_set(name, folder).items() if key in chosen]
        extras[name] = [text for group in groups for text in group.requirements if not text.startswith(by_hand)]
    return extras


class BuildPy(build_py):
    """Brings ``.mim`` along: as copies into a wheel, as links for an editable install."""

    def run(self) -> None:
        super().run()
        target = ROOT / 'moganet/.mim' if self.editable_mode else Path(self.build_lib, 'moganet/.mim')
        if target.exists():
            shutil.rmtree(target)
        target.mkdir(parents=True)
        for name in MIM:
            source = ROOT / name
            if not source.exists():
                continue
            if self.editable_mode:
                (target / name).symlink_to(Path('../..', name))
            elif source.is_dir():
                shutil.copytree(source, target / name, ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
            else:
                shutil.copy2(source, target / name)


class EditableWheel(editable_wheel):
    """Tells where an editable install lies, in the one place where every reader looks.

    openmim and OpenMMLab's original MMEngine join the place of the metadata with the first line of ``top_level.txt``
    and look for ``.mim`` there. In an editable install no such folder is beside the metadata, so the line gives the
    absolute path of the package; the name that belongs there follows.
    """

    def run(self) -> None:
        if self.dist_info_dir is None:
            Path(self.dist_dir).mkdir(parents=True, exist_ok=True)
            dist_info = self.reinitialize_command('dist_info')
            dist_info.output_dir = self.dist_dir
            dist_info.ensure_finalized()
            dist_info.run()
            self.dist_info_dir = dist_info.dist_info_dir
        Path(self.dist_info_dir, 'top_level.txt').write_text(f'{ROOT / "moganet"}\nmoganet\n', encoding='utf-8')
        super().run()


def main() -> None:
    """Describes the package to setuptools."""
    setup(
        name='moganet',
        version=read_version(),
        description='MogaNet for OpenMMLab 2.x: one backbone for classification, detection, segmentation and pose',
        long_description=(ROOT / 'README.md').read_text(encoding='utf-8') if (ROOT / 'README.md').exists() else '',
        long_description_content_type='text/markdown',
        license='Apache-2.0',
        python_requires='>=3.10',
        packages=find_packages(include=['moganet', 'moganet.*']),
        package_data={'moganet': ['py.typed']},
        install_requires=load_environment().requirement_lines(ROOT / 'requirements/runtime.txt'),
        extras_require=read_extras(),
        cmdclass={'build_py': BuildPy, 'editable_wheel': EditableWheel},
        zip_safe=False,
    )


if __name__ == '__main__':
    main()

"""What the doctor knows: rules from :class:`~moganet.environment.Facts` to what does not fit and what mends it.

They are pure functions; nothing here looks at the machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .environment import DISTRIBUTIONS, SETS, Facts, Group, Probe, read_minima, read_set, requirement_name

# What every task imports, in the order in which one needs the other.
BASE = ('numpy', 'torch', 'torchvision', 'cv2', 'mmengine', 'mmcv')
TASKS = {
    'classification': ('mmpretrain.models', 'mmpretrain.datasets'),
    'detection': ('mmcv.ops', 'mmdet.models', 'mmdet.datasets'),
    'segmentation': ('mmcv.ops', 'mmseg.models', 'mmseg.datasets'),
    'pose': ('mmcv.ops', 'xtcocotools.mask', 'mmpose.models', 'mmpose.datasets'),
}
ALL = tuple(TASKS)
# Import name -> distribution, where they differ; the toolboxes are in DISTRIBUTIONS.
_LIBRARIES = {
    'PIL': 'pillow',
    'cv2': 'opencv-python-headless',
    'imgaug': 'imaug',
    'json_tricks': 'json-tricks',
    'pkg_resources': 'setuptools',
    'skimage': 'scikit-image',
    'sklearn': 'scikit-learn',
    'yaml': 'pyyaml',
}
# torchvision counts along with torch: 0.16 belongs to torch 2.1.
_TORCHVISION_AHEAD = 15


@dataclass(frozen=True)
class Problem:
    """Something that does not fit.

    ``level`` is ``error`` (the tasks cannot run) or ``warning``; ``mend`` is the line to type.
    """

    level: str
    tasks: tuple[str, ...]
    text: str
    mend: str


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, to compare by: ``2.13.0+cpu`` -> ``(2, 13, 0)``."""
    found = re.match(r'\d+(\.\d+)*', version)
    return tuple(int(part) for part in found.group().split('.')) if found else ()


def leaning(facts: Facts) -> str:
    """The known set that is nearest to this environment: the one for its torch, else for its Python."""
    torch = facts.distributions.get('torch')
    if torch:
        return 'classic' if numbers(torch) < (2, 2) else 'modern'
    return 'classic' if numbers(facts.python) < (3, 11) else 'modern'


def provider(facts: Facts, module: str) -> list[str]:
    """The installed distributions that provide a toolbox: none, one, or several that overwrite each other."""
    known = DISTRIBUTIONS[module]
    return [name for name in facts.distributions if name in known or name.startswith(f'{known[0]}-')]


def tasks_using(module: str) -> tuple[str, ...]:
    """The tasks that need an imported module or package."""
    if module in BASE or module == 'moganet':
        return ALL
    return tuple(
        task for task, needed in TASKS.items() if any(name == module or name.split('.')[0] == module for name in needed)
    )


class Lines:
    """The pip lines of the known set that fits an environment."""

    def __init__(self, facts: Facts) -> None:
        self.sets: dict[str, dict[str, Group]] = {name: read_set(name) for name in SETS}
        self.name = leaning(facts)
        self.groups = self.sets[self.name]

    def for_distribution(self, distribution: str) -> str:
        """The line that installs one distribution as the set does; the plain one when the set has no such."""
        for group in self.groups.values():
            if distribution in map(requirement_name, group.requirements):
                return group.line(distribution)
        return f'pip install {distribution}'

    def for_module(self, module: str) -> str:
        """The line that installs what an import name stands for."""
        package = module.split('.')[0]
        if package == 'mmcv':
            return self.operators()
        known = DISTRIBUTIONS.get(package, (_LIBRARIES.get(package, package),))
        ours = [name for group in self.groups.values() for name in map(requirement_name, group.requirements)]
        return self.for_distribution(next((name for name in known if name in ours), known[0]))

    def operators(self, flags: str = '') -> str:
        """The lines that compile mmcv with its operators, against the torch that is here."""
        compile_it = self.groups['mmcv'].line().replace('pip install', 'pip install --force-reinstall')
        return f'{self.groups["build"].line()} && {flags}MMCV_WITH_OPS=1 {compile_it}'

    def toolboxes(self) -> str:
        """The lines that exchange whatever toolboxes there are for those of the set."""
        boxes = [group.line() for name, group in self.groups.items() if name.endswith('toolboxes')]
        every = sorted({name for names in DISTRIBUTIONS.values() for name in names})
        return f'pip uninstall -y {" ".join(every)} && {" && ".join([self.operators(), *boxes])}'


def check_python(facts: Facts, lines: Lines) -> Iterable[Problem]:
    """Python is new enough for this package."""
    if numbers(facts.python) < (3, 10):
        yield Problem(
            'error', ALL, f'Python {facts.python} is too old: 3.10 or newer is needed', 'make setup PYTHON=python3.11'
        )


def check_torch(facts: Facts, lines: Lines) -> Iterable[Problem]:
    """torch is there, new enough, importable, and built for the GPU that is here."""
    version = facts.distributions.get('torch')
    probe = facts.probes.get('torch')
    install = lines.groups['torch'].line()
    if version is None:
        yield Problem('error', ALL, 'torch is not installed', install)
        return
    lowest = read_minima()['torch']
    if numbers(version) < numbers(lowest):
        yield Problem('error', ALL, f'torch {version} is too old: {lowest} or newer is needed', install)
    elif probe is not None and not probe.ok:
        again = install.replace('pip install', 'pip install --force-reinstall')
        yield Problem('error', ALL, f'torch {version} cannot be imported: {probe.error}', again)
    elif probe is not None and facts.nvidia and not probe.cuda:
        text = f'this machine has an NVIDIA GPU, but torch {version} is built for the CPU alone'
        text += "; torchvision and mmcv's operators must be exchanged with it"
        yield Problem('warning', ALL, text, gpu_line(version, facts, lines))


def gpu_line(torch: str, facts: Facts, lines: Lines) -> str:
    """The lines that exchange a CPU-only torch for the ordinary build, and what was built against it."""
    version = torch.split('+')[0]
    # With its dependencies, the nvidia-* packages. Three signs: with two pip may take the build for the CPU again.
    parts = [f'pip uninstall -y torch torchvision && pip install torch==={version}']
    parts.append(re.sub(r'==(?=[\d.]+$)', '===', torchvision_line(version, facts, lines)))
    if provider(facts, 'mmcv') and 'mmcv.ops' in facts.probes and _ok(facts, 'mmcv.ops'):
        parts.append(lines.operators('FORCE_CUDA=1 '))
    return ' && '.join(parts)


def check_numpy(facts: Facts, lines: Lines) -> Iterable[Problem]:
    """NumPy is of the kind that torch was compiled for."""
    numpy, torch = facts.distributions.get('numpy', ''), facts.distributions.get('torch', '')
    lowest = read_minima()['numpy']
    if not numpy:
        yield Problem('error', ALL, 'numpy is not installed', lines.for_distribution('numpy'))
    elif torch and numbers(torch) < (2, 3) and numbers(numpy) >= (2,):
        text = f'numpy {numpy} does not fit torch {torch}, which was compiled for numpy 1'
        yield Problem('error', ALL, text, lines.sets['classic']['torch'].line('numpy'))
    elif numbers(numpy) < numbers(lowest):
        text = f'numpy {numpy} is too old: {lowest} or newer is needed'
        yield Problem('error', ALL, text, lines.for_distribution('numpy'))


def check_torchvision(facts: Facts, lines: Lines) -> Iterable[Problem]:
    """torchvision imports beside this torch."""
    torch, vision = facts.distributions.get('torch', ''), facts.distributions.get('torchvision')
    probe = facts.probes.get('torchvision')
    if not torch or (vision is not None and (probe is None or probe.ok)) or not _ok(facts, 'torch'):
        return
    mend = torchvision_line(torch, facts, lines)
    if vision is None:
        yield Problem('error', ALL, 'torchvision is not installed', mend)
    elif probe is not None:
        yield Problem('error', ALL, f'torchvision {vision} does not fit torch {torch}: {probe.error}', mend)


def torchvision_line(torch: str, facts: Facts, lines: Lines) -> str:
    """The line for a torchvision that imports beside ``torch``."""
    if '+cpu' in torch and lines.name == 'modern' and numbers(facts.python) < (3, 12):
        return lines.groups['torchvision-fallback'].line()
    wanted = f'0.{numbers(torch)[1] + _TORCHVISION_AHEAD}.'
    known = lines.groups['torchvision'].line('torchvision') if 'torchvision' in lines.groups else ''
    line = known if f'=={wanted}' in known else f"pip install --no-deps 'torchvision=={wanted}*'"
    return f'{line} --index-url https://download.pytorch.org/whl/cpu' if '+cpu' in torch else line


def check_duplicates(facts: Facts, lines: Lines) -> Iterable[Problem]:
    """No toolbox is there twice: both distributions write into one folder."""
    for module in DISTRIBUTIONS:
        found = provider(facts, module)
        if len(found) > 1:
            text = f'{" and ".join(found)} are both installed and overwrite each other: both are the package {module}'
            mend = f'pip uninstall -y {" ".join(found)} && {lines.for_module(module)}'
            yield Problem('error', tasks_using(module), text, mend)


def check_mixture(facts: Facts, lines: Lines) -> Iterable[Problem]:
    """Forks and originals are not mixed (mmpose has no fork)."""
    one_each = {module: found[0] for module in DISTRIBUTIONS if len(found := provider(facts, module)) == 1}
    forks = [name for name in one_each.values() if name.startswith('onedl-')]
    originals = [name for module, name in one_each.items() if name not in forks and module != 'mmpose']
    if forks and originals:
        broken = any(not probe.ok for name, probe in facts.probes.items() if name.split('.')[0] in one_each)
        text = f'two sets of toolboxes are mixed: {", ".join(forks)} are forks, {", ".join(originals)} are originals'
        yield Problem('error' if broken else 'warning', ALL, text, lines.toolboxes())


def check_caps(facts: Facts, lines: Lines) -> Iterable[Problem]:
    """No toolbox refuses the version of mmcv or mmengine that is here."""
    for name, probe in facts.probes.items():
        refusal = re.search(r'(MMCV|MMEngine)==(\S+) is used but incompatible\. Please install (.+?)\.?$', probe.error)
        if refusal and name.endswith('.models'):
            what, version, wanted = refusal.groups()
            text = f'{name.split(".")[0]} refuses {what} {version}, it wants {wanted}'
            yield Problem('error', tasks_using(name.split('.')[0]), text, lines.toolboxes())


def check_operators(facts: Facts, lines: Lines) -> Iterable[Problem]:
    """mmcv's compiled operators load, and know the GPU."""
    probe = facts.probes.get('mmcv.ops')
    tasks = tasks_using('mmcv.ops')
    if probe is None or not (_ok(facts, 'torch') and _ok(facts, 'mmcv')):
        return
    torch = facts.probes.get('torch', Probe(ok=True))
    if "'mmcv._ext'" in probe.error:
        yield Problem('error', tasks, 'mmcv is installed without its operators', lines.operators())
    elif 'undefined symbol' in probe.error or 'shared object' in probe.error:
        text = f"mmcv's operators were compiled against another torch: {probe.error}"
        yield Problem('error', tasks, text, lines.operators())
    elif probe.ok and torch.gpus and not re.match(r'\d', probe.cuda):
        text = f"mmcv's operators are compiled for the CPU alone, and do not run on the {torch.gpus[0]}"
        text += f'; compiling them for it takes the CUDA toolkit {torch.cuda}'
        yield Problem('error', tasks, text, lines.operators('FORCE_CUDA=1 '))


def check_xtcocotools(facts: Facts, lines: Lines) -> Iterable[Problem]:
    """xtcocotools was compiled for the numpy that is here."""
    probe = facts.probes.get('xtcocotools.mask')
    if probe and 'numpy.dtype size changed' in probe.error:
        text = f'xtcocotools was compiled for numpy 1, and numpy is {facts.distributions.get("numpy")}'
        mend = lines.for_distribution('xtcocotools').replace(
            'pip install', 'pip install --force-reinstall --no-cache-dir'
        )
        yield Problem('error', tasks_using('xtcocotools'), text, mend)


def check_opencv(facts: Facts, lines: Lines) -> Iterable[Problem]:
    """OpenCV does not need a desktop's libraries."""
    probe = facts.probes.get('cv2')
    if probe and re.search(r'lib(GL|gthread|SM|Xext)\S*\.so', probe.error):
        mend = f'pip uninstall -y opencv-python && {lines.for_module("cv2")} --force-reinstall --no-deps'
        yield Problem('error', ALL, f'opencv-python needs the libraries of a desktop: {probe.error}', mend)


def check_missing(facts: Facts, lines: Lines) -> Iterable[Problem]:
    """The toolboxes are installed at all."""
    for module in DISTRIBUTIONS:
        probes = [probe for name, probe in facts.probes.items() if name.split('.')[0] == module]
        if probes and not provider(facts, module) and not any(probe.ok for probe in probes):
            yield Problem('error', tasks_using(module), f'{module} is not installed', lines.for_module(module))


RULES = (
    check_python,
    check_torch,
    check_numpy,
    check_torchvision,
    check_opencv,
    check_duplicates,
    check_missing,
    check_mixture,
    check_caps,
    check_operators,
    check_xtcocotools,
)


def diagnose(facts: Facts, tasks: Sequence[str] = ALL) -> list[Problem]:
    """Everything that does not fit for ``tasks``, what others follow from first."""
    lines = Lines(facts)
    problems = [problem for rule in RULES for problem in rule(facts, lines) if set(problem.tasks) & set(tasks)]
    for name, probe in facts.probes.items():
        concerned = tuple(task for task in tasks_using(name) if task in tasks)
        explained = {task for problem in problems if problem.level == 'error' for task in problem.tasks}
        if not probe.ok and concerned and not set(concerned) <= explained:
            missing = re.search(r"No module named '([\w.]+)'", probe.error)
            mend = lines.for_module(missing.group(1) if missing else name)
            problems.append(Problem('error', concerned, f'{name} cannot be imported: {probe.error}', mend))
    return problems


def _ok(facts: Facts, module: str) -> bool:
    """Whether a module was imported, as far as anyone asked."""
    return facts.probes.get(module, Probe(ok=True)).ok

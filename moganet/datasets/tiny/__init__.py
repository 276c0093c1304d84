"""Four small sets of real images, for a first run of every task; `build` makes them, in seconds and from a seed."""

from moganet.datasets.tiny.build import FOLDERS, SIZES, TASKS, Report, build, plan

__all__ = ['FOLDERS', 'SIZES', 'TASKS', 'Report', 'build', 'plan']

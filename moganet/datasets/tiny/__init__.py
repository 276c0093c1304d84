"""Small sets of real images, one for each task and one of 3D hands; `build` makes them, in seconds and from a seed."""

from moganet.datasets.tiny.build import FOLDERS, SIZES, TASKS, Report, build, plan

__all__ = ['FOLDERS', 'SIZES', 'TASKS', 'Report', 'build', 'plan']

"""Look at the files of a data set and say what is wrong with them, before a model is trained on them."""

from .coco import CocoSource, check_coco
from .folders import FolderSource, check_folders
from .label_maps import LabelMapSource, check_label_maps
from .pictures import Looker
from .report import KINDS, Fault, Findings
from .samples import check_samples

__all__ = [
    'KINDS',
    'CocoSource',
    'Fault',
    'Findings',
    'FolderSource',
    'LabelMapSource',
    'Looker',
    'check_coco',
    'check_folders',
    'check_label_maps',
    'check_samples',
]

"""Models as files that other runtimes read: ONNX, OpenVINO, and torch's own exported programs."""

from .check import Difference, check_outputs
from .export import Exported, export_model
from .formats import FORMATS, Format, format_of
from .parts import PARTS, Network, network_of
from .runners import ExportedModel, load_exported

__all__ = [
    'FORMATS',
    'PARTS',
    'Difference',
    'Exported',
    'ExportedModel',
    'Format',
    'Network',
    'check_outputs',
    'export_model',
    'format_of',
    'load_exported',
    'network_of',
]

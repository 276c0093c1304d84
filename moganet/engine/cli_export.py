"""The command line of ``tools/deployment/export.py``."""

from __future__ import annotations

from collections.abc import Sequence

from ..deployment import FORMATS, PARTS
from .cli import config_parser
from .exporting import ExportOptions


def parse_export(argv: Sequence[str] | None = None) -> ExportOptions:
    """Parse the command line."""
    purpose = "Write a model as a file that another runtime reads, and hold it to the model in torch on real pictures."
    parser = config_parser('tools/deployment/export.py', purpose)
    add = parser.add_argument
    add('checkpoint', metavar='CHECKPOINT', help='a path, a URL, or a name of the zoo, such as moganet-tiny_in1k')
    add('--format', choices=[*FORMATS], default='onnx', help='default: onnx')
    out_help = 'the file to write (.onnx, .xml or .pt2); default: work_dirs/<name of the config>/<name of the config>.*'
    add('--out', metavar='FILE', help=out_help)
    add('--no-fused', dest='fused', action='store_false', help='the backbone as it was trained, not its fused form')
    shape_help = 'for pictures of this size alone; default: any number and size, where the head allows'
    add('--shape', nargs=2, type=int, metavar=('HEIGHT', 'WIDTH'), help=shape_help)
    images_help = "pictures for the check, files or folders; default: the first of the config's test data"
    add('--images', nargs='+', default=[], metavar='FILE', help=images_help)
    part_help = "network: up to the head's raw outputs, or the neck's maps (default); backbone: its maps alone"
    add('--part', choices=PARTS, default='network', help=part_help)
    add('--opset', type=int, metavar='N', help="version of ONNX's operators; default: 20")
    values = vars(parser.parse_args(argv))
    values['shape'] = values['shape'] and tuple(values['shape'])
    return ExportOptions(**values)

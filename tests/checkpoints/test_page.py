"""docs/checkpoints.md: its command lines are understood by the tools, its names are known to the zoo."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from moganet.checkpoints.zoo import find, list_files
from moganet.engine.cli import test_parser, train_parser
from moganet.engine.cli_checkpoints import convert_parser, inspect_parser, publish_parser, target_of, verify_parser

REPO = Path(__file__).resolve().parents[2]
PAGE = (REPO / 'docs' / 'checkpoints.md').read_text(encoding='utf-8')
PARSERS = [inspect_parser, convert_parser, publish_parser, verify_parser, test_parser, train_parser]
COMMANDS = re.findall(r'^python (tools/\S+\.py)(.*)$', PAGE, flags=re.M)


@pytest.mark.parametrize('tool, rest', COMMANDS)
def test_commands_are_understood(tool: str, rest: str) -> None:
    (parser,) = [parser for parser in (build() for build in PARSERS) if parser.prog == tool]
    assert (REPO / tool).is_file()
    options = parser.parse_args(shlex.split(rest, comments=True))
    if parser.prog.endswith('moganet_to_mm.py'):
        assert target_of(options) in ('model', 'backbone')


def test_every_tool_is_on_the_page() -> None:
    assert {tool for tool, _ in COMMANDS} == {build().prog for build in PARSERS}


def test_names_are_known() -> None:
    names = set(re.findall(r'[`\'/ ]((?:MogaNet/moganet_|moganet-)[\w-]*_in1k[\w-]*|retinanet_[\w-]+_coco)\b', PAGE))
    assert len(names) > 4 and all(find(name).url for name in names)
    assert find('moganet-tiny_8xb128_in1k').name in list_files('*tiny*')


def test_help_says_what_a_checkpoint_may_be() -> None:
    for parser in (train_parser(), test_parser()):
        assert 'a path, a URL, or a name of the zoo' in ' '.join(parser.format_help().split())

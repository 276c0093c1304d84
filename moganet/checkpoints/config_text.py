"""What the config that a checkpoint carries as text says about its backbone."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_TYPES = ('MogaNet', 'MogaNet_feat')
# A config laid out has some 20 kB; nobody's has a hundred times that.
_LONGEST = 2_000_000
# A text that is a path from the root, from somebody's home or from a drive, also behind a scheme of local files.
_ABSOLUTE = re.compile(r'(?:(?:moganet|file|local)://)?(?:/(?=[^/])|~|[A-Za-z]:[\\/](?!/)|\\\\)')


@dataclass(frozen=True)
class ConfigText:
    """The gist of a config.

    Attributes:
        given: whether there is a text at all that could be read.
        ours: whether its backbone is the MogaNet of this project, which it imports.
        gate_act_twice: this project's option, as it is written there.
        attn_force_fp32: the authors' option, as it is written there, which made the gate act twice.
        types: every ``type=`` in it.
    """

    given: bool = False
    ours: bool = False
    gate_act_twice: bool | None = None
    attn_force_fp32: bool | None = None
    types: frozenset[str] = frozenset()


def read_config_text(meta: dict[str, Any]) -> ConfigText:
    """Read the config that OpenMMLab writes into ``meta``: as ``config`` in 1.x, as ``cfg`` in MMEngine.

    Nothing of it is run. A text that is no Python, as it may be in a file of another kind, says nothing.
    """
    text = next((meta[key] for key in ('cfg', 'config') if isinstance(meta.get(key), str)), '')
    if not text or len(text) > _LONGEST:
        return ConfigText()
    try:
        tree = _parsed(text)
        found = list(_dicts(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ConfigText()
    types = frozenset(entry['type'] for entry in found if isinstance(entry.get('type'), str))
    backbones = [entry for entry in found if str(entry.get('type')).rpartition('.')[2] in _TYPES]
    ours = bool(backbones) and (_imports_us(tree) or any(name.startswith('moganet.') for name in types))
    return ConfigText(True, ours, _agreed(backbones, 'gate_act_twice'), _agreed(backbones, 'attn_force_fp32'), types)


def _parsed(text: str) -> ast.Module:
    """Return the syntax of a text, without Python's warnings of its style, which no reader here can mend."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return ast.parse(text)


def _constant(text: str) -> Any:
    """Return the value of a literal, None for a text that is put together."""
    (line,) = _parsed(text).body
    value = line.value if isinstance(line, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) else None


def _dicts(tree: ast.AST) -> Iterator[dict[str, Any]]:
    """The constants of every dict in a text, written as ``dict(...)`` or in braces."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
            pairs = [(keyword.arg, keyword.value) for keyword in node.keywords]
        elif isinstance(node, ast.Dict):
            pairs = [(getattr(key, 'value', None), value) for key, value in zip(node.keys, node.values)]
        else:
            continue
        yield {str(key): value.value for key, value in pairs if key and isinstance(value, ast.Constant)}


def _agreed(backbones: list[dict[str, Any]], option: str) -> bool | None:
    """The option's value, if all the backbones that state it state the same."""
    values = {entry[option] for entry in backbones if isinstance(entry.get(option), bool)}
    return values.pop() if len(values) == 1 else None


def _imports_us(tree: ast.Module) -> bool:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(getattr(name, 'id', '') == 'custom_imports' for name in node.targets):
            texts = {part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant)}
            return any(isinstance(text, str) and text.split('.')[0] == 'moganet' for text in texts)
    return False


def without_paths(text: str) -> str:
    """Return a config with nothing but the last part of each absolute path in it: the rest is of one machine.

    Raises:
        ValueError: it is no Python.
    """
    lines = io.StringIO(text).readlines()
    try:
        _parsed(text)
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (SyntaxError, tokenize.TokenError, RecursionError, MemoryError) as error:
        raise ValueError(f'the config is no Python: {error}') from error
    for token in reversed(tokens):
        value = _constant(token.string) if token.type == tokenize.STRING else None
        if not isinstance(value, str) or not _ABSOLUTE.match(value):
            continue
        (first, begin), (last, end) = token.start, token.end
        name = re.split(r'[\\/]', value.rstrip('\\/'))[-1]
        lines[first - 1 : last] = [lines[first - 1][:begin] + repr(name) + lines[last - 1][end:]]
    return ''.join(lines)

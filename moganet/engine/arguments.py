"""What the constructors that a config names take: which arguments, and values of which kind for them."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from typing import Any, Literal, Union

from torch import Tensor, nn

_CONTAINERS = ('list', 'tuple', 'set', 'Sequence', 'Iterable', 'dict', 'Mapping', 'ConfigDict')


def arguments_of(cls: Any, through_bases: bool) -> set[str] | None:
    """Return the names of the arguments that a class or a function takes; None when it may take any.

    Args:
        cls: the class or function.
        through_bases: take ``**kwargs`` of a constructor for the arguments of the next one among its bases, as data
            sets, hooks and schedulers have it. A backbone may hand them to another package instead.
    """
    names: set[str] = set()
    for owner in inspect.getmro(cls) if inspect.isclass(cls) else (cls,):
        function = vars(owner).get('__init__') if inspect.isclass(cls) else cls
        if function is None:
            continue
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            return None
        names |= {parameter.name for parameter in parameters} - {'self'}
        open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        if owner is object or not open_ended:
            return None if owner is object else names
        if not through_bases:
            return None
    return None


def wrong_kind(cls: Any, name: str, value: Any) -> str | None:
    """Return the annotation of an argument that a value does not fit; None where it does, or nothing is known.

    The toolboxes' annotations are not exact: their own configs have lists for numbers, numbers for lists, fractions for
    whole numbers, None for a dict. What is refused is a text or a dict where there are numbers, a text where there are
    lists or dicts, None where a number is needed, and a number where there is a text.

    Args:
        cls: a class or a function.
        name: one of its arguments.
        value: what a config has for it.
    """
    for function in _functions(cls):
        hints, defaults = _annotations(function)
        if name not in defaults:
            continue
        hint = hints.get(name, Any)
        fits = value is defaults[name] or _accepts(hint, value)
        return None if fits else inspect.formatannotation(hint).replace('typing.', '')
    return None


def _functions(cls: Any) -> list[Any]:
    """Return what is called with a config's arguments: a function, or the constructors of a class and its bases."""
    if not inspect.isclass(cls):
        return [cls]
    return [vars(owner)['__init__'] for owner in inspect.getmro(cls) if '__init__' in vars(owner)]


@functools.cache
def _annotations(function: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the annotations of a function's arguments that can be had, and their defaults."""
    try:
        hints = typing.get_type_hints(function)
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError, NameError, AttributeError):  # names that are there for a type checker alone
        return {}, {}
    return hints, {name: parameter.default for name, parameter in parameters.items()}


def _accepts(hint: Any, value: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_accepts(part, value) for part in typing.get_args(hint))
    if origin is Literal:
        return value in typing.get_args(hint)
    kind = origin or hint
    if kind in (bool, int, float):
        return value is not None and not isinstance(value, (str, dict))
    if kind is str:
        return not isinstance(value, (bool, int, float))
    if kind is type(None) or getattr(kind, '__name__', '') in _CONTAINERS:
        return not isinstance(value, str)
    return not (inspect.isclass(kind) and issubclass(kind, (Tensor, nn.Module)) and isinstance(value, str))

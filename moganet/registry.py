"""MMEngine's scope ``moganet``, which a config gets that inherits from ``moganet::...``.

MMEngine notes in whatever such a base defines that its types are to be looked up in the scope of that name, and imports
this module (by its name) to do so. The types that our configs name are the toolboxes' own, so the registries here hold
nothing: they look where the config's ``default_scope`` looks. What this package itself registers is in MMEngine's root
registries, which every scope reaches.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

from mmengine.registry import DefaultScope, Registry
from mmengine.registry import root as mmengine_registries

SCOPE = 'moganet'


class Delegate(Registry):
    """Finds what the registry of the scope around it finds.

    Args:
        parent: the root registry of the same kind.
    """

    def __init__(self, parent: Registry) -> None:
        super().__init__(parent.name, parent=parent, scope=SCOPE)

    def get(self, key: str) -> Any:
        """The class or function of that name, None when there is none."""
        return self._around().get(key)

    def _around(self) -> Registry:
        # MMEngine puts the scope of what it builds on top of those before it; the latest that is not ours was the
        # config's own.
        before = [instance.scope_name for instance in DefaultScope._instance_dict.values()]
        scope = next((name for name in reversed(before) if name != SCOPE), None)
        root: Registry = self.root
        if scope is None:
            return root
        with contextlib.suppress(ImportError):
            # A toolbox's registries are there once this module of its is imported, as MMEngine itself does.
            importlib.import_module(f'{scope}.registry')
        found: Registry | None = root._search_child(scope)
        # Not `found or root`: a registry that was not asked yet is empty, and so counts as false.
        return root if found is None else found


for _registry in list(vars(mmengine_registries).values()):
    if isinstance(_registry, Registry) and SCOPE not in _registry.children:
        Delegate(_registry)

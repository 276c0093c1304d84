"""Evaluate the fused form of a model."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS

from ...models.fused import fuse


@HOOKS.register_module()
class FuseHook(Hook):
    """Before a test put the fused form of each MogaNet in its place, once the weights are loaded.

    ``--fused`` of ``tools/test.py`` names it. It changes what ``runner.model`` is, so it serves runs that test and do
    nothing else.
    """

    priority = 'HIGHEST'

    def before_test(self, runner: Any) -> None:
        """Fuse.

        Raises:
            ValueError: the model cannot be fused, see :func:`moganet.models.fused.fuse`.
        """
        model = runner.model.eval()
        if is_model_wrapper(model):
            model.module = fuse(model.module)
        else:
            runner.model = fuse(model)

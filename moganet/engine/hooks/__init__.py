"""Hooks that the toolboxes lack, in MMEngine's root registry."""

from .pictures import PictureHook

__all__ = ['PictureHook']

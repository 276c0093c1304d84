"""Packages that only a part of this one needs: where they are missing, the line that installs them."""

from __future__ import annotations

import platform
import sys

from .doctor_rules import Lines
from .environment import Facts, installed_distributions


def missing(needed_by: str, package: str, error: Exception) -> ImportError:
    """Return the error for an optional package that cannot be imported.

    Args:
        needed_by: our module that needs it.
        package: its distribution's name.
        error: what importing it gave.
    """
    facts = Facts(platform.python_version(), sys.platform, installed_distributions(), {})
    line = Lines(facts).for_distribution(package)
    return ImportError(f'{needed_by} needs {package}, which cannot be imported here ({error}): {line}')

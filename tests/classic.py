"""The tests that the classic set cannot run, each with what it lacks: the only place where they are skipped for it.

What our own code lacks there does not belong here, but is mended, or worked around in :mod:`moganet.compat`.
"""

from __future__ import annotations

from moganet.compat import torch_version

_NO_LIST = "a list of what torch's weights-only reader may build (torch 2.6); ours reads instead"
_NO_DIM = 'torch.export.Dim (torch 2.2), by which a batch of any size is exported'

# A test's id, of one case (``...[case]``) or of all its cases -> what is lacking.
LACKING: dict[str, str] = {
    'tests/configs/test_ours.py::test_memory': (
        'backward passes that hold as little as those of torch 2.13, for which the metafiles count: 2 % more here'
    ),
    'tests/checkpoints/test_hostile.py::test_torchs_reader_refuses_by_itself': _NO_LIST,
    'tests/checkpoints/test_reader.py::test_list_of_torch_is_left_as_it_was': _NO_LIST,
    'tests/models/test_moganet.py::test_transforms_keep_the_function[_exported-plain]': _NO_DIM,
    'tests/models/test_moganet.py::test_transforms_keep_the_function[_exported-gate options]': _NO_DIM,
    'tests/misc/test_setup_classic.py::TestEntry::test_without_it_the_line_says_what_to_install': (
        'Python 3.10, whose absence it acts out, runs it'
    ),
}


def is_classic() -> bool:
    """Whether the tests run under torch 2.1, to which the classic set belongs."""
    return torch_version() < (2, 2)


def lacking(nodeid: str) -> str:
    """What the classic set lacks for a test; empty when it lacks nothing."""
    return LACKING.get(nodeid) or LACKING.get(nodeid.partition('[')[0], '')

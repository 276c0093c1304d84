"""A sample that cannot be made, told with its picture."""

from __future__ import annotations

from typing import Any


class SampleError(RuntimeError):
    """A data set cannot make one of its samples; the message says which, and why."""


def sample_of(dataset: Any, index: int) -> Any:
    """Return a sample of a data set.

    Raises:
        SampleError: the data set raised something, which is its cause.
    """
    try:
        return dataset[index]
    except MemoryError:  # which says nothing of the sample
        raise
    except Exception as error:  # data sets and transforms raise what they like
        reason = ' '.join(str(error).split())
        raise SampleError(
            f'sample {int(index)}{_path_of(dataset, index)} cannot be made: {type(error).__name__}: {reason}'
        ) from error


def _path_of(dataset: Any, index: int) -> str:
    try:
        path = dataset.get_data_info(int(index)).get('img_path')
    except Exception:  # a message is all that it is for
        return ''
    return f' ({path})' if path else ''

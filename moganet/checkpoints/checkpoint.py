"""From a path, a URL or a name to weights under this project's names."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..completeness import Source, note_source
from ..names import missing_file
from .envelope import AVERAGED
from .errors import CheckpointError, ForeignModelError, HashMismatchError

if TYPE_CHECKING:
    from .formats import Weights
    from .reader import Contents
    from .zoo import Released

# What MMEngine's CheckpointLoader knows us by; what follows is a path, a URL or a name.
SCHEME = 'moganet://'
# Entries whose tensors a Runner that resumes goes on to use as they are.
_KEPT_BY_A_TRAINING = ('optimizer', 'param_schedulers', 'message_hub')
_FILE_ENDINGS = ('.pth', '.pt', '.tar', '.bin', '.safetensors', '.ckpt')


@dataclass(frozen=True)
class Checkpoint:
    """A file that was read and recognised.

    Attributes:
        given: what was asked for.
        path: the file.
        sha256: of the file.
        container: how it is written: ``zip``, ``legacy`` or ``safetensors``.
        data: everything that it holds, as it was read.
        weights: whose it is, and its weights under today's names.
        note: what else there is to say of where it came from, or empty.
    """

    given: str
    path: Path
    sha256: str
    container: str
    data: dict[str, Any]
    weights: Weights
    note: str = ''

    def for_mmengine(self) -> dict[str, Any]:
        """Return what MMEngine takes for a checkpoint: all that the file holds, its weights renamed.

        Of two copies the other one is left out, unless it is where MMEngine has it: it has the names of its writer.

        A model copies its weights. An optimizer keeps the tensors that it is given, which are views of the file, and a
        training may save under the name that it resumed from, in place; so what a training keeps is copied here.
        """
        whole = self.data if 'state_dict' in self.data else {}
        kept = {key: value for key, value in whole.items() if key not in AVERAGED}
        kept.update((key, copy.deepcopy(kept[key])) for key in _KEPT_BY_A_TRAINING if key in kept)
        return {**kept, 'meta': dict(self.weights.meta), 'state_dict': self.weights.state_dict}


def open_checkpoint(
    given: str | Path,
    *,
    sha256: str | None = None,
    prefer: Literal['ema', 'raw'] | None = None,
    gate_act_twice: bool | None = None,
    foreign: bool = False,
    unsafe: bool = False,
    progress: bool = True,
) -> Checkpoint:
    """Find, fetch, read and recognise a checkpoint.

    Args:
        given: a path, a URL, or a name of the zoo; ``moganet://`` may precede it.
        sha256: what the file's has to be.
        prefer: which weights to take where a file holds both a moving average and what it averages; None takes those
            that its metafile row was evaluated with, and the average without a row.
        gate_act_twice: how the gate was activated in training, for a file that does not say it.
        foreign: also open what is no MogaNet's, or has one where none is looked for; its names stay as they are.
        unsafe: read with pickle what holds more than weights; whoever wrote the file can then run code here.
        progress: show a bar while a file is fetched.

    Raises:
        KeyError: no such name in the zoo.
        FileNotFoundError: no such file.
        CheckpointError: the file cannot be had, is damaged, is no checkpoint, holds more than weights, or none of a
            MogaNet.
    """
    from .formats import as_they_are, recognise

    text = str(given).removeprefix(SCHEME)
    whole = sha256 if sha256 and len(sha256) == 64 else None  # the reader checks the first digits of one
    path, released = locate(text, sha256=whole, progress=progress)
    contents = _read(path, released.url if released else text, sha256, unsafe)
    try:
        weights = recognise(contents.data, path.name, released, prefer=prefer, gate_act_twice=gate_act_twice)
    except ForeignModelError:
        if not foreign:
            raise
        weights = as_they_are(contents.data, path.name)
    # Of all that a loader returns, the tensors alone reach the module that is filled.
    source = Source(text, weights.gate_act_twice)
    for tensor in weights.state_dict.values():
        note_source(tensor, source)
    note = released.note if released else ''
    return Checkpoint(text, path, contents.sha256, contents.container, contents.data, weights, note)


def _read(path: Path, url: str, sha256: str | None, unsafe: bool) -> Contents:
    """Read a file; where one that was fetched is refused, say how to have it fetched again, and allow it."""
    from . import cache
    from .reader import read

    try:
        return read(path, sha256=sha256, unsafe=unsafe)
    except CheckpointError as error:
        if '://' not in url or cache.cache_dir() not in path.parents:
            raise
        if not isinstance(error, HashMismatchError):
            # Its hash was recorded as the URL's when it was first used, and would have a good file refused.
            cache.forget_url(url)
        raise type(error)(
            f'{error}. This is the copy in the cache of {url}: delete {path} and it is fetched again'
        ) from error


def locate(given: str, *, sha256: str | None = None, progress: bool = True) -> tuple[Path, Released | None]:
    """Return the local file of a path, a URL or a name of the zoo, fetched where need be, and its row of the zoo.

    A file that lies here goes before a name.

    Raises:
        KeyError: no such name in the zoo.
        FileNotFoundError: no such file.
        DownloadError, HashMismatchError: it cannot be fetched.
    """
    from . import zoo
    from .download import fetch

    if '://' in given:
        path = fetch(given, sha256=sha256, progress=progress)
        # By the file's name, too: whoever reads it by its path then takes it for the same.
        return path, zoo.by_url(given) or zoo.by_file_name(path.name)
    path = Path(given).expanduser()
    if path.is_file():
        return path, zoo.by_file_name(path.name)
    if path.suffix in _FILE_ENDINGS or (path.is_dir() and not zoo.is_known(given)):
        raise missing_file('checkpoint', given, '*.pth')
    released = zoo.find(given)
    return fetch(released.url, sha256=sha256, progress=progress), released

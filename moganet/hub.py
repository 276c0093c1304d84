"""MogaNet in Hugging Face's layout: ``save_pretrained``, ``push_to_hub`` and ``from_pretrained``.

A folder or repository has ``config.json``, the arguments of the model, and ``model.safetensors``; both say how often
the gate is activated. What is loaded is read by :mod:`moganet.checkpoints`, whole or refused. The authors' eight pages
on the hub have no weights; their names stand for the released files here, and nothing is asked of the hub for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from .checkpoints import CheckpointError, DownloadError, open_checkpoint, writer, zoo
from .models import MogaNet, MogaNetClassifier
from .optional import missing
from .pretrained import fill_new

try:
    from huggingface_hub import PyTorchModelHubMixin, constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError
except ImportError as error:
    raise missing(__name__, 'huggingface-hub', error) from error

__all__ = ['MogaNetBackbone', 'MogaNetForImageClassification']

CONFIG, WEIGHTS = 'config.json', 'model.safetensors'


class _OnHub(
    PyTorchModelHubMixin,
    library_name='moganet',
    license='apache-2.0',
    repo_url='https://github.com/Westlake-AI/MogaNet',
    paper_url='https://arxiv.org/abs/2211.03295',
    tags=['moganet'],
):
    """What both models have in common."""

    # Attributes of the model that may have changed since it was built, by the argument of its constructor.
    _changing: ClassVar[Mapping[str, Callable[[Any], Any]]] = {}
    _arguments: ClassVar[Mapping[str, str]] = {}

    def save_pretrained(self, save_directory: str | Path, *, config: Any = None, **options: Any) -> str | None:
        """Write ``config.json``, ``model.safetensors`` and a model card; ``options`` are the mixin's."""
        return super().save_pretrained(save_directory, config=self._config() if config is None else config, **options)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        endpoint: str | None = None,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
        **changes: Any,
    ) -> Any:
        """Build a model as it was saved, and fill it, completely or not at all.

        Args:
            pretrained_model_name_or_path: a folder, the name of a repository on the hub, or one of the authors' eight
                pages, such as ``MogaNet/moganet_tiny_224_in1k``, which stand for released files.
            endpoint: the hub's URL; HF_ENDPOINT by default.
            force_download, token, cache_dir, local_files_only, revision: see :func:`huggingface_hub.hf_hub_download`.
            **changes: arguments of the constructor that are to be other than saved. With another ``num_classes`` the
                classifier stays as initialised, and that is said.

        Returns:
            The model, in evaluation mode; ``model.load_report`` says what was loaded.

        Raises:
            FileNotFoundError: the folder or repository lacks one of the two files.
            ValueError: they cannot be had, are damaged, or do not fit each other.
        """
        name = str(pretrained_model_name_or_path)
        folder = Path(name).expanduser()
        released = None if folder.is_dir() else zoo.on_hub(name)
        if released is not None:
            checkpoint = open_checkpoint(name)
            return cls._filled(checkpoint, {'arch': checkpoint.weights.variant, 'gate_act_twice': None}, changes)
        if folder.is_dir():
            paths = [_existing(folder / file) for file in (CONFIG, WEIGHTS)]
        else:
            options = dict(
                endpoint=endpoint,
                force_download=force_download,
                token=token,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
                revision=revision,
            )
            paths = [_fetched(name, file, options) for file in (CONFIG, WEIGHTS)]
        config = _read_config(paths[0])
        for theirs, ours in cls._arguments.items():
            config.setdefault(ours, config.get(theirs))
        saved = {key: value for key, value in config.items() if key in cls._hub_mixin_init_parameters}
        # Files of other writers may say it in their config alone.
        twice = {**saved, **changes}.get('gate_act_twice')
        return cls._filled(open_checkpoint(paths[1], gate_act_twice=twice), saved, changes)

    @classmethod
    def _filled(cls, checkpoint: Any, saved: Mapping[str, Any], changes: Mapping[str, Any]) -> nn.Module:
        arguments = {**saved, **changes}
        gate = arguments.pop('gate_act_twice', None)

        def build(twice: bool | None) -> Any:
            return cls(**arguments, **({} if twice is None else {'gate_act_twice': twice}))

        return fill_new(build, checkpoint, gate_act_twice=gate, new_parts='num_classes' in changes)

    def _save_pretrained(self, save_directory: Path) -> None:
        meta = {'format': 'pt', 'gate_act_twice': self._config()['gate_act_twice']}
        writer.save({'state_dict': self.state_dict(), 'meta': meta}, save_directory / WEIGHTS)  # type: ignore[attr-defined]

    def _config(self) -> dict[str, Any]:
        """Return the arguments that build this model as it is now."""
        given = self._hub_mixin_config
        # What it was initialised from has no part in what it is.
        kept = {k: v for k, v in given.items() if k != 'init_cfg'} if isinstance(given, dict) else {}
        return {**kept, **{name: read(self) for name, read in self._changing.items()}}


class MogaNetForImageClassification(_OnHub, MogaNetClassifier, pipeline_tag='image-classification'):
    """A :class:`~moganet.models.MogaNetClassifier` that is saved for the hub and read from there."""

    _changing = {
        'num_classes': lambda model: model.num_classes,
        'global_pool': lambda model: model.head.pool,
        'gate_act_twice': lambda model: model.backbone.gate_act_twice,
    }


class MogaNetBackbone(_OnHub, MogaNet, pipeline_tag='image-feature-extraction'):
    """A :class:`~moganet.MogaNet` that is saved for the hub and read from there, from a classifier's files, too."""

    _changing = {
        'out_indices': lambda model: list(model.out_indices),
        'gate_act_twice': lambda model: model.gate_act_twice,
    }
    _arguments = {'in_chans': 'in_channels'}


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f'{path.parent} has no {path.name}; save_pretrained writes {CONFIG} and {WEIGHTS}')
    return path


def _fetched(name: str, file: str, options: Mapping[str, Any]) -> Path:
    """Return a file of a repository in the hub's own cache, fetched where need be."""
    server = options['endpoint'] or constants.ENDPOINT
    try:
        return Path(hf_hub_download(name, file, **options))
    except HFValidationError as error:
        raise ValueError(f'{name!r} is neither a folder here nor the name of a repository on the hub') from error
    except LocalEntryNotFoundError as error:
        raise DownloadError(f'{name}: {file} is not in the cache, and {server} cannot be reached') from error
    except EntryNotFoundError as error:
        raise FileNotFoundError(
            f'{name} on {server} has no {file}; save_pretrained writes {CONFIG} and {WEIGHTS}'
        ) from error
    except Exception as error:  # of an HTTP client that the hub's library exchanges now and then
        reason = ' '.join(str(error).split())
        told = f'{name}: {file} cannot be fetched from {server} ({reason or type(error).__name__})'
        raise DownloadError(told) from error


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f'{path} is no JSON ({error}); fetch or save it again') from error
    if not isinstance(config, dict) or 'arch' not in config:
        raise CheckpointError(f"{path} does not describe a MogaNet: it has no 'arch'")
    return config

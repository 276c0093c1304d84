"""The memory of a run against what its device has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...analysis import Memory, training_memory
from ...models.layers import MogaBlock
from ..strategy_option import SHARDED
from .free_memory import free_memory
from .result import FAILED, NotRunError, judged, size, words_of
from .step import Step, Trial
from .subject import Subject

# A detector's losses ask for values, so that its step without data takes minutes.
_BY_PICTURES = 'mmdet'


def check_memory(subject: Subject) -> tuple[str, str]:
    """Compare what the processes of a run take at their peak with what is free: on a CPU all of them share it.

    What they take was measured with the batch; without data it is counted by shapes, in float32.

    Raises:
        NotRunError: there was no batch, and a detector is not counted by shapes.
    """
    subject.needs_config()
    step, how = subject.step, 'measured'
    if step is None:
        if subject.scope == _BY_PICTURES:
            raise NotRunError('it needs a batch, or tools/analysis_tools/get_memory.py, which takes minutes')
        found = _counted(subject.cfg)
        step = Step(found.batch, (Trial(found.batch, 0.0, found.settled, found.peak),), 0.0, 0)
        how = 'counted by shapes in float32'
    else:
        step = _with_more(subject, step)
        if subject.cfg.get('runner_type') == SHARDED:
            how = 'measured whole, and reckoned in parts'
    device, processes = subject.device.type, subject.gpus if subject.device.type == 'cpu' else 1
    free, need = free_memory(subject.device), step.peak * processes
    fixed = step.peak - step.picture_bytes * step.batch
    fits = int((free / processes - fixed) / max(1.0, step.picture_bytes))
    here = f'{processes} processes on this {device}' if processes > 1 else f'a process on this {device}'
    text = f'{here}: {size(need)} of tensors for batches of {step.batch} ({how}), {size(free)} are free'
    state = judged(need, free)
    if state == FAILED:
        text += f'; about {max(0, fits)} pictures a process fit: accumulate smaller batches, see docs/memory.md'
    return state, text


def _counted(cfg: Any) -> Memory:
    """Count a step by shapes; a config that tells too little for that is none that fails."""
    try:
        return training_memory(cfg)
    except (ValueError, TypeError, AttributeError, NotImplementedError) as error:
        raise NotRunError(f'it needs a batch, and cannot be counted by shapes: {words_of(error)}') from error


def _with_more(subject: Subject, step: Step) -> Step:
    """Return a step with what the measured one did not have: averages of the weights, and DDP's buckets."""
    tensors = [*subject.model.parameters(), *subject.model.buffers()]
    more = subject.averages * sum(tensor.nbytes for tensor in tensors)
    if subject.cfg.get('runner_type') == SHARDED:
        return replace(step, trials=tuple(_in_parts(subject, trial, more) for trial in step.trials))
    if subject.gpus > 1:
        more += sum(parameter.nbytes for parameter in subject.model.parameters() if parameter.requires_grad)
    trials = tuple(Trial(t.pictures, t.seconds, t.settled + more, t.peak + more) for t in step.trials)
    return Step(step.batch, trials, step.load_s, step.terms)


def _in_parts(subject: Subject, trial: Trial, averages: int) -> Trial:
    """Return a step of which a process keeps its part: of all that stays between two steps.

    What is gathered, and its gradients, come to it: one block, and what is outside of the blocks.
    """
    blocks = [module for module in subject.model.modules() if isinstance(module, MogaBlock)]
    sizes = [sum(parameter.nbytes for parameter in block.parameters()) for block in blocks]
    outside = sum(parameter.nbytes for parameter in subject.model.parameters()) - sum(sizes)
    kept = (trial.settled + averages) // subject.gpus
    gathered = 2 * (outside + max(sizes, default=0))
    return replace(trial, settled=kept, peak=trial.peak - trial.settled + kept + gathered)

"""The tests that the classic set cannot run, each with what it lacks: the only place where they are skipped for it.

What our own code lacks there does not belong here, but is mended, or worked around in :mod:`moganet.compat`.
"""

from __future__ import annotations

from moganet.compat import torch_version

_NO_LIST = "a list of what torch's weights-only reader may build (torch 2.6); ours reads instead"
_NO_DIM = 'torch.export.Dim (torch 2.2), by which a batch of any size is exported'
_NO_SHARDS = 'torch.distributed.fsdp.fully_shard as --strategy fsdp needs it (torch 2.8), which is refused there'
_NO_EXPORT = 'torch.export.Dim.DYNAMIC (torch 2.6) and the packages of [export]: exporting is refused there'
_NO_HALF = 'convolutions in float16 on a processor'
_NO_TRITON = 'Triton, whose interpreter and compiler need no GPU; the set has none, and its torch takes an older one'

# A test's id, of one case (``...[case]``) or of all its cases -> what is lacking.
LACKING: dict[str, str] = {
    'tests/configs/test_ours.py::test_memory': (
        'backward passes that hold as little as those of torch 2.13, for which the metafiles count: 2 % more here'
    ),
    'tests/checkpoints/test_hostile.py::test_torchs_reader_refuses_by_itself': _NO_LIST,
    'tests/checkpoints/test_reader.py::test_list_of_torch_is_left_as_it_was': _NO_LIST,
    'tests/models/test_moganet.py::test_transforms_keep_the_function[_exported-plain]': _NO_DIM,
    'tests/models/test_moganet.py::test_transforms_keep_the_function[_exported-gate options]': _NO_DIM,
    'tests/models/test_fused.py::test_traced_and_exported_with_a_dynamic_batch': _NO_DIM,
    'tests/models/test_fused.py::test_half_precision[float16-False]': _NO_HALF,
    'tests/models/test_fused.py::test_half_precision[float16-True]': _NO_HALF,
    'tests/models/test_triton.py::test_result_in_the_interpreter': _NO_TRITON,
    'tests/models/test_triton.py::test_no_case_is_left_out': _NO_TRITON,
    'tests/models/test_triton.py::test_kernels_compile_for_a_gpu_and_have_no_atomics': _NO_TRITON,
    'tests/engine/test_strategy.py::test_steps_are_those_of_ddp': _NO_SHARDS,
    'tests/engine/test_strategy.py::test_checkpoint_is_a_plain_one': _NO_SHARDS,
    'tests/engine/test_strategy.py::test_stopped_run_goes_on_bit_for_bit': _NO_SHARDS,
    'tests/engine/test_strategy.py::test_either_goes_on_from_the_other': _NO_SHARDS,
    'tests/engine/test_strategy.py::test_batch_that_is_left_out': _NO_SHARDS,
    'tests/engine/test_strategy.py::test_loss_that_ends_the_run': _NO_SHARDS,
    'tests/engine/test_strategy_option.py::test_model_that_cannot_be_sharded_is_refused': _NO_SHARDS,
    'tests/e2e/test_strategy.py::test_sharded_run_is_tested_in_one_process': _NO_SHARDS,
    'tests/e2e/test_strategy.py::test_killed_run_goes_on_bit_for_bit': _NO_SHARDS,
    'tests/deployment/test_export.py::test_every_format_takes_other_pictures': _NO_EXPORT,
    'tests/deployment/test_export.py::test_one_operator_for_gelu_and_plain_convolutions': _NO_EXPORT,
    'tests/deployment/test_export.py::test_what_differs_is_not_kept': _NO_EXPORT,
    'tests/deployment/test_export.py::test_a_size_and_a_number_of_its_own': _NO_EXPORT,
    'tests/deployment/test_export.py::test_a_whole_classifier': _NO_EXPORT,
    'tests/deployment/test_export.py::TestRefused::test_formats_and_files': _NO_EXPORT,
    'tests/deployment/test_export.py::TestRefused::test_arguments': _NO_EXPORT,
    'tests/deployment/test_export.py::TestRefused::test_a_package_that_is_not_there': _NO_EXPORT,
    'tests/deployment/test_export.py::TestRefused::test_a_shape_that_the_head_cannot_take': _NO_EXPORT,
    'tests/engine/test_backend.py::test_metrics_are_those_of_torch': _NO_EXPORT,
    'tests/engine/test_backend.py::test_augmentation_stays_the_toolboxs': _NO_EXPORT,
    'tests/engine/test_backend.py::test_two_stages_end_before_their_heads': _NO_EXPORT,
    'tests/deployment/test_export.py::TestRefused::test_a_size_that_became_a_number': _NO_EXPORT,
    'tests/e2e/test_export.py::test_exported': _NO_EXPORT,
    'tests/e2e/test_export.py::test_what_is_not_installed_or_does_not_go_together': _NO_EXPORT,
    'tests/e2e/test_export.py::test_another_backbone': _NO_EXPORT,
    'tests/e2e/test_export.py::test_bad_input': _NO_EXPORT,
    'tests/e2e/test_export.py::test_without_test_data': _NO_EXPORT,
    'tests/analysis/test_throughput.py::test_exported_forms': _NO_EXPORT,
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

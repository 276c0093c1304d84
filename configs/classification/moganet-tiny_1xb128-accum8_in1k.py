# Generated from metafile.yml by tools/misc/generate_docs.py; change it there.
# No result was published, and none is claimed.
# Size: 5.2 M parameters, 1.1 G multiply-adds at 224x224. GPUs: 1, batch 128 each, memory 9.9 GB of tensors by
#   get_memory.py (9.9 GB with model.backbone.with_cp=False, 3.3 GB with True).
# Recipe: https://github.com/Westlake-AI/MogaNet/blob/main/TRAINING.md (timm 0.6.12, in fp16: --amp fp16).
# Note: ours: moganet-tiny_8xb128_in1k on one GPU: eight batches for each step of the optimizer.

_base_ = './moganet-tiny_8xb128_in1k.py'

optim_wrapper = dict(accumulative_counts=8)
auto_scale_lr = dict(base_batch_size=128)

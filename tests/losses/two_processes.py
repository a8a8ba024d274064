"""One of two processes: compares the gradients of a distributed model with those of the same model in one process.

A spawned process imports its target by module name, and test modules cannot be imported by name: hence this file.
"""

import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from architectures import batch_of, model_of

from overmem.losses import LOSSES
from overmem.losses.driver import attach, model_loss


def compare_gradients(rank: int, wrapper: str, out: str) -> None:
    torch.set_num_threads(1)
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # else gloo looks up the name of the host, which can hang
    # A file, not a port: a port that was free a moment ago may be taken by another test by now.
    rendezvous = f"file://{Path(out, 'rendezvous')}"
    dist.init_process_group("gloo", rendezvous, rank=rank, world_size=2, timeout=timedelta(minutes=5))
    batch = batch_of()
    tokens = int((batch["labels"][:, 1:] != -100).sum())
    single, model = model_of("llama"), model_of("llama")
    model_loss(single, batch, LOSSES["mar"], denominator=tokens)[0].backward()
    attach(model)
    if wrapper == "fsdp2":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh("cpu", (2,))
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh)
        distributed = fully_shard(model, mesh=mesh)
    else:
        distributed = torch.nn.parallel.DistributedDataParallel(
            model, find_unused_parameters=wrapper == "ddp, find_unused_parameters"
        )
    own_rows = {key: value[2 * rank : 2 * rank + 2] for key, value in batch.items()}
    loss, _ = model_loss(distributed, own_rows, LOSSES["mar"], denominator=tokens)
    (2 * loss).backward()  # DDP and FSDP average gradients over the two processes
    worst = 0.0
    for expected, actual in zip(single.parameters(), distributed.parameters(), strict=True):
        gradient = actual.grad.full_tensor() if hasattr(actual.grad, "full_tensor") else actual.grad
        worst = max(worst, float((expected.grad - gradient).norm() / expected.grad.norm()))
    Path(out, str(rank)).write_text(str(worst))
    dist.barrier()
    # Exit without returning: PyTorch 2.13 can hang when the reducer is freed, because it holds the GIL while it waits
    # for a gloo thread that needs the GIL to end.
    os._exit(0)

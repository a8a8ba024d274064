"""One of two processes: the gradients of a model that is shared, compared with those of a model alone.

In a file of its own, because a spawned process finds this module by its name, and test modules have none on the path.
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


def worker(rank: int, how: str, out: str) -> None:
    torch.set_num_threads(1)
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # else gloo looks up the name of the host, which can hang
    # They meet in a file: a port that was free a moment ago may be another test's by now.
    meeting = f"file://{Path(out, 'meeting')}"
    dist.init_process_group("gloo", meeting, rank=rank, world_size=2, timeout=timedelta(minutes=5))
    batch = batch_of()
    tokens = int((batch["labels"][:, 1:] != -100).sum())
    alone, model = model_of("llama"), model_of("llama")
    model_loss(alone, batch, LOSSES["mar"], denominator=tokens)[0].backward()
    attach(model)
    if how == "fsdp2":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh("cpu", (2,))
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh)
        shared = fully_shard(model, mesh=mesh)
    else:
        shared = torch.nn.parallel.DistributedDataParallel(model, find_unused_parameters=how == "ddp, unused found")
    share = {key: value[2 * rank : 2 * rank + 2] for key, value in batch.items()}
    loss, _ = model_loss(shared, share, LOSSES["mar"], denominator=tokens)
    (2 * loss).backward()  # both average over processes
    worst = 0.0
    for one, two in zip(alone.parameters(), shared.parameters(), strict=True):
        gradient = two.grad.full_tensor() if hasattr(two.grad, "full_tensor") else two.grad
        worst = max(worst, float((one.grad - gradient).norm() / one.grad.norm()))
    Path(out, str(rank)).write_text(str(worst))
    dist.barrier()
    # Not by returning: PyTorch 2.13 can hang when the reducer is freed. It holds the interpreter's lock while it waits
    # for a thread of gloo that needs the lock to end.
    os._exit(0)

"""Two processes give the gradients of one: DDP and FSDP2, on CPU through gloo."""

import os
import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from test_model_loss import batch_of, model_of

from overmem.losses import LOSSES
from overmem.losses.driver import attach, model_loss


def worker(rank: int, how: str, port: int, out: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE="2")
    dist.init_process_group("gloo", rank=rank, world_size=2)
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
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ddp", "ddp, unused found", "fsdp2"])
def test_two_processes_give_the_gradients_of_one(how, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(worker, (how, port, str(tmp_path)), nprocs=2)
    assert all(float((tmp_path / str(rank)).read_text()) < 1e-10 for rank in range(2))

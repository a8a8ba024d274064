"""The command under accelerate's FSDP in CPU processes.

accelerate reads its FSDP settings only where there is an accelerator. This says that there is one, and that its device
is the CPU; everything after that is accelerate's, transformers' and PyTorch's own FSDP2.
"""

import torch.distributed as dist
from accelerate.state import PartialState
from accelerate.utils import DistributedType

from overmem.cli import main

dist.init_process_group("gloo")
PartialState._prepare_backend = lambda self, *arguments, **more: ("gloo", DistributedType.MULTI_GPU)
main()

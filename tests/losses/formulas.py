"""Reference implementations: every loss as its paper writes it, and its gradient in closed form."""

import math

import torch
from torch import Tensor


def p_of(z: Tensor) -> Tensor:
    return torch.exp(z - z.logsumexp(-1, keepdim=True))


def p_label(z: Tensor, y: Tensor) -> Tensor:
    return p_of(z)[torch.arange(len(y)), y]


def one_hot(z: Tensor, y: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(y, z.shape[-1]).to(z.dtype)


def topk_weight(z: Tensor, k: int = 20) -> Tensor:
    k = min(k, z.shape[-1])
    share = torch.softmax(z.detach().topk(k, -1).values, -1)
    return -(share * share.log()).sum(-1) / math.log(k)


def kept_by_rho(z: Tensor, y: Tensor, ref: Tensor, keep: float = 0.6) -> Tensor:
    excess = -p_label(z, y).detach().log() + ref
    kept = sorted(range(len(y)), key=lambda i: -float(excess[i]))[: max(1, round(keep * len(y)))]
    return torch.tensor([1.0 if i in kept else 0.0 for i in range(len(y))], dtype=z.dtype)


def two_way_divergence(p: Tensor, q: Tensor) -> Tensor:
    return q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log()


def values(name: str, z: Tensor, y: Tensor, ref: Tensor) -> Tensor:
    """The loss of each token, with the stop-gradients of the paper."""
    p, py = p_of(z), p_label(z, y)
    q = ref.exp()
    sharpened = torch.softmax(z.detach() / 0.7, -1)
    a = (p**2).sum(-1).detach()
    return {
        "nll": lambda: -py.log(),
        "mar": lambda: (1 - py).detach() * -py.log(),
        "focal": lambda: (1 - py) ** 2 * -py.log(),
        "dft": lambda: py.detach() * -py.log(),
        "tsallis": lambda: (1 - py**0.5) / 0.5,
        "deft": lambda: (1 - py**a) / a,
        "eaft": lambda: topk_weight(z) * -py.log(),
        "gem": lambda: -(sharpened * (py.log()[:, None] - p.log())).sum(-1),
        "label_smoothing": lambda: -0.9 * py.log() - 0.1 / z.shape[-1] * p.log().sum(-1),
        "confidence_penalty": lambda: -py.log() + 0.1 * (p * p.log()).sum(-1),
        "goldfish": lambda: -py.log(),
        "rho": lambda: kept_by_rho(z, y, ref) * -py.log(),
        "asft": lambda: py.detach() * -py.log() + 0.1 * two_way_divergence(py, q),
    }[name]()


def gradient(name: str, z: Tensor, y: Tensor, ref: Tensor) -> Tensor:
    """The gradient of the summed loss with respect to the logits, in closed form, without autograd."""
    p, py, e = p_of(z), p_label(z, y), one_hot(z, y)
    if name == "gem":
        return torch.softmax(z / 0.7, -1) - e
    if name == "label_smoothing":
        return p - 0.9 * e - 0.1 / z.shape[-1]
    if name == "confidence_penalty":
        entropy = -(p * p.log()).sum(-1, keepdim=True)
        return (p - e) + 0.1 * p * (p.log() + entropy)
    gates = {
        "nll": lambda: torch.ones_like(py),
        "mar": lambda: 1 - py,
        "focal": lambda: (1 - py) * ((1 - py) - 2 * py * py.log()),
        "dft": lambda: py,
        "tsallis": lambda: py**0.5,
        "deft": lambda: py ** (p**2).sum(-1),
        "eaft": lambda: topk_weight(z),
        "goldfish": lambda: torch.ones_like(py),
        "rho": lambda: kept_by_rho(z, y, ref),
        "asft": lambda: py + 0.1 * (ref.exp() - py) / (1 - py),
    }
    return gates[name]()[:, None] * (p - e)

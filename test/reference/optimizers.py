"""Writes optimizers.json: values after each step of a linear classifier, by PyTorch in float64. Run with torch installed."""
import json
from pathlib import Path

import torch

torch.set_default_dtype(torch.float64)
torch.manual_seed(7)
N, F, W, STEPS, RATE = 9, 5, 3, 6, 0.05
features = torch.randn(N, F) * torch.tensor([0.1, 1, 3, 1, 0.5])
labels = torch.arange(N) % W
start = {"weight": torch.randn(W, F), "bias": torch.randn(W)}


class Rms(torch.optim.Optimizer):
    """Each tensor's gradient over its root mean square."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})

    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.data -= group["lr"] * p.grad / (p.grad.square().mean() + 1e-16).sqrt()


makers = {
    "sgd": lambda p: torch.optim.SGD(p, lr=RATE),
    "momentum": lambda p: torch.optim.SGD(p, lr=RATE, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=RATE),
    "rms": lambda p: Rms(p, lr=RATE),
}


def run(make):
    weight, bias = (start[k].clone().requires_grad_() for k in ("weight", "bias"))
    optimizer = make([weight, bias])
    steps = []
    for _ in range(STEPS):
        loss = torch.nn.functional.cross_entropy(features @ weight.T + bias, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps.append({"loss": loss.item(), "weight": weight.tolist(), "bias": bias.tolist()})
    return steps


cases = {
    "rate": RATE,
    "features": features.tolist(),
    "labels": labels.tolist(),
    "start": {name: value.tolist() for name, value in start.items()},
    "steps": {name: run(make) for name, make in makers.items()},
}
Path(__file__).with_name("optimizers.json").write_text(json.dumps(cases) + "\n")

"""Writes inner-steps.json: gradient steps of a pattern by each optimizer, head and objective, by PyTorch in float64. Run with torch installed."""
import base64
import json
from itertools import product
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy, normalize

torch.set_default_dtype(torch.float64)
torch.manual_seed(11)
F, E, STEPS = 4, 6, 4
RATES = {"sgd": 0.02, "momentum": 0.01, "adam": 0.02, "rms": 0.02}
SMOOTHING, DECAY = 0.1, 0.3


def drawn(*shape):
    """What float32 holds exactly, so that all begin at the same values."""
    return torch.randn(*shape).float().double()


# Class 0 has three examples and one view that only asks, class 1 two, class 2 one with two views that it is made of.
labels = torch.tensor([0, 0, 0, 1, 1, 2, 0, 2, 2])
support = torch.tensor([1.0, 1, 1, 1, 1, 1, 0, 1, 1])
queries = torch.tensor([1.0, 1, 0, 1, 1, 1, 1, 1, 0.5])
images = drawn(len(labels), F)
start = drawn(E, F)
W = int(labels.max()) + 1
# By what multiple of the rate entries move: some of the weight not at all, and the head's bias nowhere.
multiples = {
    "weight": (torch.rand(E, F) * (torch.rand(E, F) > 0.2)).float().double(),
    "head.weight": torch.rand(E).float().double(),
    "head.bias": torch.zeros(W),
}


def scale_of(head, rows, shots):
    if head == "cosine":
        return 40 * shots / (shots + 5 / 3)
    return 10 / ((rows - rows.mean(0)).square().sum(1).mean() + 1e-6)


def features_of(head, weight):
    features = images @ weight.T
    return features / (features.square().sum(1, keepdim=True) + 1e-12).sqrt() if head == "cosine" else features


def start_head(head, rows):
    """Class means of all rows, views among them."""
    scale = scale_of(head, rows, len(rows) / W)
    means = torch.stack([rows[labels == c].mean(0) for c in range(W)])
    if head == "cosine":
        return scale * normalize(means, dim=1), torch.zeros(W)
    return 2 * scale * means, -scale * means.square().sum(1)


def left_out(head, rows):
    """Row by row: each class without the row itself."""
    scale = scale_of(head, rows, support.sum() / W)
    logits = []
    for i, row in enumerate(rows):
        for c in range(W):
            others = [j for j in range(len(rows)) if labels[j] == c and support[j] == 1 and j != i]
            if head == "cosine":
                total = rows[others].sum(0)
                logits.append(scale * (row @ total) / (total @ total + 1e-5).sqrt())
            else:
                mean = rows[others].mean(0)
                logits.append(scale * (2 * row @ mean - mean @ mean))
    return torch.stack(logits).reshape(len(rows), W)


class Rms(torch.optim.Optimizer):
    """Each tensor's gradient over its root mean square."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})

    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.data -= group["lr"] * p.grad / (p.grad.square().mean() + 1e-16).sqrt()


optimizers = {
    "sgd": lambda p, lr: torch.optim.SGD(p, lr=lr),
    "momentum": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9),
    "adam": lambda p, lr: torch.optim.Adam(p, lr=lr),
    "rms": lambda p, lr: Rms(p, lr),
}


def run(objective, head, optimizer, smoothing=0.0, decay=0.0, learned=False):
    values = {"weight": start.clone()}
    if objective == "head":
        values["head.weight"], values["head.bias"] = start_head(head, features_of(head, start))
    values = {name: value.clone().requires_grad_() for name, value in values.items()}
    rate = RATES[optimizer]
    stepping = optimizers[optimizer](list(values.values()), rate)

    def loss_now():
        rows = features_of(head, values["weight"])
        if objective == "head":
            logits = rows @ values["head.weight"].T + values["head.bias"]
            return cross_entropy(logits, labels, label_smoothing=smoothing)
        each = cross_entropy(left_out(head, rows), labels, reduction="none", label_smoothing=smoothing)
        return (each * queries).sum() / queries.sum()

    losses = []
    for _ in range(STEPS):
        loss = loss_now()
        losses.append(loss.item())
        stepping.zero_grad()
        loss.backward()
        before = {name: value.detach().clone() for name, value in values.items()}
        stepping.step()
        with torch.no_grad():
            values["weight"] -= rate * decay * (before["weight"] - start)
            for name, value in values.items() if learned else ():
                value.copy_(before[name] + multiples[name] * (value - before[name]))
    losses.append(loss_now().item())
    # Steps of the runtime are taken back where the loss rises.
    assert losses == sorted(losses, reverse=True), (objective, head, optimizer, losses)
    with torch.no_grad():
        rows = features_of(head, values["weight"])
        weight, bias = (values["head.weight"], values["head.bias"]) if objective == "head" else start_head(head, rows)
        probabilities = (rows @ weight.T + bias).softmax(1)
    return {
        **{"objective": objective, "head": head, "optimizer": optimizer, "rate": rate},
        **{"smoothing": smoothing, "decay": decay, "learned": learned, "losses": losses},
        "values": {name: encoded(value) for name, value in values.items()},
        "probabilities": encoded(probabilities),
    }


def encoded(tensor):
    data = base64.b64encode(tensor.detach().contiguous().numpy().tobytes()).decode()
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape), "data": data}


def start_of(head):
    rows = features_of(head, start)
    weight, bias = start_head(head, rows)
    return {"head.weight": encoded(weight), "head.bias": encoded(bias), "logits": encoded(left_out(head, rows))}


heads = ("cosine", "prototype")
cases = [
    *(run(*case, SMOOTHING, DECAY) for case in product(("head", "prototypes"), heads, optimizers)),
    *(run("head", "prototype", optimizer) for optimizer in optimizers),
    *(run("head", "cosine", optimizer, learned=True) for optimizer in ("sgd", "adam")),
]
reference = {
    **{name: encoded(value) for name, value in dict(images=images, labels=labels, support=support, queries=queries).items()},
    "weight": encoded(start),
    "multiples": {name: encoded(value) for name, value in multiples.items()},
    "start": {head: start_of(head) for head in heads},
    "cases": cases,
}
Path(__file__).with_name("inner-steps.json").write_text(json.dumps(reference) + "\n")

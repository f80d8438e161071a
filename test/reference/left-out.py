"""Writes left-out.json: steps whose loss is of prototypes that each example is no part of, by PyTorch in float64. Run with torch installed."""
import json
from pathlib import Path

import torch

torch.set_default_dtype(torch.float64)
torch.manual_seed(11)
F, E, STEPS, RATE, SMOOTHING, DECAY = 4, 6, 4, 0.05, 0.1, 0.3
# Class 0 has three examples and one view that only asks, class 1 two, class 2 one with two views that it is made of.
labels = torch.tensor([0, 0, 0, 1, 1, 2, 0, 2, 2])
support = torch.tensor([1.0, 1, 1, 1, 1, 1, 0, 1, 1])
queries = torch.tensor([1.0, 1, 0, 1, 1, 1, 1, 1, 0.5])
images = torch.randn(len(labels), F)
start = torch.randn(E, F)
W = int(labels.max()) + 1


def logits_of(kind, embeddings):
    """Row by row: class means without the row itself."""
    rows = []
    shots = support.sum() / W
    if kind == "cosine":
        scale = 40 * shots / (shots + 5 / 3)
    else:
        centred = embeddings - embeddings.mean(0)
        scale = 10 / (centred.square().sum(1).mean() + 1e-6)
    for i, z in enumerate(embeddings):
        row = []
        for c in range(W):
            others = [j for j in range(len(labels)) if labels[j] == c and support[j] == 1 and j != i]
            mean = embeddings[others].mean(0)
            if kind == "cosine":
                row.append(scale * (z @ mean) / mean.norm())
            else:
                row.append(scale * (2 * z @ mean - mean @ mean))
        rows.append(torch.stack(row))
    return torch.stack(rows)


def run(kind):
    weight = start.clone().requires_grad_()
    steps = []
    for _ in range(STEPS):
        features = images @ weight.T
        logits = logits_of(kind, features / features.norm(dim=1, keepdim=True) if kind == "cosine" else features)
        losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=SMOOTHING)
        loss = (losses * queries).sum() / queries.sum()
        (gradient,) = torch.autograd.grad(loss, weight)
        steps.append({"loss": loss.item(), "logits": logits.tolist()})
        with torch.no_grad():
            weight -= RATE * (gradient + DECAY * (weight - start))
        steps[-1]["weight"] = weight.tolist()
    return steps


cases = {
    "rate": RATE,
    "smoothing": SMOOTHING,
    "decay": DECAY,
    "images": images.tolist(),
    "labels": labels.tolist(),
    "support": support.tolist(),
    "queries": queries.tolist(),
    "start": start.tolist(),
    "steps": {kind: run(kind) for kind in ("cosine", "prototype")},
}
Path(__file__).with_name("left-out.json").write_text(json.dumps(cases) + "\n")

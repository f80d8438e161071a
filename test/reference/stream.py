"""Writes stream.json: meta-gradients of a task whose classes arrive in stages, unrolled by hand, by PyTorch in float64. Run with torch installed."""
import base64
import json
from pathlib import Path

import torch
from torch.nn.functional import conv2d, cross_entropy, max_pool2d

torch.set_default_dtype(torch.float64)
torch.manual_seed(7)
BLOCKS, CHANNELS, SIZE = 2, 4, 4
STAGES, EACH, SHOTS, QUERIES, STEPS, RATE = 3, 2, 2, 2, 2, 0.05
WAYS = STAGES * EACH
FEATURES = CHANNELS * (SIZE // 2**BLOCKS) ** 2
EPSILON = 1e-5


def drawn(*shape, scale=1.0):
    """What float32 holds exactly, so that all begin at the same values."""
    return (scale * torch.randn(*shape)).float().double()


def encoded(tensor):
    data = base64.b64encode(tensor.detach().contiguous().numpy().tobytes()).decode()
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape), "data": data}


parameters, moments = {}, {}
for block in range(1, BLOCKS + 1):
    inputs = 1 if block == 1 else CHANNELS
    parameters[f"conv{block}.weight"] = drawn(CHANNELS, inputs, 3, 3, scale=0.4)
    parameters[f"norm{block}.weight"] = 1 + drawn(CHANNELS, scale=0.1).float().double()
    parameters[f"norm{block}.bias"] = drawn(CHANNELS, scale=0.1)
    moments[f"norm{block}.mean"] = drawn(1, CHANNELS, 1, 1, scale=0.1)
    moments[f"norm{block}.variance"] = 1 + drawn(1, CHANNELS, 1, 1).square().float().double()
scale = torch.tensor([0.5])
# One row for all classes.
head = {"head.weight": (1, FEATURES), "head.bias": (1,)}
masks = {f"mask/{name}": drawn(*shape, scale=0.1) for name, shape in {**{n: p.shape for n, p in parameters.items()}, **head}.items()}
support, query = drawn(WAYS * SHOTS, 1, SIZE, SIZE), drawn(WAYS * QUERIES, 1, SIZE, SIZE)


def features_of(images, phi, normalization, given=None):
    """Features, and the moments that each normalization saw."""
    seen = []
    for block in range(1, BLOCKS + 1):
        images = conv2d(images, phi[f"conv{block}.weight"], padding=1)
        over = (1, 2, 3) if normalization == "layer" else (0, 2, 3)
        seen.append((images.mean(over, keepdim=True), images.var(over, unbiased=False, keepdim=True)))
        mean, variance = seen[-1] if given is None else given[block - 1]
        images = (images - mean) / (variance + EPSILON).sqrt()
        images = images * phi[f"norm{block}.weight"].view(1, -1, 1, 1) + phi[f"norm{block}.bias"].view(1, -1, 1, 1)
        images = max_pool2d(images.relu(), 2)
    return images.flatten(1), seen


def direction(rows):
    return rows / (rows.square().sum(1, keepdim=True) + 1e-12).sqrt()


def open_share(mask):
    """1 where a logit is 0 or more; backwards the identity."""
    return (mask >= 0).double() + mask - mask.detach()


def run(rule, kind, normalization, remember, order):
    meta = {name: value.clone().requires_grad_() for name, value in {**parameters, "head.scale": scale}.items()}
    if rule == "sparse-maml":
        meta.update({name: value.clone().requires_grad_() for name, value in masks.items()})
    phi = {name: meta[name] for name in parameters}
    given = [(moments[f"norm{b}.mean"], moments[f"norm{b}.variance"]) for b in range(1, BLOCKS + 1)]
    fixed = given if normalization == "population" else None
    read = direction if kind == "cosine" else lambda rows: rows
    support_losses, query_losses, logits = [], [], None
    for stage in range(STAGES):
        new = range(stage * EACH, (stage + 1) * EACH)
        rows = [c * SHOTS + i for c in new for i in range(SHOTS)]
        kept = [c * SHOTS + i for c in range(stage * EACH) for i in range(remember)]
        labels = torch.tensor([row // SHOTS for row in rows + kept])
        images = support[rows + kept]

        def examples():
            return read(features_of(images, phi, normalization, fixed)[0])

        own = examples()[: len(rows)]
        means = torch.stack([own[i * SHOTS : (i + 1) * SHOTS].mean(0) for i in range(EACH)])
        if kind == "cosine":
            weight, bias = meta["head.scale"] * direction(means), torch.zeros(EACH, requires_grad=True)
        else:
            weight, bias = 2 * meta["head.scale"] * means, -meta["head.scale"] * means.square().sum(1)
        if stage > 0:
            weight, bias = torch.cat([phi["head.weight"], weight]), torch.cat([phi["head.bias"], bias])
        phi = {**phi, "head.weight": weight, "head.bias": bias}
        moving = [name for name in phi if rule != "anil" or name.startswith("head.")]
        for _ in range(STEPS):
            # Values of their own: a head that was made of the others' is none of their effects in a step.
            phi = {name: value.clone() for name, value in phi.items()}
            loss = cross_entropy(examples() @ phi["head.weight"].T + phi["head.bias"], labels)
            support_losses.append(loss.item())
            gradients = torch.autograd.grad(loss, [phi[name] for name in moving], create_graph=True)
            for name, gradient in zip(moving, gradients):
                if order == 1:
                    gradient = gradient.detach()
                if rule == "sparse-maml":
                    gradient = gradient * open_share(meta[f"mask/{name}"])
                phi = {**phi, name: phi[name] - RATE * gradient}
        known = (stage + 1) * EACH
        by = features_of(images, phi, normalization)[1] if normalization == "support" else fixed
        asked = read(features_of(query[: known * QUERIES], phi, normalization, by)[0])
        logits = asked @ phi["head.weight"].T + phi["head.bias"]
        query_losses.append(cross_entropy(logits, torch.arange(known).repeat_interleave(QUERIES)))
    outer = torch.stack(query_losses).mean()
    found = torch.autograd.grad(outer, list(meta.values()), allow_unused=True)
    return {
        **{"rule": rule, "head": kind, "normalization": normalization, "remember": remember, "order": order},
        **{"supportLosses": support_losses, "queryLoss": query_losses[-1].item(), "outerLoss": outer.item()},
        "queryLogits": encoded(logits),
        "metaGradients": {name: encoded(gradient) for name, gradient in zip(meta, found) if gradient is not None},
    }


cases = [
    run("sparse-maml", "prototype", "population", 0, 1),
    run("sparse-maml", "prototype", "population", 0, 2),
    run("sparse-maml", "cosine", "layer", 1, 1),
    run("maml", "prototype", "support", 0, 1),
    run("anil", "prototype", "layer", 2, 1),
]
settings = dict(blocks=BLOCKS, channels=CHANNELS, size=SIZE, stages=STAGES, ways=WAYS, shots=SHOTS, queries=QUERIES, steps=STEPS, innerRate=RATE)
values = {**parameters, **masks, **moments, "head.scale": scale, "support": support, "query": query}
reference = {"settings": settings, "values": {name: encoded(value) for name, value in values.items()}, "cases": cases}
Path(__file__).with_name("stream.json").write_text(json.dumps(reference) + "\n")

"""Writes ridge.json: heads in closed form, by numpy in float64, as weighted least squares on [features, 1]. Run with numpy installed."""

import json
from pathlib import Path

import numpy as np

RIDGE, LEAST = 0.3, 1e-3
generator = np.random.default_rng(7)
labels = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 1])
centres = generator.normal(size=(3, 6))
features = centres[labels] + 0.5 * generator.normal(size=(len(labels), 6)) + 1
features /= np.linalg.norm(features, axis=1, keepdims=True)
one_hot = np.eye(3)[labels]


def head(support):
    """Minimises sum_i |y_i - w z_i - b|^2 / size_i + a |w|^2 by its normal equations."""
    rows = np.flatnonzero(support)
    z, y = features[rows], one_hot[rows]
    counts = y.sum(0)
    classes = (counts > 0).sum()
    own = counts[labels[rows]]
    share = 1 / own / classes
    mean = share @ z
    square = share @ (z * z).sum(1)
    ridge = RIDGE * (square - mean @ mean) + LEAST * square
    weights = len(rows) / classes / own
    x = np.concatenate([z, np.ones((len(z), 1))], 1)
    penalty = ridge * np.diag([1.0] * z.shape[1] + [0.0])
    solution = np.linalg.solve(x.T @ (weights[:, None] * x) + penalty, x.T @ (weights[:, None] * y))
    outputs = np.concatenate([features, np.ones((len(features), 1))], 1) @ solution
    return {"weight": solution[:-1].T.tolist(), "bias": solution[-1].tolist(), "outputs": outputs.tolist()}


supports = [
    [1] * 10,
    [1, 1, 0, 1, 1, 1, 1, 0, 1, 1],
    [1, 1, 1, 0, 0, 1, 1, 1, 1, 0],
]
case = {
    "features": features.tolist(),
    "labels": labels.tolist(),
    "supports": supports,
    "heads": [head(support) for support in supports],
}
Path(__file__).with_name("ridge.json").write_text(json.dumps(case) + "\n")

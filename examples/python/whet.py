"""Adapts a Whet bundle to labelled pictures and predicts others, with onnxruntime and nothing of Whet.

    python whet.py BUNDLE SUPPORT QUERY [PATTERN]

SUPPORT and QUERY are folders `<class>/<picture>`, of pictures of the bundle's size, or of any where it takes the middle of them. The answer is a line of JSON: the losses of the examples before
each step and after the last, and the probabilities of each picture. PATTERN moves the head, or more; the bundle's default when absent.

    pip install onnxruntime numpy pillow
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
from PIL import Image

BUNDLE, SUPPORT, QUERY = (Path(each) for each in sys.argv[1:4])
manifest = json.loads((BUNDLE / "manifest.json").read_text())
name = sys.argv[4] if len(sys.argv) > 4 else manifest["defaultPattern"]
pattern = manifest["patterns"][name]


def session(graph):
    """A graph of the pattern; None where it has none of that kind."""
    path = pattern["graphs"].get(graph)
    return path and ort.InferenceSession(str(BUNDLE / path), providers=["CPUExecutionProvider"])


def run(graph, feeds):
    """What a graph makes of those of `feeds` that it takes, by names."""
    names = [each.name for each in graph.get_outputs()]
    taken = {each.name: np.asarray(feeds[each.name], np.float32) for each in graph.get_inputs()}
    return dict(zip(names, graph.run(names, taken)))


def safetensors(path):
    """Tensors of a safetensors file: https://github.com/huggingface/safetensors#format."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    kinds = {"F32": np.float32, "F16": np.float16, "U8": np.uint8, "I8": np.int8}
    tensors = {}
    for key, place in header.items():
        if key == "__metadata__" or place["dtype"] not in kinds:
            continue
        begin, end = (8 + length + each for each in place["data_offsets"])
        tensors[key] = np.frombuffer(raw[begin:end], kinds[place["dtype"]]).reshape(place["shape"])
    return tensors


def starts():
    """Where what moves below the head starts: a tensor, those entries of it that a mask opens, or rows of it."""
    tensors = safetensors(BUNDLE / manifest["weights"])
    found = {}
    for key, place in pattern["values"].items():
        value = tensors[place["tensor"]].astype(np.float32)
        if "mask" in place:
            opened = tensors[place["mask"]].reshape(-1) != 0
            value = value.reshape(-1)[: len(opened)][opened]
        elif "rows" in place:
            value = value[tensors[place["rows"]] != 0].reshape(-1)
        found[key] = value
    return found


def fitted(picture, p, path):
    """A picture of the bundle's size: as it is, or of the fit "cover" its middle, once its shorter side is so many pixels long."""
    width, height = p["width"], p["height"]
    if "resize" not in p and picture.size == (width, height):
        return picture
    if p["fit"] != "cover":
        raise SystemExit(f"{path}: expected {width} x {height}, got {picture.size}")
    scale = p.get("resize", min(width, height)) / min(picture.size)
    larger = picture.resize([round(scale * side) for side in picture.size], Image.Resampling.BICUBIC)
    left, top = (larger.width - width) // 2, (larger.height - height) // 2
    return larger.crop((left, top, left + width, top + height))


def images(folder):
    """Pictures `[N, C, H, W]` of the folders of classes, and the class of each."""
    p = manifest["preprocessing"]
    pixels, labels = [], []
    for place in sorted(folder.iterdir()):
        for path in sorted(place.iterdir()):
            picture = fitted(Image.open(path).convert("RGB" if p["channels"] == 3 else "L"), p, path)
            pixels.append(np.asarray(picture, np.float32).reshape(p["height"], p["width"], p["channels"]))
            labels.append(place.name)
    scaled = np.stack(pixels).transpose(0, 3, 1, 2) / (255 / p.get("range", 1))
    scaled = p.get("range", 1) - scaled if p["invert"] else scaled
    mean, std = (np.array(p[each], np.float32).reshape(1, -1, 1, 1) for each in ("mean", "std"))
    return (scaled - mean) / std, labels


pictures, names = images(SUPPORT)
classes = sorted(set(names))
labels = np.array([[float(each == one) for one in classes] for each in names], np.float32)
encode, step, solve = session("encode"), session("step"), session("solve")


def features(of):
    return run(encode, {"images": of})["features"] if encode else of


values = starts()
known = {"features": features(pictures), "labels": labels}
everyone = np.ones(len(names), np.float32)
prototypes = pattern.get("objective") == "prototypes"
counts = labels.sum(0) @ labels.T
known |= {"support": everyone, "queries": (counts > 1).astype(np.float32)}
head = {} if prototypes else run(session("start"), known | values)
moves = dict(values) if prototypes else values | head
losses = []
if not (solve and not values):
    states = {each.name: None for each in step.get_inputs() if "@" in each.name}
    for each in states:
        states[each] = np.zeros_like(moves[each.split("@")[0]])
    best, least, halved = moves, np.inf, 0

    def rises(loss):
        return not loss <= least * (1 + 1e-5) + 1e-6

    for count in range(1, pattern["steps"] + 1):
        share = (1 + np.cos(np.pi * (count - 1) / pattern["steps"])) / 2 if pattern.get("schedule") == "cosine" else 1
        rate = share * pattern["rate"] / 2**halved
        after = run(step, known | moves | states | {"rate": rate, "count": count - halved})
        if rises(after["loss"]):
            moves, halved = {each: (best[each] + moves[each]) / 2 for each in moves}, halved + 1
        else:
            best, least = moves, float(after["loss"])
            moves, states = ({each: after[f"{each}@next"] for each in group} for group in (moves, states))
        losses.append(least)
    last = float(run(step, known | moves | states | {"rate": 0, "count": 1})["loss"])
    moves, last = (best, least) if rises(last) else (moves, last)
    losses.append(last)
if solve:
    solved = run(solve, known | moves | {"support": everyone.reshape(1, -1, 1)})
    moves |= {"head.weight": solved["head.weight"][0], "head.bias": solved["head.bias"].reshape(-1)}
elif prototypes:
    moves |= run(session("start"), known | moves)

asked, truth = images(QUERY)
probabilities = run(session("predict"), moves | {"features": features(asked)})["probabilities"]
right = sum(classes[row.argmax()] == each for row, each in zip(probabilities, truth))
print(json.dumps({"classes": classes, "losses": losses, "right": int(right), "probabilities": probabilities.tolist()}))

"""Exports networks of timm and torchvision with random weights by both exporters of PyTorch, compiles each with
`--trainable all`, and compares the bundle (kept head, no profile) with the file in onnxruntime.

    pip install torch torchvision timm onnx onnxscript onnxruntime safetensors
    npm run build
    python test/tables/architectures.py FOLDER                # exports and checks what FOLDER does not have yet
    python test/tables/architectures.py FOLDER --only vit     # those whose name holds a word
    python test/tables/architectures.py FOLDER --again        # checks the exported files again
    python test/tables/architectures.py FOLDER --write docs/bench/architectures.md
"""

import argparse
import json
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import traceback
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[2]
OLDER = (13, 14, 15, 16, 17, 18, 19, 20)
CURRENT = (18, 19, 20, 21, 22, 23)


def rows(networks):
    """Each network by both exporters, its operator set by its place in the list."""
    for i, (name, size, make) in enumerate(networks):
        yield name, size, make, "older", OLDER[i % len(OLDER)]
        yield name, size, make, "current", CURRENT[i % len(CURRENT)]


def key_of(name, exporter, opset):
    return re.sub(r"[^\w.]+", "-", f"{name}-{exporter}-{opset}").lower()


def export(file, size, make, exporter, opset):
    import torch

    from networks import build

    network = build(make, fused=exporter == "current")
    images = torch.randn(2, 3, size, size)
    names = {"input_names": ["images"], "output_names": ["logits"]}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        if exporter == "older":
            axes = {"images": {0: "batch"}, "logits": {0: "batch"}}
            torch.onnx.export(network, (images,), file, dynamo=False, opset_version=opset, dynamic_axes=axes, **names)
        else:
            shapes = ({0: torch.export.Dim("batch", min=1, max=64)},)
            torch.onnx.export(
                network, (images,), file, dynamo=True, opset_version=opset, dynamic_shapes=shapes, verbose=False, **names
            )


def whet_compile(file, bundle, trainable, head="keep"):
    """Seconds of processor time, and the error in words."""
    shutil.rmtree(bundle, ignore_errors=True)
    spent = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    start = spent()
    command = ["node", "cli/bin/whet.js", "compile", str(file.resolve()), "--out", str(bundle.resolve())]
    done = subprocess.run(
        [*command, "--head", head, "--trainable", trainable], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    error = done.stderr.strip() if done.returncode else None
    return spent() - start, error


def softmax(logits):
    import numpy as np

    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def compare(file, bundle, size):
    """The largest difference of probabilities, and whether an inner step of everything gives numbers."""
    import numpy as np
    import onnxruntime
    from safetensors.numpy import load_file

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 2
    session = lambda path: onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    manifest = json.loads((bundle / "manifest.json").read_text())
    pattern = manifest["patterns"][manifest["defaultPattern"]]
    weights = load_file(bundle / manifest["weights"])
    values = {name: weights[value["tensor"]] for name, value in pattern["values"].items()}
    images = np.random.default_rng(3).standard_normal((2, 3, size, size)).astype(np.float32)
    expected = softmax(session(file).run(None, {"images": images})[0].astype(np.float64))
    graphs = {name: session(bundle / path) for name, path in pattern["graphs"].items() if path and name != "start"}
    features = graphs["encode"].run(None, {"images": images})[0] if "encode" in graphs else images
    feeds = {"features": features, **values}
    wanted = lambda graph, feeds: {i.name: feeds[i.name] for i in graph.get_inputs()}
    actual = graphs["predict"].run(["probabilities"], wanted(graphs["predict"], feeds))[0]
    difference = float(np.abs(actual - expected).max())
    spread = float(np.ptp(expected, axis=-1).max())
    labels = np.eye(expected.shape[1], dtype=np.float32)[[1, 2]]
    step = {**feeds, "labels": labels, "rate": np.array(1e-3, np.float32)}
    stepped = graphs["step"].run(None, wanted(graphs["step"], step))
    finite = all(np.isfinite(value).all() for value in stepped)
    return difference, spread, finite, sum(value.size for name, value in values.items() if not name.startswith("head."))


def check(folder, key, size, record):
    file, bundle = folder / f"{key}.onnx", folder / f"{key}.bundle"
    seconds, error = whet_compile(file, bundle, "all")
    if error and 'head "keep"' in error:
        # Its last layer is none that a head starts from.
        seconds, error = whet_compile(file, bundle, "all", "new")
        record |= {"seconds": round(seconds, 1), "head": "new", "refused": error}
        shutil.rmtree(bundle, ignore_errors=True)
        return record
    record |= {"seconds": round(seconds, 1), "refused": error}
    if error:
        _, record["error"] = whet_compile(file, bundle, "none")
        if record["error"]:
            return record
    difference, spread, finite, moving = compare(file, bundle, size)
    record |= {"difference": difference, "spread": spread, "finite": finite, "moving": moving}
    shutil.rmtree(bundle, ignore_errors=True)
    return record


def parameters_of(file):
    import onnx

    model = onnx.load(file, load_external_data=False)
    floats = [tensor for tensor in model.graph.initializer if tensor.data_type in (1, 10, 11, 16) and tensor.dims]
    return sum(int(__import__("math").prod(tensor.dims)) for tensor in floats)


def one_row(folder, name, size, make, exporter, opset):
    key = key_of(name, exporter, opset)
    file = folder / f"{key}.onnx"
    record = {"name": name, "exporter": exporter, "opset": opset, "size": size}
    try:
        if not file.exists():
            export(str(file), size, make, exporter, opset)
    except Exception as error:  # of PyTorch: the row says so
        traceback.print_exc()
        return record | {"unexported": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    record["parameters"] = parameters_of(file)
    try:
        return check(folder, key, size, record)
    except Exception as error:
        return record | {"error": f"{type(error).__name__}: {error}"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--only", default="", help="names that hold this expression")
    parser.add_argument("--exporter", default="")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--write", type=pathlib.Path)
    options = parser.parse_args()
    if options.write:
        from architectures_page import page

        records = [json.loads(path.read_text()) for path in sorted(options.folder.glob("*.json"))]
        options.write.write_text(page(records))
        return
    from networks import NETWORKS

    options.folder.mkdir(parents=True, exist_ok=True)
    for name, size, make, exporter, opset in rows(NETWORKS):
        path = options.folder / f"{key_of(name, exporter, opset)}.json"
        if not re.search(options.only, name) or not exporter.startswith(options.exporter):
            continue
        if path.exists() and not options.again:
            continue
        record = one_row(options.folder, name, size, make, exporter, opset)
        path.write_text(json.dumps(record))
        print(json.dumps(record)[:600], file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

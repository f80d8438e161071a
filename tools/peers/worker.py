"""Takes the same steps as Whet in another engine, when it is told to: `tools/src/bench/peers.ts` starts it and reads its answers.

    python tools/peers/worker.py pytorch|pytorch-compiled|ort-training FOLDER THREADS

A folder holds `task.json`, `encode.onnx` (the frozen part; absent where all moves), `rest.onnx` (features to logits, what moves as
initializers) and `examples.bin` (float32 images, then int64 classes). Each line on the standard input asks for one adaptation: the frozen
part of all images once, then the steps, and the loss that they end at. The answer is a line of JSON: milliseconds, processor milliseconds,
the loss before each step and after the last.

    pytorch, pytorch-compiled: pip install torch==2.2.2 'numpy<2' onnx==1.16.2
    ort-training: pip install onnxruntime-training==1.19.2 'numpy<2' onnx==1.16.2 cerberus h5py
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

ENGINE, FOLDER, THREADS = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
task = json.loads((FOLDER / "task.json").read_text())
raw = (FOLDER / "examples.bin").read_bytes()
size = 4 * int(np.prod(task["images"]))
images = np.frombuffer(raw[:size], np.float32).reshape(task["images"]).copy()
labels = np.frombuffer(raw[size:], np.int64).copy()
encode_path = FOLDER / "encode.onnx"


def open_pytorch(compiled):
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(THREADS)

    def network(path, trainable):
        """The nodes of a graph as PyTorch runs them: its values by name, and a function of its input."""
        model = onnx.load(path)
        values = {each.name: torch.tensor(numpy_helper.to_array(each)) for each in model.graph.initializer}
        for name in trainable:
            values[name] = values[name].clone().requires_grad_(True)
        constants = {name: value.tolist() for name, value in values.items() if value.dtype == torch.int64}
        nodes = [(n, {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute}) for n in model.graph.node]
        output = model.graph.output[0].name
        feed = next(each.name for each in model.graph.input if each.name not in values)

        def pads(attributes):
            top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
            return (top, left) if (top, left) == (bottom, right) else None

        def conv(x, weight, bias, attributes):
            pad = pads(attributes)
            if pad is None:
                top, left, bottom, right = attributes["pads"]
                x, pad = F.pad(x, (left, right, top, bottom)), 0
            rest = {"stride": attributes.get("strides", 1), "dilation": attributes.get("dilations", 1)}
            return F.conv2d(x, weight, bias, padding=pad, groups=attributes.get("group", 1), **rest)

        def forward(x):
            got = {feed: x}

            def value(name):
                return got[name] if name in got else values[name]

            for node, attributes in nodes:
                given = [value(name) if name else None for name in node.input]
                op, first = node.op_type, given[0]
                if op == "Conv":
                    result = conv(first, given[1], given[2] if len(given) > 2 else None, attributes)
                elif op == "BatchNormalization":
                    scale, shift, mean, variance = given[1:5]
                    epsilon = attributes.get("epsilon", 1e-5)
                    result = F.batch_norm(first, mean, variance, scale, shift, False, 0, epsilon)
                elif op == "Relu":
                    result = F.relu(first)
                elif op == "Clip":
                    result = torch.clamp(first, float(given[1]), float(given[2]))
                elif op == "MaxPool":
                    result = F.max_pool2d(first, attributes["kernel_shape"], attributes.get("strides"))
                elif op in ("Add", "Mul", "Sub", "Div"):
                    result = getattr(torch, op.lower())(first, given[1])
                elif op == "MatMul":
                    result = first @ given[1]
                elif op == "Gemm":
                    left = first.t() if attributes.get("transA") else first
                    right = given[1].t() if attributes.get("transB") else given[1]
                    result = left @ right
                    result = result + given[2] if len(given) > 2 else result
                elif op == "GlobalAveragePool":
                    result = first.mean((2, 3), keepdim=True)
                elif op == "ReduceMean":
                    axes = constants[node.input[1]] if len(node.input) > 1 else attributes["axes"]
                    result = first.mean(axes, keepdim=bool(attributes.get("keepdims", 1)))
                elif op == "Reshape":
                    shape = constants[node.input[1]]
                    result = first.reshape([first.shape[i] if each == 0 else each for i, each in enumerate(shape)])
                elif op == "Flatten":
                    result = first.flatten(1)
                elif op == "Transpose":
                    result = first.permute(attributes["perm"])
                elif op == "Concat":
                    result = torch.cat(given, attributes["axis"])
                elif op == "Identity":
                    result = first
                else:
                    raise SystemExit(f"{path}: {op} is not written here")
                got[node.output[0]] = result
            return got[output]

        if compiled:
            forward = torch.compile(forward)
        return forward, values

    encode = network(encode_path, [])[0] if encode_path.exists() else None
    forward, values = network(FOLDER / "rest.onnx", task["trainable"])
    moving = [values[name] for name in task["trainable"]]
    starts = [each.detach().clone() for each in moving]
    pixels, classes = torch.from_numpy(images), torch.from_numpy(labels)

    def adapt():
        with torch.no_grad():
            for each, start in zip(moving, starts):
                each.copy_(start)
            features = encode(pixels) if encode else pixels
        optimizer = torch.optim.SGD(moving, lr=task["rate"])
        losses = []
        for _ in range(task["steps"]):
            optimizer.zero_grad()
            loss = F.cross_entropy(forward(features), classes)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        with torch.no_grad():
            losses.append(F.cross_entropy(forward(features), classes).item())
        return losses

    return adapt, f"PyTorch {torch.__version__} {'compiled' if compiled else 'eager'}"


def open_ort_training():
    from importlib.machinery import ModuleSpec
    from unittest.mock import MagicMock

    # It is imported, and not used.
    stub = MagicMock(__spec__=ModuleSpec("torch", None), __version__="2.2.2", __path__=[])
    for name in ["torch", "torch.utils", "torch.utils.dlpack", "torch.onnx", "torch.nn", "torch.autograd"]:
        sys.modules.setdefault(name, stub)
    import onnxruntime as ort
    from onnxruntime.training import artifacts
    from onnxruntime.training.api import CheckpointState, Module, Optimizer

    out = FOLDER / "artifacts"
    out.mkdir(exist_ok=True)
    model = onnx.load(FOLDER / "rest.onnx")
    frozen = [each.name for each in model.graph.initializer if each.name not in task["trainable"]]
    artifacts.generate_artifacts(
        model,
        requires_grad=task["trainable"],
        frozen_params=[name for name in frozen if not name.endswith("/shape")],
        loss=artifacts.LossType.CrossEntropyLoss,
        optimizer=artifacts.OptimType.SGD,
        artifact_directory=str(out),
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    encode = ort.InferenceSession(str(encode_path), options) if encode_path.exists() else None
    state = CheckpointState.load_checkpoint(str(out / "checkpoint"))
    paths = [str(out / f"{kind}_model.onnx") for kind in ("training", "eval")]
    module = Module(paths[0], state, paths[1], session_options=options)
    module.train()
    optimizer = Optimizer(str(out / "optimizer_model.onnx"), module)
    optimizer.set_learning_rate(task["rate"])
    start = module.get_contiguous_parameters(True)

    def adapt():
        module.copy_buffer_to_parameters(start)
        features = encode.run(None, {"images": images})[0] if encode else images
        losses = []
        for _ in range(task["steps"]):
            losses.append(float(module(features, labels)))
            optimizer.step()
            module.lazy_reset_grad()
        module.eval()
        losses.append(float(module(features, labels)))
        module.train()
        return losses

    return adapt, f"onnxruntime-training {ort.__version__}"


engines = {
    "pytorch": lambda: open_pytorch(False),
    "pytorch-compiled": lambda: open_pytorch(True),
    "ort-training": open_ort_training,
}
adapt, name = engines[ENGINE]()
print(json.dumps({"engine": name}), flush=True)
for _ in sys.stdin:
    began, used = time.perf_counter(), time.process_time()
    losses = adapt()
    spent = {"milliseconds": 1e3 * (time.perf_counter() - began), "processor": 1e3 * (time.process_time() - used)}
    print(json.dumps({**spent, "losses": losses}), flush=True)

"""onnxruntime-training: artifacts of the part that moves, made and run on the device's API; what is frozen in a session."""

import sys
from importlib.machinery import ModuleSpec
from unittest.mock import MagicMock

import onnx

# It is imported, and not used.
stub = MagicMock(__spec__=ModuleSpec("torch", None), __version__="2.2.2", __path__=[])
for name in ["torch", "torch.utils", "torch.utils.dlpack", "torch.onnx", "torch.nn", "torch.autograd"]:
    sys.modules.setdefault(name, stub)
import onnxruntime as ort
from onnxruntime.training import artifacts
from onnxruntime.training.api import CheckpointState, Module, Optimizer


def open_task(task, threads):
    out = task.folder / "artifacts"
    out.mkdir(exist_ok=True)
    model = onnx.load(task.rest_path)
    frozen = [each.name for each in model.graph.initializer if each.name not in task.trainable]
    artifacts.generate_artifacts(
        model,
        requires_grad=task.trainable,
        frozen_params=[name for name in frozen if not name.endswith("/shape")],
        loss=artifacts.LossType.CrossEntropyLoss,
        optimizer=artifacts.OptimType.SGD,
        artifact_directory=str(out),
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    encode = ort.InferenceSession(str(task.encode_path), options) if task.encode_path else None
    state = CheckpointState.load_checkpoint(str(out / "checkpoint"))
    paths = [str(out / f"{kind}_model.onnx") for kind in ("training", "eval")]
    module = Module(paths[0], state, paths[1], session_options=options)
    module.train()
    optimizer = Optimizer(str(out / "optimizer_model.onnx"), module)
    optimizer.set_learning_rate(task.rate)
    start = module.get_contiguous_parameters(True)

    def adapt():
        module.copy_buffer_to_parameters(start)
        features = encode.run(None, {"images": task.images})[0] if encode else task.images
        losses = []
        for _ in range(task.steps):
            losses.append(float(module(features, task.labels)))
            optimizer.step()
            module.lazy_reset_grad()
        module.eval()
        losses.append(float(module(features, task.labels)))
        module.train()
        return losses

    return adapt


version = ort.__version__

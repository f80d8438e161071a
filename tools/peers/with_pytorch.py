"""PyTorch: the nodes of the graphs as its functions, its gradients, its SGD."""

import torch
import torch.nn.functional as F

from task import walk


def operators(network):
    def conv(node, x, weight, bias=None):
        top, left, bottom, right = node.attributes.get("pads", [0, 0, 0, 0])
        pad = (top, left)
        if pad != (bottom, right):
            x, pad = F.pad(x, (left, right, top, bottom)), 0
        rest = {"stride": node.attributes.get("strides", 1), "dilation": node.attributes.get("dilations", 1)}
        return F.conv2d(x, weight, bias, padding=pad, groups=node.attributes.get("group", 1), **rest)

    def normalize(node, x, scale, shift, mean, variance):
        return F.batch_norm(x, mean, variance, scale, shift, False, 0, node.attributes.get("epsilon", 1e-5))

    def gemm(node, left, right, added=None):
        product = (left.t() if node.attributes.get("transA") else left) @ (
            right.t() if node.attributes.get("transB") else right
        )
        return product if added is None else product + added

    def reduction(of):
        def reduce(node, x, *_):
            axes = network.integers(node.inputs[1]) if len(node.inputs) > 1 else node.attributes["axes"]
            return of(x, axes, keepdim=bool(node.attributes.get("keepdims", 1)))

        return reduce

    def reshape(node, x, _):
        shape = network.integers(node.inputs[1])
        return x.reshape([x.shape[i] if each == 0 else each for i, each in enumerate(shape)])

    return {
        "Conv": conv,
        "BatchNormalization": normalize,
        "Gemm": gemm,
        "ReduceMean": reduction(torch.mean),
        "ReduceSum": reduction(torch.sum),
        "ReduceSumSquare": reduction(lambda x, *axes, **more: torch.sum(x * x, *axes, **more)),
        "Reshape": reshape,
        "Relu": lambda node, x: F.relu(x),
        "Clip": lambda node, x, low, high: torch.clamp(x, float(low), float(high)),
        "MaxPool": lambda node, x: F.max_pool2d(x, node.attributes["kernel_shape"], node.attributes.get("strides")),
        "GlobalAveragePool": lambda node, x: x.mean((2, 3), keepdim=True),
        "Flatten": lambda node, x: x.flatten(1),
        "Transpose": lambda node, x: x.permute(node.attributes["perm"]),
        "Concat": lambda node, *given: torch.cat(given, node.attributes["axis"]),
        "Identity": lambda node, x: x,
        "Less": lambda node, a, b: a < b,
        "Where": lambda node, condition, a, b: torch.where(condition, a, b),
        "Sqrt": lambda node, x: torch.sqrt(x),
        "MatMul": lambda node, a, b: a @ b,
        "Add": lambda node, a, b: a + b,
        "Sub": lambda node, a, b: a - b,
        "Mul": lambda node, a, b: a * b,
        "Div": lambda node, a, b: a / b,
    }


def open_task(task, threads, compiled):
    torch.set_num_threads(threads)

    def network(path, trainable):
        read = task.network(path)
        values = {name: torch.tensor(value) for name, value in read.values.items()}
        for name in trainable:
            values[name].requires_grad_(True)
        known = operators(read)

        def forward(x):
            return walk(read, values, x, known)

        return (torch.compile(forward) if compiled else forward), values

    encode = network(task.encode_path, [])[0] if task.encode_path else None
    forward, values = network(task.rest_path, task.trainable)
    moving = [values[name] for name in task.trainable]
    starts = [each.detach().clone() for each in moving]
    pixels, classes = torch.from_numpy(task.images), torch.from_numpy(task.labels)

    def adapt():
        with torch.no_grad():
            for each, start in zip(moving, starts):
                each.copy_(start)
            features = encode(pixels) if encode else pixels
        optimizer = torch.optim.SGD(moving, lr=task.rate)
        losses = []
        for _ in range(task.steps):
            optimizer.zero_grad()
            loss = F.cross_entropy(forward(features), classes)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        with torch.no_grad():
            losses.append(F.cross_entropy(forward(features), classes).item())
        return losses

    return adapt


version = torch.__version__.split("+")[0]

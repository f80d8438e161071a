"""Takes the steps of tasks in another engine, and writes what that took: a file for `whet bench --peer`.

    python tools/peers/run.py ENGINE TASKS --out FILE [--threads 2] [--runs 7] [--warm-up 20] [--in-turns]

TASKS is the folder that `whet bench --peer-task TASKS` wrote. Each adaptation encodes the frozen part of all images once, takes the steps, and
computes the loss that they end at. Times are of the second of two, 20 ms after what came before. `--in-turns` is for `npm run bench:peers`,
which says on the standard input when to `run` (with the steps taken not counted for `warm`), and when to go on to the `next` task.

Engines, and what to install in an environment of their own:

    pytorch, pytorch-compiled   torch==2.2.2 'numpy<2' onnx==1.16.2 safetensors
    ort-training                onnxruntime-training==1.19.2 'numpy<2' onnx==1.16.2 safetensors cerberus h5py
    tensorflow                  tensorflow-cpu==2.21.0 onnx safetensors
    litert                      tensorflow-cpu==2.18.1 onnx==1.17.0 safetensors (later ones have no delegate for gradients)
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path


def count(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {value}")
    return value


def arguments():
    parser = argparse.ArgumentParser(description="Takes the steps of tasks in another engine.")
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=count, default=2)
    parser.add_argument("--runs", type=count, default=7)
    parser.add_argument("--warm-up", type=int, default=20)
    parser.add_argument("--in-turns", action="store_true")
    told = parser.parse_args()
    folder = told.out.parent
    if told.out.is_dir() or not (folder.is_dir() and os.access(folder, os.W_OK)):
        parser.error(f"--out {told.out}: expected a file in a folder that can be written to")
    return told


def open_pytorch(compiled):
    def opened():
        import with_pytorch

        how = "compiled" if compiled else "eager"
        return f"PyTorch {how}", with_pytorch.version, lambda *given: with_pytorch.open_task(*given, compiled)

    return opened


def open_ort_training():
    import with_ort_training

    return "onnxruntime-training", with_ort_training.version, with_ort_training.open_task


def open_tensorflow():
    import with_tensorflow

    return "TensorFlow tf.function", with_tensorflow.version, with_tensorflow.open_function


def open_litert():
    import with_tensorflow

    return "LiteRT of TensorFlow", with_tensorflow.version, with_tensorflow.open_litert


ENGINES = {
    "pytorch": open_pytorch(False),
    "pytorch-compiled": open_pytorch(True),
    "ort-training": open_ort_training,
    "tensorflow": open_tensorflow,
    "litert": open_litert,
}


def processor():
    """The processor's name, as Node.js tells it, which is asked where the system does not say."""
    if sys.platform == "darwin":
        return subprocess.check_output(["sysctl", "-n", "machdep.cpu.brand_string"], text=True).strip()
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    try:
        said = subprocess.check_output(["node", "-p", "require('os').cpus()[0]?.model ?? ''"], text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return said.strip() or "unknown"


def write(path, record):
    """The file is whole, or is not there."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n")
    os.replace(part, path)


def take(adapt, folder, told, answers):
    """The losses and the times of a task's runs."""
    kept = {"losses": [], "milliseconds": [], "processor": []}

    def run(timed):
        time.sleep(0.02)
        adapt()
        began, used = time.perf_counter(), time.process_time()
        losses = adapt()
        clock, cpu = 1e3 * (time.perf_counter() - began), 1e3 * (time.process_time() - used)
        if timed:
            kept["losses"] = losses
            kept["milliseconds"].append(clock)
            kept["processor"].append(cpu)

    if not told.in_turns:
        for i in range(told.warm_up + told.runs):
            run(i >= told.warm_up)
        return kept
    print(folder.name, file=answers, flush=True)
    for line in iter(sys.stdin.readline, "next\n"):
        if not line:
            raise SystemExit(f"{folder}: expected run, warm or next, got the end")
        run(line == "run\n")
        print("done", file=answers, flush=True)
    return kept


def main():
    told = arguments()
    os.environ["OMP_NUM_THREADS"] = str(told.threads)
    # What libraries print stands among no answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    engine, version, open_task = ENGINES[told.engine]()
    from task import Task

    folders = sorted(each.parent for each in told.tasks.glob("*/task.json"))
    if not folders:
        raise SystemExit(f"{told.tasks}: expected folders with a task.json, got none")
    results = []
    for folder in folders:
        try:
            task = Task(folder)
            adapt = open_task(task, told.threads)
            adapt()
            kept = take(adapt, folder, told, answers)
        except Exception as error:
            # What an engine has no gradient for, say, it leaves out; who waits for its turns has no use for the rest.
            if told.in_turns:
                raise
            print(f"not taken: {folder.name}: {error}", file=sys.stderr)
            continue
        if not all(math.isfinite(loss) for loss in kept["losses"]):
            print(f"not taken: {folder.name}: losses {kept['losses']} are not all finite", file=sys.stderr)
            continue
        results.append({**task.names, **kept})
    if not results:
        raise SystemExit(f"{told.tasks}: expected a task that {engine} can take, got none")
    machine = {"cpu": processor(), "cores": os.cpu_count(), "threads": told.threads}
    record = {"schema": "whet-peer/1", "engine": engine, "version": version, "machine": machine, "results": results}
    write(told.out, record)


if __name__ == "__main__":
    main()

"""The table of architectures.py as a page."""

import importlib.metadata
import platform
import re

INTRO = """# Networks of timm and torchvision

Networks with random weights, exported by the older and the current exporter of PyTorch (`dynamo=False`, `dynamo=True`),
compiled with `--head keep --trainable all`. Images are small and some networks have few layers, so that a row takes
seconds. [test/tables](../../test/tables) has the networks and the script:

```sh
python test/tables/architectures.py FOLDER
python test/tables/architectures.py FOLDER --write docs/bench/architectures.md
```

*Difference* is the largest of a probability between the bundle (kept head, no profile) and the file in onnxruntime, of
two images of noise. *Moves* is `all`, or names the operators that keep parameters below them from moving; an inner step
of all that moves was run, and gave numbers. *Seconds* is the processor time of the whole command (of some rows the time on a
busy machine, which is longer).
"""


def refusal(error):
    """The operators that a message names, where the first of each stands, and what may move instead."""
    lines = error.splitlines()
    found = [line.strip() for line in lines if line.startswith("  ") and "choose later layers" not in line]
    instead = re.search(r"choose later layers: (.*)", error)
    words = [re.sub(r"^unsupported operator ", "", line) for line in found] or [lines[0].split(": ", 2)[-1]]
    short = ["; ".join(word if len(word) < 90 else f"{word[:87]}..." for word in words[:3])]
    if len(words) > 3:
        short.append(f"and {len(words) - 3} more")
    if instead:
        short.append(f"({instead[1]})")
    return "refused: " + " ".join(short).replace("|", "\\|")


def moves(record):
    if "unexported" in record:
        return f"the exporter fails: {record['unexported'].split(':')[0]}"
    if record["refused"]:
        return refusal(record["refused"])
    return "all, with a new head" if record.get("head") == "new" else "all"


def line(record):
    count = f"{record['parameters'] / 1e6:.2f} M" if "parameters" in record else ""
    difference = f"{record['difference']:.0e}" if "difference" in record else ""
    seconds = f"{record['seconds']:.0f}" if "seconds" in record else ""
    cells = [record["name"], record["exporter"], record["opset"], count, moves(record), difference, seconds]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def summary(records):
    exported = [record for record in records if "unexported" not in record]
    moving = [record for record in exported if not record["refused"]]
    compared = [record["difference"] for record in exported if "difference" in record]
    networks = {record["name"] for record in exported}
    whole = {record["name"] for record in moving}
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "torchvision", "timm", "onnxruntime"))
    return (
        f"{len(networks)} networks in {len(exported)} files of operator sets "
        f"{min(record['opset'] for record in exported)} to {max(record['opset'] for record in exported)}: "
        f"{len(moving)} files of {len(whole)} networks move whole. The largest difference of all is "
        f"{max(compared):.0e}. By {versions}, on Python {platform.python_version()}.\n"
    )


def page(records):
    order = sorted(records, key=lambda record: (record["name"].lower(), record["exporter"] != "older"))
    head = "| network | exporter | operator set | parameters | moves | difference | seconds |\n|---|---|--:|--:|---|--:|--:|"
    return "\n".join([INTRO, summary(order), head, *map(line, order), ""])

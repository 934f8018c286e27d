"""Reads, and runs or converts where that goes, mutated models within bounded memory: ``mutants.py FOLDER FIRST LAST [run|convert]``.

Whatever is not a ValueError of one line ends it with a traceback. Prints each seed, and what came of all as JSON.
"""

import json
import random
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import Message

from leaky.conversion.graphs import convert_graph
from leaky.conversion.selection import Selection
from leaky.onnx import read, watch
from leaky.onnx.rewriting import KINDS

MEMORY = 1 << 28
X = {"x": np.random.default_rng(1).standard_normal((4, 3, 8, 8)).astype("f"), "c": np.array(True)}
NUMBERS = [0, 1, -1, 2, 3, 7, 100, 255, 2**31 - 1, 2**31, 2**62, -(2**63), 2**63 - 1]
FLOATS = [0.0, -1.0, 1e38, float("nan"), float("inf")]
TEXTS = ["", "x\x1b[31m", "../e", "/etc/passwd"]


def mutant(models: list[bytes], seed: int) -> bytes:
    """Return one of the models with some of its bytes or fields changed."""
    rng = random.Random(seed)
    return rng.choice([cut, scrambled, scrambled, rewritten, rewritten, rewritten])(rng.choice(models), rng)


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def scrambled(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        at, other = rng.randrange(len(changed)), rng.randrange(len(changed))
        match rng.randrange(4):
            case 0:
                changed[at] = rng.randrange(256)
            case 1:
                changed[at] ^= 1 << rng.randrange(8)
            case 2:
                del changed[at : at + rng.randrange(1, 9)]
            case 3:
                changed[at:at] = changed[other : other + rng.randrange(1, 64)]
    return bytes(changed)


def rewritten(data: bytes, rng: random.Random) -> bytes:
    model = onnx.load_from_string(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        messages = list(parts(model))
        message = rng.choice([each for each in messages if each.ListFields()])
        field, value = rng.choice(message.ListFields())
        try:
            if field.message_type is None:
                rewrite_number(message, field, value, messages, rng)
            elif field.is_repeated:
                rewrite_list(value, rng)
            else:
                message.ClearField(field.name)
        except (ValueError, TypeError):
            pass  # it does not fit that field
    return model.SerializeToString()


def rewrite_number(message: Message, field: Any, value: Any, messages: list[Message], rng: random.Random) -> None:
    """Put another number or text in a field, which may be one from elsewhere in the model."""
    pool: list[Any] = NUMBERS
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        pool = FLOATS
    elif field.type in (field.TYPE_STRING, field.TYPE_BYTES):
        alike = [(each, other) for each in messages for other, _ in each.ListFields() if other.type == field.type]
        pool = [getattr(each, other.name) for each, other in alike if not other.is_repeated]
        pool += TEXTS if field.type == field.TYPE_STRING else [b"", b"\xff" * 3]
    if not field.is_repeated:
        setattr(message, field.name, rng.choice(pool))
    elif rng.random() < 0.3:
        value.append(rng.choice(pool))
    else:
        value[rng.randrange(len(value))] = rng.choice(pool)


def rewrite_list(messages: Any, rng: random.Random) -> None:
    """Leave one out, double one, or change their order."""
    copies = [type(each).FromString(each.SerializeToString()) for each in messages]
    which = rng.randrange(3)
    if which == 0:
        copies.pop(rng.randrange(len(copies)))
    elif which == 1:
        copies.append(rng.choice(copies))
    else:
        rng.shuffle(copies)
    del messages[:]
    messages.extend(copies)


def parts(message: Message) -> list[Message]:
    """Return a message and all within it."""
    found = [message]
    for each in found:
        for field, value in each.ListFields():
            if field.message_type is not None:
                found.extend(value if field.is_repeated else [value])
    return found


def convert(path: Path, came: Counter[str]) -> None:
    """Convert a model, and read what comes of it, which has to be as sound."""
    conversion = convert_graph(path, 0.1, Selection(None, None, KINDS), max_memory=MEMORY)
    came["converted"] += bool(conversion.changes)
    out = path.with_suffix(".out.onnx")
    conversion.model.save(out)
    try:
        read(out, MEMORY)
    except ValueError as error:
        raise RuntimeError("no sound model any more") from error
    for file in path.parent.glob(f"{out.name}*"):
        file.unlink()


def main(folder: Path, first: int, last: int, then: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 32, 1 << 32))
    models = [path.read_bytes() for path in sorted(folder.glob("base*.onnx"))]
    came, slowest = Counter[str](), 0.0
    for seed in range(first, last):
        print(seed, flush=True)  # for whoever has to say where it ended
        path = folder / f"{seed}.onnx"  # a new file each time: to write over one waits for the disk
        path.write_bytes(mutant(models, seed))
        start = time.perf_counter()
        try:
            model = read(path, MEMORY)
            came["read"] += 1
            if then == "convert":
                convert(path, came)
            if then == "run":
                watch(model, [X], max_memory=MEMORY)
                came["run"] += 1
        except ValueError as error:
            text = str(error)
            if not text.isprintable() or len(text) > 600:
                raise
            came["refused"] += 1
        slowest = max(slowest, time.perf_counter() - start)
        path.unlink()
    print(json.dumps({**came, "slowest": slowest}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), then=sys.argv[-1])

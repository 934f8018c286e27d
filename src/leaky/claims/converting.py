"""S21: Leaky ReLU in models that others wrote."""

from __future__ import annotations

import contextlib
import importlib.util
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name

from leaky.claims.answer import Answer, Plot, Series, Table
from leaky.claims.experiment import Experiment, Lab, Measured, repeatable
from leaky.claims.statement import Published, Statement
from leaky.conversion import convert
from leaky.torch.watch.origin import tensors
from leaky.wording import counted, listing

Network = tuple[nn.Module, dict[str, Tensor]]

#: of onnx's own, those whose weights take little memory
_GRAPHS = ("squeezenet", "shufflenet", "inception_v1", "inception_v2", "densenet121", "resnet50")

STATEMENT = Statement(
    "S21",
    "Leaky ReLU is easily added to existing models and frameworks, with few changes.",
    "test",
    recipe=(
        "PyTorch's own nn.Transformer; the image networks that the package onnx brings (SqueezeNet, ShuffleNet, Inception v1 and v2, DenseNet-121, ResNet-50); and, where the package "
        "transformers is installed, small random ResNet, RegNet, BERT with ReLU, OPT, Marian, T5, Speech2Text and DETR. Each is converted by one line, "
        "leaky.convert(model, slope). Rectifiers are counted before and after without leaky's help: calls by PyTorch's function "
        "mode, nodes in ONNX (where slope 0 is written as Relu)."
    ),
    criterion=(
        "Easily is: with slope 0 the outputs on random inputs are the same, number by number, and with slope 0.1 no ReLU is left. It holds if that is so for all of "
        "the networks that are installed here. It holds only for those named if it is so for at least half of them, and does not "
        "hold for fewer."
    ),
    published=(
        Published(
            "against",
            "Of trained networks: one whose ReLUs were exchanged for Leaky ReLU classified at 0 % without training on.",
            "mapillary/inplace_abn, issue 163",
        ),
        Published(
            "between",
            "Initialisation belongs to it: the gain changes with the slope.",
            "He et al. 2015, arXiv:1502.01852",
        ),
    ),
)


@repeatable
def measure(lab: Lab) -> Measured:
    """Return for each network how many rectifiers it had, how many are left, and whether slope 0 changed its outputs."""
    builders: dict[str, Callable[[], Measured]] = {"nn.Transformer": partial(_modules, _transformer)}
    if importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxruntime"):
        builders |= {f"{name} (ONNX)": partial(_graph, name) for name in _GRAPHS}
    if importlib.util.find_spec("transformers"):
        builders |= {f"{name} (transformers)": partial(_modules, partial(_of_others, name)) for name in _OTHERS}
    found: Measured = {}
    for i, (name, examine) in enumerate(builders.items()):
        torch.manual_seed(0)
        found[name] = examine()
        lab.report((i + 1) / len(builders))
    return found


class _Relus(TorchFunctionMode):
    """Counts calls of ReLU, by whatever name."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = (resolve_name(func) or "").rpartition(".")[2]
        low = kwargs.get("min", args[1] if len(args) > 1 else None)
        clamps = name in ("clamp", "clamp_min") and isinstance(low, int | float) and low == 0
        self.count += clamps or name in ("relu", "relu_")
        return func(*args, **kwargs)


@contextlib.contextmanager
def _in_the_open() -> Iterator[None]:
    """Have PyTorch's attention layers call what they are made of, rather than one fused operation that hides its ReLU."""
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


def _modules(build: Callable[[], Network]) -> Measured:
    with warnings.catch_warnings(), _in_the_open(), torch.no_grad():
        warnings.simplefilter("ignore")  # theirs
        model, inputs = build()
        model.eval()
        with _Relus() as before:
            outputs = list(tensors(model(**inputs)))
        warm = list(tensors(convert(model, 0.0).model(**inputs)))
        cured = convert(model, 0.1)
        with _Relus() as after:
            cured.model(**inputs)
    return {
        "rectifiers": before.count,
        "left": after.count,
        "same": len(outputs) == len(warm) and all(map(torch.equal, outputs, warm)),
    }


def _transformer() -> Network:
    model = nn.Transformer(32, 4, num_encoder_layers=2, num_decoder_layers=2, dim_feedforward=64, batch_first=True)
    return model, {"src": torch.randn(2, 8, 32), "tgt": torch.randn(2, 5, 32)}


def _graph(name: str) -> Measured:
    import onnx
    from onnx.backend.test import data

    path = Path(next(iter(data.__path__))) / "light" / f"light_{name}.onnx"
    model = onnx.load(path)
    x = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype("f")
    outputs, warm = (_outputs(each, x) for each in (model, convert(model, 0.0).model))
    cured = convert(model, 0.1).model
    before, after = (Counter(node.op_type for node in each.graph.node) for each in (model, cured))
    return {"rectifiers": before["Relu"], "left": after["Relu"], "same": all(map(np.array_equal, outputs, warm))}


def _outputs(model: Any, x: np.ndarray) -> list[np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    # Their weights are made within the graph, and may be given as inputs besides: the image is what has its shape.
    images = [i.name for i in session.get_inputs() if i.shape[1:] == list(x.shape[1:])]
    found: list[np.ndarray] = session.run(None, {images[0]: x})
    return found


_TEXT = {
    "vocab_size": 99,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 37,
    "activation_function": "relu",
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 0,
}
_RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [2, 2]}
_DETR = {
    "use_timm_backbone": False,
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_ffn_dim": 20,
    "decoder_ffn_dim": 20,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "num_queries": 5,
}

#: of transformers: class of the network, settings, and what it takes
_OTHERS: dict[str, tuple[str, dict[str, Any], str]] = {
    "ResNet": ("ResNet", {**_RESNET, "layer_type": "basic"}, "image"),
    "RegNet": ("RegNet", {**_RESNET, "groups_width": 4}, "image"),
    "BERT": (
        "Bert",
        {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_act": "relu"},
        "text",
    ),
    "OPT": (
        "OPT",
        {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 37,
         "word_embed_proj_dim": 16, "max_position_embeddings": 64},
        "text",
    ),
    "Marian": ("Marian", _TEXT, "two texts"),
    "T5": ("T5", {"vocab_size": 99, "d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4}, "two texts"),
    "Speech2Text": ("Speech2Text", {**_TEXT, "input_feat_per_channel": 24, "conv_channels": 16}, "speech"),
    "DETR": ("Detr", _DETR, "image"),
}  # fmt: skip


def _of_others(name: str) -> Network:
    import transformers

    kind, settings, takes = _OTHERS[name]
    if kind == "Detr":
        backbone = transformers.ResNetConfig(**_RESNET, layer_type="basic", out_features=["stage2"])
        settings = {**settings, "backbone_config": backbone}
    model = getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**settings))
    text, second = torch.randint(3, 90, (2, 8)), torch.randint(3, 90, (2, 5))
    inputs = {
        "image": {"pixel_values": torch.randn(2, 3, 64, 64)},
        "text": {"input_ids": text},
        "two texts": {"input_ids": text, "decoder_input_ids": second},
        "speech": {"input_features": torch.randn(2, 40, 24), "decoder_input_ids": second},
    }
    return model, inputs[takes]


def judge(measured: Measured) -> Answer:
    """Decide by how many networks were converted without loss and without rest."""
    well = [name for name, found in measured.items() if found["rectifiers"] and not found["left"] and found["same"]]
    sites, left = (sum(found[what] for found in measured.values()) for what in ("rectifiers", "left"))
    same = sum(found["same"] for found in measured.values())
    sentence = (
        f"One line converts {sites - left} of {counted(sites, 'rectifier')} in {counted(len(measured), 'network')}; with slope 0, "
        f"{same} of {len(measured)} give the outputs they gave."
    )
    absent = [kind for kind in ("ONNX", "transformers") if not any(name.endswith(f"({kind})") for name in measured)]
    if absent:
        sentence += f" Of {listing(absent)} none is installed here, and none was tried."
    numbers: dict[str, float | None] = {
        "networks": len(measured), "rectifiers": sites, "rectifiers left": left, "networks with equal outputs": same
    }  # fmt: skip
    rows = tuple(
        (name, str(found["rectifiers"]), str(found["left"]), "yes" if found["same"] else "no")
        for name, found in measured.items()
    )
    table = Table(("network", "rectifiers", "left", "same outputs at slope 0"), rows)
    plots = (_plot(measured),)
    if len(well) == len(measured):
        return Answer("S21", "holds", sentence, numbers=numbers, plots=plots, table=table)
    if 2 * len(well) >= len(measured):
        condition = f"the network is {listing(well)}, of those tried"
        return Answer("S21", "holds only when", sentence, condition, "", numbers, plots, table)
    return Answer("S21", "does not hold here", sentence, numbers=numbers, plots=plots, table=table)


def _plot(measured: Measured) -> Plot:
    names = tuple(measured)
    done = [found["rectifiers"] - found["left"] for found in measured.values()]
    return Plot(
        "Rectifiers converted",
        "",
        "",
        (Series("converted", names, tuple(done), kind="bars"),),
        f"Rectifiers converted: {listing([f'{name} {count}' for name, count in zip(names, done, strict=True)])}.",
    )


EXPERIMENTS = (Experiment(STATEMENT, measure, judge, seconds=12),)

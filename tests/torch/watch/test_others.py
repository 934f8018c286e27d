"""The sites of networks that others wrote are those that an independent trace counts.

The trace is by PyTorch's function mode, which sees the functions and methods that Python calls, not the operations that
they come down to.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name

from leaky.evidence import Evidence, Site
from leaky.torch.watch import watch

# what is called, by the last part of its name, and the kind that it is
KINDS = {
    "relu": "relu",
    "relu_": "relu",
    "relu6": "relu6",
    "hardtanh": "relu6",
    "leaky_relu": "leaky_relu",
    "prelu": "prelu",
    "elu": "elu",
    "gelu": "gelu",
    "silu": "silu",
    "hardswish": "hardswish",
    "softplus": "softplus",
    "sigmoid": "sigmoid",
    "sigmoid_": "sigmoid",
    "tanh": "tanh",
}


class Count(TorchFunctionMode):
    """Counts the calls of activations, by kind."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: Counter[str] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = (resolve_name(func) or "").rpartition(".")[2]
        kind = KINDS.get(name)
        if name == "hardtanh" and (kwargs["min_val"], kwargs["max_val"]) != (0, 6):
            kind = "hardtanh"
        low = kwargs.get("min", args[1] if len(args) > 1 else None)
        if name in ("clamp", "clamp_min") and isinstance(low, int | float) and low == 0:
            kind = "relu"
        if kind is not None:
            self.kinds[kind] += 1
        return func(*args, **kwargs)


def tokens(length: int = 8) -> Tensor:
    return torch.randint(3, 90, (2, length))


def images() -> dict[str, Tensor]:
    return {"pixel_values": torch.randn(2, 3, 64, 64)}


TEXT = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "pad_token_id": 0,
}
T5 = {"vocab_size": 99, "d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4}
SEQ2SEQ = {
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
BOTH = {"input_ids": tokens(), "decoder_input_ids": tokens(5)}
SMALL_RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [2, 2]}

Network = tuple[Callable[[], nn.Module], Callable[[], dict[str, Tensor]]]

NETWORKS: dict[str, Network] = {
    "OPT": (
        lambda: hf.OPTModel(
            hf.OPTConfig(
                vocab_size=99,
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=4,
                ffn_dim=37,
                word_embed_proj_dim=16,
                max_position_embeddings=64,
            )
        ),
        lambda: {"input_ids": tokens()},
    ),
    "BERT": (lambda: hf.BertModel(hf.BertConfig(**TEXT, hidden_act="relu")), lambda: {"input_ids": tokens()}),
    "ESM": (lambda: hf.EsmModel(hf.EsmConfig(**TEXT, mask_token_id=2)), lambda: {"input_ids": tokens()}),
    "Llama": (lambda: hf.LlamaModel(hf.LlamaConfig(**TEXT)), lambda: {"input_ids": tokens()}),
    "Persimmon": (lambda: hf.PersimmonModel(hf.PersimmonConfig(**TEXT)), lambda: {"input_ids": tokens()}),
    "GPT-2": (
        lambda: hf.GPT2Model(
            hf.GPT2Config(vocab_size=99, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2)
        ),
        lambda: {"input_ids": tokens()},
    ),
    "XGLM": (
        lambda: hf.XGLMModel(
            hf.XGLMConfig(
                vocab_size=99, d_model=32, ffn_dim=37, num_layers=2, attention_heads=4, activation_function="relu"
            )
        ),
        lambda: {"input_ids": tokens()},
    ),
    "Mamba": (
        lambda: hf.MambaModel(hf.MambaConfig(vocab_size=99, hidden_size=16, num_hidden_layers=2, state_size=4)),
        lambda: {"input_ids": tokens()},
    ),
    "T5": (lambda: hf.T5Model(hf.T5Config(**T5)), lambda: BOTH),
    "Marian": (lambda: hf.MarianModel(hf.MarianConfig(**SEQ2SEQ)), lambda: BOTH),
    "M2M100": (lambda: hf.M2M100Model(hf.M2M100Config(**SEQ2SEQ)), lambda: BOTH),
    "Speech2Text": (
        lambda: hf.Speech2TextModel(hf.Speech2TextConfig(**SEQ2SEQ, input_feat_per_channel=24, conv_channels=16)),
        lambda: {"input_features": torch.randn(2, 40, 24), "decoder_input_ids": tokens(5)},
    ),
    "Wav2Vec2": (
        lambda: hf.Wav2Vec2Model(
            hf.Wav2Vec2Config(
                hidden_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                intermediate_size=20,
                conv_dim=(8, 8),
                conv_stride=(5, 2),
                conv_kernel=(10, 3),
                num_conv_pos_embeddings=16,
                num_conv_pos_embedding_groups=2,
                hidden_act="relu",
                feat_extract_activation="relu",
            )
        ),
        lambda: {"input_values": torch.randn(2, 800)},
    ),
    "HiFi-GAN": (
        lambda: hf.SpeechT5HifiGan(hf.SpeechT5HifiGanConfig(upsample_initial_channel=32, model_in_dim=8)),
        lambda: {"spectrogram": torch.randn(2, 20, 8)},
    ),
    "ResNet": (
        lambda: hf.ResNetModel(hf.ResNetConfig(**SMALL_RESNET, layer_type="basic")),
        images,
    ),
    "ResNet, bottleneck": (
        lambda: hf.ResNetModel(hf.ResNetConfig(embedding_size=8, hidden_sizes=[16, 32], depths=[1, 2])),
        images,
    ),
    "RegNet": (lambda: hf.RegNetModel(hf.RegNetConfig(**SMALL_RESNET, groups_width=4)), images),
    "BiT": (
        lambda: hf.BitModel(hf.BitConfig(embedding_size=32, hidden_sizes=[32, 64], depths=[1, 1], num_groups=8)),
        images,
    ),
    "MobileNetV1": (lambda: hf.MobileNetV1Model(hf.MobileNetV1Config(depth_multiplier=0.25)), images),
    "MobileNetV2": (lambda: hf.MobileNetV2Model(hf.MobileNetV2Config(depth_multiplier=0.35)), images),
    "ViT": (
        lambda: hf.ViTModel(
            hf.ViTConfig(
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=37,
                image_size=64,
                patch_size=16,
                hidden_act="relu",
            )
        ),
        images,
    ),
    "Swin": (
        lambda: hf.SwinModel(
            hf.SwinConfig(
                image_size=64,
                patch_size=4,
                embed_dim=16,
                depths=[1, 2],
                num_heads=[2, 4],
                window_size=4,
                hidden_act="relu",
            )
        ),
        images,
    ),
    "SegFormer": (
        lambda: hf.SegformerForSemanticSegmentation(
            hf.SegformerConfig(
                num_encoder_blocks=2,
                depths=[1, 1],
                sr_ratios=[2, 1],
                hidden_sizes=[16, 32],
                patch_sizes=[7, 3],
                strides=[4, 2],
                num_attention_heads=[1, 2],
                mlp_ratios=[2, 2],
                decoder_hidden_size=16,
            )
        ),
        images,
    ),
    "DETR": (
        lambda: hf.DetrModel(
            hf.DetrConfig(
                use_timm_backbone=False,
                backbone_config=hf.ResNetConfig(**SMALL_RESNET, layer_type="basic", out_features=["stage2"]),
                d_model=16,
                encoder_layers=1,
                decoder_layers=1,
                encoder_ffn_dim=20,
                decoder_ffn_dim=20,
                encoder_attention_heads=2,
                decoder_attention_heads=2,
                num_queries=5,
            )
        ),
        images,
    ),
}

# GELU written out, in which the trace sees a tanh, or nothing that it knows
WRITTEN_OUT = {"GPT-2": ({"tanh": 2}, {"gelu": 2}), "ESM": ({}, {"gelu": 2})}


def counted(model: nn.Module, inputs: dict[str, Tensor]) -> Counter[str]:
    with torch.no_grad(), Count() as count:
        model(**inputs)
    return count.kinds


def watched(model: nn.Module, inputs: dict[str, Tensor]) -> dict[str, tuple[Site, Evidence]]:
    with torch.no_grad(), watch(model) as seen:
        model(**inputs)
        model(**inputs)
    assert seen.notes == []
    return seen.sites


@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("name", NETWORKS)
def test_the_sites_are_those_of_an_independent_trace(name: str) -> None:
    torch.manual_seed(0)
    build, given = NETWORKS[name]
    model, inputs = build().eval(), given()
    expected = counted(model, inputs)
    if name in WRITTEN_OUT:
        seen_of_it, it_is = map(Counter, WRITTEN_OUT[name])
        expected = expected - seen_of_it + it_is
    sites = watched(model, inputs)
    assert Counter(site.kind for site, _ in sites.values()) == expected
    modules, layers = dict(model.named_modules()), {name.rpartition(".")[0] for name, _ in model.named_parameters()}
    for site, evidence in sites.values():
        assert (site.judged, site.note, evidence.samples) == (True, "", 4), site
        assert site.module in modules
        assert site.fed_by in layers
        assert site.axis is not None
        assert site.shape[site.axis - 1] == site.units
        assert evidence.positions * site.units % 4 == 0


def test_the_trace_itself_counts() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.ReLU6(), nn.Hardtanh(), nn.PReLU(), nn.GELU())
    assert counted(model, {"input": torch.randn(2, 3)}) == {"relu": 1, "relu6": 1, "hardtanh": 1, "prelu": 1, "gelu": 1}

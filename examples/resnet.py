"""Leaky ReLU into a network that others wrote: a ResNet of Hugging Face's transformers.

    python examples/resnet.py [SLOPE]

Change: the configuration, or load weights with ResNetForImageClassification.from_pretrained(…).
"""

import sys

import torch
from transformers import ResNetConfig, ResNetForImageClassification

import leaky

SLOPE = float(sys.argv[1]) if len(sys.argv) > 1 else 0.1

torch.manual_seed(0)
config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=5)
model = ResNetForImageClassification(config).eval()
images = torch.rand(32, 3, 32, 32)

conversion = leaky.convert(model, SLOPE, data={"pixel_values": images})
for change in conversion.changes:
    print(f"{change.site}: {change.before} → {change.after}")
print(conversion.headline)
print(f"The outputs moved by {conversion.drift.mean:.3f} on average; their size is {conversion.drift.scale:.3f}.")

# With slope 0 the network computes what it did, and the slope can be raised while it is fine-tuned.
warm = leaky.convert(model, 0.0).model
schedule = leaky.torch.SlopeSchedule(warm, to=SLOPE, steps=1000)
assert torch.equal(warm(images).logits, model(images).logits)

leaky.save_weights(conversion.model, "resnet.pt")  # with the slopes

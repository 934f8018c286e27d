"""Every activation site of a PyTorch model, found by watching the operations of its forward passes, and its evidence.

A site is named by the path of its module, ``layer3.0.relu``, or, where a function is called, by the path of the module
whose forward calls it, ``layer3.0.relu()``. Further calls in the same pass are ``layer3.0.relu[1]`` and so on.
"""

from leaky.torch.watch.mode import Watch, watch
from leaky.torch.watch.names import unwrapped
from leaky.torch.watch.sites import Meeting
from leaky.torch.watch.traceless import undisturbed

__all__ = ["Meeting", "Watch", "undisturbed", "unwrapped", "watch"]

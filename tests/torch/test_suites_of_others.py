"""PyTorch's own tests of leaky_relu and LeakyReLU, run on ours."""

import pytest
import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db

from leaky.torch import LeakyReLU, leaky_relu

pytestmark = [
    pytest.mark.usefixtures("any_size"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning"),
]

(OP,) = (entry for entry in op_db if entry.name == "nn.functional.leaky_relu")
(MODULE,) = (entry for entry in module_db if entry.module_cls is torch.nn.LeakyReLU)


@pytest.mark.parametrize("dtype", sorted(OP.supported_dtypes("cpu"), key=str), ids=str)
def test_op_samples(dtype: torch.dtype) -> None:
    samples = list(OP.sample_inputs("cpu", dtype, requires_grad=True))
    assert samples
    for sample in samples:
        ours, theirs = (function(sample.input, *sample.args, **sample.kwargs) for function in (leaky_relu, OP.op))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
        gradients = [torch.autograd.grad(y, sample.input, torch.ones_like(y)) for y in (ours, theirs)]
        torch.testing.assert_close(*gradients, rtol=0, atol=0)


def test_op_gradients() -> None:
    for sample in OP.sample_inputs("cpu", torch.float64, requires_grad=True):

        def function(tensor: torch.Tensor, sample=sample) -> torch.Tensor:
            return leaky_relu(tensor, *sample.args, **sample.kwargs)

        assert torch.autograd.gradcheck(function, sample.input, check_forward_ad=True, check_batched_grad=True)
        assert torch.autograd.gradgradcheck(function, sample.input, check_fwd_over_rev=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("training", [False, True])
def test_module_inputs(dtype: torch.dtype, training: bool) -> None:
    samples = MODULE.module_inputs_func(MODULE, "cpu", dtype, True, training)
    assert samples
    for sample in samples:
        made, given = sample.constructor_input, sample.forward_input
        ours, theirs = (kind(*made.args, **made.kwargs).train(training) for kind in (LeakyReLU, torch.nn.LeakyReLU))
        y = ours(*given.args, **given.kwargs)
        torch.testing.assert_close(y, theirs(*given.args, **given.kwargs), rtol=0, atol=0)
        if sample.reference_fn is not None:
            torch.testing.assert_close(y, sample.reference_fn(ours, *given.args, **given.kwargs))

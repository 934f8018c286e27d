"""A converted network goes where the network went: pickled, copied, compiled, exported, on several processes."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.utils.checkpoint import checkpoint

import leaky
from leaky.torch.watch import watch

HERE = Path(__file__).parent

pytestmark = pytest.mark.filterwarnings("ignore")  # PyTorch's own, of its compilers


@pytest.fixture(scope="module", params=["on data", "unseen"])
def travelling(request: pytest.FixtureRequest) -> Any:
    sys.path.insert(0, str(HERE))
    try:
        from travelling import Traveller  # type: ignore[import-not-found]  # it is beside this file

        torch.manual_seed(0)
        model = Traveller().eval()
        x = torch.randn(4, 6)
        converted = leaky.convert(model, 0.2, data=x if request.param == "on data" else None).model
        yield converted, x, converted(x)
    finally:
        sys.path.remove(str(HERE))


def same(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected)


def test_it_is_converted(travelling: Any, request: pytest.FixtureRequest) -> None:
    model, x, _ = travelling
    with watch(model) as seen:
        model(x)
    kinds = [site.kind for site, _ in seen.sites.values()]
    assert len(kinds) == 16
    unseen = "unseen" in request.node.name
    assert (kinds.count("leaky_relu"), kinds.count("relu")) == ((13, 3) if unseen else (16, 0))


@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies(travelling: Any, again: Callable[[nn.Module], nn.Module]) -> None:
    model, x, expected = travelling
    assert torch.equal(again(model)(x), expected)
    assert torch.equal(again(again(model)).blocks(x), model.blocks(x))


@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor"])
def test_compiled_as_one_graph(travelling: Any, backend: str) -> None:
    model, x, expected = travelling
    torch._dynamo.reset()
    same(torch.compile(copy.deepcopy(model), fullgraph=True, backend=backend)(x), expected)


def test_compiled_block_by_block_and_in_training(travelling: Any) -> None:
    model, x, _ = travelling
    torch._dynamo.reset()
    plain, model = copy.deepcopy(model).train(), copy.deepcopy(model).train()
    for block in model.blocks:
        block.compile(fullgraph=True, backend="aot_eager")
    for each in (plain, model):
        each(x).square().sum().backward()
    for one, other in zip(plain.parameters(), model.parameters(), strict=True):
        same(one.grad, other.grad)


def test_compiled_after_its_slope_has_changed(travelling: Any) -> None:
    model, x, _ = travelling
    torch._dynamo.reset()
    model = copy.deepcopy(model)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    compiled(x)
    for slope in (0.0, 0.5):
        for each in model.modules():
            if hasattr(each, "leaky_slopes"):
                each.leaky_slopes[:] = [slope] * len(each.leaky_slopes)
        same(compiled(x), model(x))


@pytest.mark.parametrize("strict", [False, True])
def test_exported(travelling: Any, strict: bool) -> None:
    model, x, expected = travelling
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(model, (x,), dynamic_shapes=({0: batch},), strict=strict)
    same(program.module()(x), expected)
    same(program.module()(x[:3]), expected[:3])
    names = [str(node.target) for node in program.run_decompositions({}).graph.nodes]
    assert "aten.leaky_relu.default" in names


def test_exported_to_onnx(travelling: Any, tmp_path: Path) -> None:
    import onnxruntime

    model, x, expected = travelling
    program = torch.onnx.export(model, (x,), dynamo=True, verbose=False)
    assert program is not None
    program.save(str(tmp_path / "model.onnx"))
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    same(torch.from_numpy(got), expected.detach())


def test_traced_and_transformed(travelling: Any) -> None:
    model, x, expected = travelling
    same(torch.fx.symbolic_trace(model)(x), expected)
    same(torch.jit.trace(model, (x,))(x), expected)
    state = dict(model.state_dict())
    same(torch.func.vmap(lambda row: torch.func.functional_call(model, state, (row[None],))[0])(x), expected)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed(travelling: Any, reentrant: bool) -> None:
    model, x, _ = travelling
    expected = torch.autograd.grad(model.blocks(x).sum(), model.blocks[0].first.weight)[0]
    model.zero_grad()
    checkpoint(model.blocks, x.clone().requires_grad_(), use_reentrant=reentrant).sum().backward()
    same(model.blocks[0].first.weight.grad, expected)
    model.zero_grad()


def test_nested_in_another_network(travelling: Any) -> None:
    model, x, expected = travelling
    outer = nn.Sequential(nn.Identity(), model, nn.ReLU())
    same(outer(x), expected.relu())
    again = leaky.convert(outer, 0.2)
    same(again.model(x), nn.functional.leaky_relu(expected, 0.2))
    assert [change.site for change in again.changes] == ["2"]


def test_data_parallel(travelling: Any) -> None:
    model, x, expected = travelling
    same(nn.DataParallel(model)(x), expected)
    replica = model._replicate_for_data_parallel()
    assert type(replica) is type(model)
    assert replica.leaky_slopes == model.leaky_slopes


@pytest.mark.parametrize("ranks", [1, 2])
def test_distributed(travelling: Any, ranks: int, tmp_path: Path) -> None:
    model, x, expected = travelling
    torch.save((model, x), tmp_path / "model.pt")
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo"}
    arguments = [str(ranks), str(tmp_path / "store"), str(tmp_path / "model.pt")]
    pipes: dict[str, Any] = dict.fromkeys(["stdin", "stdout", "stderr"], subprocess.PIPE)
    processes = [
        subprocess.Popen(
            [sys.executable, str(HERE / "rank.py"), str(rank), *arguments], text=True, env=environment, **pipes
        )
        for rank in range(ranks)
    ]
    try:
        told = []
        for process in processes:
            out = process.stdout.readline()  # not for ever: a rank that is left alone gives up after a minute
            assert out, process.stderr.read()
            told.append(json.loads(out))
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    model.zero_grad()
    model(x).sum().backward()
    for output, gradient in told:
        same(torch.tensor(output), expected.detach())
        same(torch.tensor(gradient), model.layers[0].weight.grad)
    model.zero_grad()


def test_converted_within_distributed(travelling: Any) -> None:
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        plain = leaky.convert(travelling[0], to="relu").model
        wrapped = nn.parallel.DistributedDataParallel(plain)
        conversion = leaky.convert(wrapped, 0.2, inplace=True)
        assert conversion.model is wrapped
        same(wrapped(travelling[1]), travelling[2])
    finally:
        distributed.destroy_process_group()

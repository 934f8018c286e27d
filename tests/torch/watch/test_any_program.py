"""Whatever a network does, watching it neither stops it nor changes what it returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaky.torch.watch import Watch, flow, forms, origin, watch, written

Function = Callable[["Model", Tensor], Any]


class Model(nn.Module):
    """A layer, parameters and buffers, and a function of them."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        self.layer, self.bilinear = nn.Linear(4, 4), nn.Bilinear(4, 4, 3)
        self.norm = nn.BatchNorm1d(4).eval()
        self.w, self.row = nn.Parameter(torch.rand(4)), nn.Parameter(torch.rand(1, 4))
        self.register_buffer("zero", torch.tensor(0.0))
        self.register_buffer("square", torch.randn(4, 4))

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


PROGRAMS: dict[str, Function] = {
    "sum of a number": lambda m, x: F.relu(m.layer(x)).mean().sum(0),
    "mean of a number": lambda m, x: F.relu(m.layer(x)).sum().mean(-1),
    "softmax of a number": lambda m, x: F.relu(m.layer(x)).sum().softmax(0),
    "imaginary": lambda m, x: (m.layer(x) * 1j).abs(),
    "imaginary, turned round": lambda m, x: (1j * m.layer(x) + 2j).abs(),
    "dot": lambda m, x: torch.dot(x[0], m.w),
    "product of vectors": lambda m, x: x[0] @ m.w,
    "product with a column": lambda m, x: x @ m.w[:, None, None].squeeze(-1),
    "mse": lambda m, x: F.mse_loss(x, m.row.expand_as(x)),
    "l1": lambda m, x: F.l1_loss(x[0], m.w),
    "dist": lambda m, x: torch.dist(x[0], m.w),
    "cosine": lambda m, x: F.cosine_similarity(x, m.w, dim=-1),
    "cdist": lambda m, x: torch.cdist(x, m.row),
    "bilinear of what is not known": lambda m, x: F.bilinear(torch.ones(3, 4), torch.ones(3, 4), torch.ones(2, 4, 4)),
    "bilinear": lambda m, x: F.relu(m.bilinear(x, x)),
    "nothing at all": lambda m, x: m.norm(m.layer(x)[:, :, None][:, :, :0]),
    "fft": lambda m, x: torch.fft.irfft(torch.fft.rfft(m.layer(x)) * torch.complex(m.w[:3], m.w[:3])),
    "einsum": lambda m, x: F.relu(torch.einsum("bi,ji->bj", x, m.square) * torch.einsum("i,i->", m.w, m.w)),
    "unique": lambda m, x: torch.unique(m.layer(x)),
    "chosen rows": lambda m, x: m.layer(x)[torch.nonzero(x[:, 0] > 0)[:, 0]].relu(),
    "topk": lambda m, x: m.layer(x).topk(2).values.relu(),
    "sparse": lambda m, x: torch.sparse.mm(m.square.to_sparse(), m.layer(x).T[:4]).relu(),
    "foreach": lambda m, x: torch._foreach_add([x, m.layer(x)], 1.0)[1].relu(),
    "index_add": lambda m, x: torch.zeros(2, 4).index_add(0, torch.tensor([0, 1, 0]), m.layer(x)).relu(),
    "item": lambda m, x: F.relu(m.layer(x)) * m.layer(x).sum().item(),
    "softplus without a slope": lambda m, x: F.softplus(m.layer(x), beta=0),
    "histogram": lambda m, x: torch.histc(m.layer(x)),
    "svd": lambda m, x: torch.linalg.svd(m.layer(x))[1],
    "solve": lambda m, x: torch.linalg.solve(m.square + 9 * torch.eye(4), m.layer(x).T[:4]),
    "cat with an empty one": lambda m, x: torch.cat([torch.tensor([]), m.layer(x)]).relu(),
    "stacked numbers": lambda m, x: torch.stack([m.layer(x).sum(), m.layer(x).mean()]).relu(),
    "stacked behind": lambda m, x: torch.stack([m.layer(x), m.layer(x)], -1).relu(),
    "unfold": lambda m, x: m.layer(x).unfold(1, 2, 1).relu(),
    "view as complex": lambda m, x: torch.view_as_complex(m.layer(x).view(3, 2, 2)).abs().relu(),
    "clamp by tensors": lambda m, x: m.layer(x).clamp(min=m.zero).clamp(max=torch.tensor(3.0)),
    "attention": lambda m, x: F.scaled_dot_product_attention(*[m.layer(x)[None]] * 3).relu(),
    "cond": lambda m, x: torch.cond(x.sum() > 0, lambda a: a.relu(), lambda a: a.sin(), (m.layer(x),)),
    "vmap": lambda m, x: torch.vmap(lambda row: F.relu(m.layer(row)))(x),
    "jacrev": lambda m, x: torch.func.jacrev(lambda rows: F.relu(m.layer(rows)))(x),
    "jvp": lambda m, x: torch.func.jvp(lambda rows: F.relu(m.layer(rows)), (x,), (x,))[0],
    "loss with logits": lambda m, x: F.binary_cross_entropy_with_logits(m.layer(x), torch.ones(3, 4)),
}


def nested(layout: torch.layout) -> Function:
    def function(m: Model, x: Tensor) -> Tensor:
        return F.relu(m.layer(torch.nested.nested_tensor([x, x[:2]], layout=layout))).to_padded_tensor(0.0)

    return function


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # PyTorch's own
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_runs_as_it_does_alone(name: str) -> None:
    torch.manual_seed(0)
    model, x = Model(PROGRAMS[name]), torch.randn(3, 4)
    alone = model(x)
    with watch(model) as seen:
        assert torch.equal(model(x), alone)
        assert torch.equal(model(x), alone)
    assert not [note for note in seen.notes if "could not be looked at" in note]


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_tensors_of_uneven_rows(layout: torch.layout, mode: Callable[[], Any]) -> None:
    model, x = Model(nested(layout)), torch.randn(3, 4)
    with mode():
        alone = model(x)
        with watch(model) as seen:
            assert torch.equal(model(x), alone)
    assert seen.notes[0] == "the model: relu of a tensor that is not dense is not seen"


def fail(*_: object) -> Any:
    raise ZeroDivisionError("by\nnought")


@pytest.mark.parametrize(
    ("table", "name", "left"),
    [
        (flow.RULES, "addmm", [("relu", None)]),
        (forms.FORMS, "relu", [("where(x > 0, x, 0)", "layer")]),
        (written.MARKS, "gt", [("relu", "layer")]),
        (written.WRITTEN, "where", [("relu", "layer")]),
    ],
)
def test_what_we_do_wrong_ends_no_run_and_is_said(
    table: dict[str, Any], name: str, left: list[tuple[str, str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(table, name, fail)

    def twice(m: Model, x: Tensor) -> Tensor:
        x = m.layer(x)
        return torch.where(x > 0, x, 0) + F.relu(x)

    model = Model(twice)
    x = torch.randn(3, 4)
    alone = model(x)
    with watch(model) as seen:
        assert torch.equal(model(x), alone)
        model(x)
    (note,) = seen.notes
    assert "could not be looked at (ZeroDivisionError: by nought): what comes of it is unknown" in note
    assert [(site.form, site.fed_by) for site, _ in seen.sites.values()] == left


@pytest.mark.parametrize("which", ["inputs", "outputs"])
def test_an_error_of_those_who_watch_is_theirs(which: str) -> None:
    model, seen = Model(lambda m, x: F.relu(m.layer(x))), {}
    seen[which] = fail
    with Watch(model, **seen).watching(), pytest.raises(ZeroDivisionError):
        model(torch.randn(3, 4))


def test_an_error_of_the_network_itself_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origin.Origins, "call", fail)
    model = Model(lambda m, x: m.layer(x[:, :3]))
    with watch(model) as seen, pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        model(torch.randn(3, 4))
    assert len(seen.notes) > 0

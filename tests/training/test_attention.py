"""Criss-cross attention against full attention restricted by a mask."""

import math

import pytest

torch = pytest.importorskip("torch", reason="torch (extra 'train') is not installed")

from torch import Tensor  # noqa: E402

from vs_sac.training.attention import CrissCrossAttention, RecurrentCrissCross  # noqa: E402


def dense(module: CrissCrossAttention, x: Tensor) -> Tensor:
    """Full attention over all H·W positions, keeping the pairs that share a row or a column."""
    n, c, h, w = x.shape

    def project(layer: torch.nn.Conv2d) -> Tensor:
        weight = layer.weight[:, :, 0, 0].double()
        return torch.einsum("kc,ncp->nkp", weight, x.double().reshape(n, c, h * w)) + layer.bias.double()[:, None]

    query, key, value = (project(layer) for layer in (module.query, module.key, module.value))
    energy = torch.einsum("nkp,nkq->npq", query, key)
    position = torch.arange(h * w)
    row, column = position // w, position % w
    # Own position satisfies both but is one entry of this matrix: counted once.
    allowed = (row[:, None] == row) | (column[:, None] == column)
    weights = energy.masked_fill(~allowed, -math.inf).softmax(-1)
    context = torch.einsum("npq,ncq->ncp", weights, value).reshape(n, c, h, w)
    return module.gamma.double() * context + x.double()


def attention(channels: int = 12, key_channels: int | None = None, gamma: float = 0.8) -> CrissCrossAttention:
    torch.manual_seed(0)
    module = CrissCrossAttention(channels, key_channels)
    torch.nn.init.constant_(module.gamma, gamma)
    return module


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (6, 1), (2, 2), (5, 8), (9, 4)])
@pytest.mark.parametrize("batch", [1, 3])
def test_equals_dense_reference(size: tuple[int, int], batch: int) -> None:
    module = attention()
    x = torch.randn(batch, 12, *size, generator=torch.Generator().manual_seed(1))
    # Large activations make the softmax sharp: a wrong or doubled entry shows.
    for scale in (1.0, 6.0):
        assert torch.allclose(module(x * scale).double(), dense(module, x * scale), atol=1e-4)


def test_own_position_counts_once() -> None:
    """With equal affinities the context is the plain mean over the H + W - 1 positions of the cross."""
    module = attention(channels=1, gamma=1.0)
    for layer in (module.query, module.key):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    torch.nn.init.ones_(module.value.weight)
    torch.nn.init.zeros_(module.value.bias)
    x = torch.zeros(1, 1, 4, 6)
    x[0, 0, 2, 3] = 9.0
    context = module(x) - x
    expected = torch.zeros(4, 6)
    expected[2, :] = expected[:, 3] = 9.0 / (4 + 6 - 1)
    assert torch.allclose(context[0, 0], expected, atol=1e-6)


def test_untrained_module_is_the_identity() -> None:
    x = torch.randn(2, 16, 5, 6)
    assert torch.equal(CrissCrossAttention(16)(x), x)


def test_key_channels_default_to_an_eighth_but_at_least_eight() -> None:
    assert CrissCrossAttention(96).query.out_channels == 12
    assert CrissCrossAttention(16).key.out_channels == 8
    assert CrissCrossAttention(16, 3).key.out_channels == 3


def test_gradients_reach_every_parameter_and_the_input() -> None:
    module = attention()
    x = torch.randn(1, 12, 4, 5, requires_grad=True)
    module(x).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        # A bias of the key shifts all affinities of a position alike, which softmax cancels.
        if name != "key.bias":
            assert parameter.grad.abs().max() > 0, name
    assert x.grad is not None
    assert (x.grad != 0).all()


def test_gradient_is_the_dense_references() -> None:
    module = attention()
    x = torch.randn(1, 12, 4, 5, requires_grad=True)
    (ours,) = torch.autograd.grad(module(x).square().sum(), x)
    (theirs,) = torch.autograd.grad(dense(module, x).square().sum(), x)
    assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def _reach(passes: int) -> Tensor:
    """Positions whose output depends on the input at (1, 2)."""
    torch.manual_seed(0)
    module = RecurrentCrissCross(12, passes)
    torch.nn.init.ones_(module.attention.gamma)
    x = torch.randn(1, 12, 5, 7)
    changed = x.clone()
    changed[0, :, 1, 2] += 1.0
    return ((module(changed) - module(x)).abs().amax(1)[0]) > 0


def test_one_pass_reaches_the_cross_and_two_passes_everything() -> None:
    cross = torch.zeros(5, 7, dtype=torch.bool)
    cross[1, :] = cross[:, 2] = True
    assert torch.equal(_reach(1), cross)
    assert _reach(2).all()


def test_passes_share_weights() -> None:
    module = RecurrentCrissCross(12, 2)
    torch.nn.init.ones_(module.attention.gamma)
    x = torch.randn(1, 12, 3, 4)
    assert torch.equal(module(x), module.attention(module.attention(x)))
    assert sum(p.numel() for p in module.parameters()) == sum(p.numel() for p in module.attention.parameters())


def test_transposing_the_input_transposes_the_output() -> None:
    module = attention()
    x = torch.randn(1, 12, 4, 7)
    assert torch.allclose(module(x.transpose(2, 3)), module(x).transpose(2, 3), atol=1e-5)

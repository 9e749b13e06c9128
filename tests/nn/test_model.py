"""The network's shapes, determinism and parts."""

import pytest

torch = pytest.importorskip("torch", reason="torch (extra 'train') is not installed")

from vs_sac.nn.model import CcnetLite, ModelSpec, build_model  # noqa: E402

TINY = ModelSpec(stem=4, widths=(4, 8, 8), blocks=(1, 1, 2), attention=8)


def tiny(seed: int = 0) -> CcnetLite:
    torch.manual_seed(seed)
    return build_model(TINY)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (32, 48), (64, 16), (112, 80)])
@pytest.mark.parametrize("batch", [1, 2])
def test_output_is_a_quarter_of_the_input(height: int, width: int, batch: int) -> None:
    out = tiny().eval()(torch.rand(batch, 3, height, width))
    assert out.shape == (batch, 4, height // 4, width // 4)


def test_training_gives_the_auxiliary_logits_as_well() -> None:
    logits, aux = tiny().train()(torch.rand(2, 3, 64, 48))
    assert logits.shape == (2, 4, 16, 12)
    assert aux.shape == (2, 4, 4, 3)


def test_same_seed_same_network_and_output() -> None:
    x = torch.rand(1, 3, 32, 48)
    first, second, other = tiny(3).eval(), tiny(3).eval(), tiny(4).eval()
    assert torch.equal(first(x), second(x))
    assert torch.equal(first(x), first(x))
    assert not torch.equal(first(x), other(x))


def test_images_of_a_batch_do_not_influence_each_other_in_inference() -> None:
    model = tiny().eval()
    x = torch.rand(2, 3, 32, 32)
    assert torch.allclose(model(x)[:1], model(x[:1]), atol=1e-5)


def test_normalisation_is_inside() -> None:
    """Shifting the stored mean with the input changes nothing."""
    model = tiny().eval()
    x = torch.rand(1, 3, 32, 32) * 0.5
    before = model(x)
    # Zero padding follows the normalisation, so the equality is exact up to rounding at the borders too.
    model.mean += 0.25
    assert torch.allclose(model(x + 0.25), before, atol=1e-4)


def test_residual_branches_start_at_zero() -> None:
    model = tiny()
    scales = [m.second[1].weight for m in model.modules() if type(m).__name__ == "_Residual"]
    assert len(scales) == sum(TINY.blocks)
    assert all((scale == 0).all() for scale in scales)


def test_gradients_reach_every_parameter() -> None:
    model = tiny().train()
    # Attention and residual branches start switched off; their inner weights learn once these have moved.
    for name, parameter in model.named_parameters():
        if name.endswith(("gamma", "second.1.weight")):
            torch.nn.init.constant_(parameter, 0.5)
    logits, aux = model(torch.rand(2, 3, 64, 64))
    (logits.square().sum() + aux.square().sum()).backward()
    dead = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dead == []


def test_context_sees_the_whole_image() -> None:
    """A pixel in one corner influences the logits in the opposite one, which no convolution here reaches."""
    torch.manual_seed(0)
    model = tiny().eval()
    torch.nn.init.ones_(model.context.attention.gamma)
    x = torch.rand(1, 3, 256, 256, requires_grad=True)
    model(x)[0, :, -1, -1].sum().backward()
    assert x.grad[0, :, :16, :16].abs().sum() > 0
    torch.nn.init.zeros_(model.context.attention.gamma)
    x.grad = None
    model(x)[0, :, -1, -1].sum().backward()
    assert x.grad[0, :, :16, :16].abs().sum() == 0


def test_default_size_fits_its_budget() -> None:
    parameters = sum(p.numel() for p in CcnetLite().parameters())
    # Ten megabytes of float32 weights (issue of the default model).
    assert parameters * 4 < 10e6


def test_spec_round_trips_and_is_stored() -> None:
    assert ModelSpec(**TINY.to_dict()) == TINY
    assert tiny().spec == TINY
    assert CcnetLite().spec == ModelSpec()


def test_names_of_the_state_are_stable() -> None:
    """Checkpoints of released models are read by these names."""
    top = list(dict.fromkeys(name.split(".")[0] for name in tiny().state_dict()))
    assert top == [
        "mean", "std", "stem", "quarter", "eighth", "sixteenth", "reduce", "context", "fuse", "up_eighth",
        "up_quarter", "head", "aux",
    ]  # fmt: skip

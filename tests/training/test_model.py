"""The network's shapes, determinism and parts."""

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch (extra 'train') is not installed")

import timm  # noqa: E402

from vs_sac.core.errors import SacFileError, SacValueError  # noqa: E402
from vs_sac.segmentation.registry import working_size  # noqa: E402
from vs_sac.training.model import MODELS, CcNet, ModelSpec, build_model, load_backbone  # noqa: E402

TINY = ModelSpec(
    backbone="resnet18", stem=4, layers=(1, 1, 1, 1), channels=(4, 8, 8, 8), attention=8, decoder=(8, 8, 4), fine=False
)


def tiny(seed: int = 0) -> CcNet:
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
    scales = [p for name, p in tiny().named_parameters() if name.endswith("bn2.weight")]
    assert len(scales) == sum(TINY.layers or ())
    assert all((scale == 0).all() for scale in scales)


def test_gradients_reach_every_parameter() -> None:
    model = tiny().train()
    # Attention and residual branches start switched off; their inner weights learn once these have moved.
    for name, parameter in model.named_parameters():
        if name.endswith(("gamma", "bn2.weight")):
            torch.nn.init.constant_(parameter, 0.5)
    logits, aux = model(torch.rand(2, 3, 64, 64))
    (logits.square().sum() + aux.square().sum()).backward()
    dead = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert dead == []


@pytest.mark.slow
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
    parameters = sum(p.numel() for p in CcNet().parameters())
    # What is shipped is one file with 2 bytes a weight and one with 1.
    assert parameters * 3 < 15e6


def test_spec_round_trips_and_is_stored() -> None:
    assert ModelSpec(**TINY.to_dict()) == TINY
    assert tiny().spec == TINY
    assert CcNet().spec == ModelSpec() == MODELS["ccnet-efficientnet"]


def test_names_of_the_state_are_stable() -> None:
    """Checkpoints of released models are read by these names."""
    top = list(dict.fromkeys(name.split(".")[0] for name in tiny().state_dict()))
    assert top == [
        "mean", "std", "backbone", "reduce", "reduce_deepest", "norm", "context", "fuse", "skip_eighth", "up_eighth",
        "narrow", "skip_quarter", "up_quarter", "head", "aux",
    ]  # fmt: skip


@pytest.mark.parametrize("factor", [2, 3])
def test_downscale_is_averaging_first(factor: int) -> None:
    """The network of a reduced picture, and its sides."""
    reduced = build_model(replace(TINY, downscale=factor)).eval()
    plain = tiny().eval()
    plain.load_state_dict(reduced.state_dict())
    x = torch.rand(1, 3, 32 * factor, 48 * factor)
    small = torch.nn.functional.avg_pool2d(x, factor)
    assert torch.allclose(reduced(x), plain(small), atol=1e-5)
    assert reduced(x).shape == (1, 4, 8, 12)


@pytest.mark.slow
def test_the_papers_backbone() -> None:
    model = build_model("ccnet-resnet101").eval()
    blocks = {name.split(".conv1")[0] for name, _ in model.backbone.named_modules() if ".conv1" in name}
    # ResNet-101: 3 + 4 + 23 + 3 bottlenecks.
    assert len(blocks) == 33
    with torch.inference_mode():
        assert model(torch.rand(1, 3, 48, 64)).shape == (1, 4, 12, 16)


@pytest.mark.parametrize("name", ["ccnet", "resnet101"])
def test_unknown_networks_are_refused(name: str) -> None:
    with pytest.raises(SacValueError, match="ccnet-lite, ccnet-resnet101, ccnet-efficientnet"):
        build_model(name)


@pytest.mark.parametrize("backbone", ["no_such_net", "vit_tiny_patch16_224", "vgg11"])
def test_backbones_of_another_kind_are_refused(backbone: str) -> None:
    with pytest.raises(SacValueError, match=backbone):
        build_model(ModelSpec(backbone=backbone))


@pytest.mark.slow
def test_a_backbone_takes_a_classifiers_weights_whatever_their_names(tmp_path: Path) -> None:
    classifier = timm.create_model("efficientnet_lite0", num_classes=7).eval()
    state = {f"_{number}": value for number, value in enumerate(classifier.state_dict().values())}
    torch.save(state, tmp_path / "classifier.pth")
    model = build_model("ccnet-lite").eval()
    context = model.reduce.weight.clone()
    load_backbone(model, tmp_path / "classifier.pth")
    rgb = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        deepest = classifier.blocks(classifier.bn1(classifier.conv_stem(rgb)))
        assert torch.allclose(model.backbone(rgb)[-1], deepest, atol=1e-6)
    assert torch.equal(model.reduce.weight, context)


def test_a_backbone_refuses_other_weights(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    model = tiny()
    for state, needle in [({}, "has nothing where resnet18 has"), ({"a": torch.zeros(3, 2)}, r"has \(3, 2\) where")]:
        torch.save(state, path)
        with pytest.raises(SacFileError, match=needle):
            load_backbone(model, path)
    path.write_bytes(b"no weights")
    with pytest.raises(SacFileError, match=r"weights\.pth is no state dict"):
        load_backbone(model, path)


def test_cost_of_the_real_time_network() -> None:
    """At most 3 GMAC at its input size for a 1280x720 source."""
    total = 0

    def count(module: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        total += output.numel() * module.weight[0].numel()

    model = build_model("ccnet-lite").eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    with torch.inference_mode():
        model(torch.rand(1, 3, *reversed(working_size(1280, 720))))
    assert 0.5e9 < total <= 3e9
    assert list(MODELS) == ["ccnet-lite", "ccnet-resnet101", "ccnet-efficientnet"]

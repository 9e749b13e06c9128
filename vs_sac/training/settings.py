"""The settings of a training run, without torch, so that a command line can list them where torch is missing."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from ..core.errors import SacValueError
from ..segmentation.registry import STRIDE

__all__ = ["MODELS", "Augmentation", "Loss", "ModelSpec", "Schedule", "TrainSettings"]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Strength of the augmentation.

    Attributes:
        scale: Range of the zoom, relative to the working size.
        stretch: Largest change of the aspect ratio.
        rotate: Largest rotation in degrees.
        photometric: Whether to change light, colour, noise, blur and compression.
        paste: Probability that narrow ROI objects (poles, signs, people) and large vehicles of another picture are
            pasted into a view.
        weather: Probability of night, haze or a white sky; each view has at most one of them.
        warp: Probability of the distortion of a wide-angle lens.
    """

    scale: tuple[float, float] = (0.6, 1.9)
    stretch: float = 0.15
    rotate: float = 4.0
    photometric: bool = True
    paste: float = 0.0
    weather: float = 0.0
    warp: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.scale
        if not 0 < low <= high < math.inf:
            raise SacValueError(f"scale {self.scale} must be two factors above 0, the smaller first", "Augmentation")
        for name in ("paste", "weather", "warp"):
            if not 0 <= getattr(self, name) <= 1:
                raise SacValueError(f"{name} {getattr(self, name)} is outside of [0, 1]", "Augmentation")


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Architecture of a network, for `build_model`; stored in every checkpoint.

    Attributes:
        backbone: Name of a network in timm, such as ``resnet101``.
        layers: Residual blocks at 1/4, 1/8, 1/16 and 1/32; the backbone's own by default.
        channels: Channels at 1/4, 1/8, 1/16 and 1/32 (before a bottleneck's expansion); the backbone's own by default.
        stem: Channels of three 3×3 convolutions at half size that replace the backbone's 7×7 convolution; 0 keeps the
            7×7 convolution.
        attention: Channels of the attention module.
        decoder: Channels of the decoder at 1/16, 1/8 and 1/4.
        dropout: Drop probability before the classifier.
        downscale: The input is reduced by this factor inside the network. The exported result still has the size of the
            input.
        fine: Whether the network predicts the 19 fine classes of Cityscapes instead of the four classes. The exported
            result is always that of the four classes.
        normalization: Mean and standard deviation by which the input is normalized; those of the backbone's
            classifier, if it starts from one.
    """

    backbone: str = "efficientnet_lite0"
    layers: tuple[int, int, int, int] | None = None
    channels: tuple[int, int, int, int] | None = None
    stem: int = 0
    attention: int = 128
    decoder: tuple[int, int, int] = (96, 64, 40)
    dropout: float = 0.1
    downscale: int = 1
    fine: bool = True
    normalization: tuple[float, float] = (0.498, 0.502)

    def __post_init__(self) -> None:
        if self.downscale < 1:
            raise SacValueError(f"downscale {self.downscale} must be at least 1", "ModelSpec")

    def to_dict(self) -> dict[str, object]:
        """The spec as plain values, for JSON and checkpoints."""
        return asdict(self)


#: Networks by name: the default network, and the paper's ResNet-101 (Sec. IV.A). ccnet-efficientnet is the former name
#: of ccnet-lite's architecture.
MODELS: Mapping[str, ModelSpec] = MappingProxyType(
    {
        "ccnet-lite": ModelSpec(),
        "ccnet-resnet101": ModelSpec(
            backbone="resnet101", attention=512, decoder=(512, 256, 128), fine=False, normalization=(0.45, 0.225)
        ),
        "ccnet-efficientnet": ModelSpec(),
    }
)


class Loss(StrEnum):
    """Training losses."""

    BCE_DICE = "bce-dice"
    CE_DICE = "ce-dice"


class Schedule(StrEnum):
    """Learning-rate schedules."""

    CONSTANT = "constant"
    ONE_CYCLE = "one-cycle"


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """All settings of a training run; stored in its checkpoints and in the model card.

    Attributes:
        data: Training sets, KIND:ROOT[:SPLIT[:WEIGHT]]; repeat the option for several.
        validation: Validation sets. best.pt is the epoch with the best mIoU on them, so do not report figures on these
            sets.
        epochs: Passes over the data (paper: 47).
        batch: Images per step (paper: 4).
        learning_rate: Step size of Adam (paper: 3e-4); with one-cycle, its peak.
        betas: Decay rates of Adam.
        weight_decay: Decoupled weight decay (AdamW).
        loss: bce-dice is the paper's; ce-dice treats the classes as exclusive and converges faster.
        schedule: constant is the paper's; one-cycle warms up, then falls to zero along a cosine.
        crop: Height and width of a training view, multiples of 16 and at least 64.
        ema: Decay per step of a moving average of the weights, such as 0.998. The average is validated and exported. 0
            is off.
        aux_weight: Weight of the auxiliary head's loss.
        class_weights: Loss weights of ROI, construction, nature and sky. A higher weight of ROI makes the ROI larger.
        block_weight: Weight of a second loss on macroblocks, each of which is ROI if any of its pixels is. It helps to
            find poles and signs, which hardly affect a loss on pixels. 0 is the paper's recipe. See `losses.block_bce`.
        block_recall: Weight of a missed ROI macroblock in that loss, relative to a falsely predicted one.
        fine_weight: Weight of the cross-entropy of the fine classes, for a network that predicts them.
        rarity: Exponent by which rare labels weigh more in that loss: 0 weighs every pixel equally, 1 every label. The
            weights are limited to 0.5 to 5.
        smooth_weight: Weight of differences of the ROI probability inside areas of one class. It keeps the mask from
            being dithered. See `losses.roughness`.
        bf16: Compute in bfloat16 where it is safe. This is faster if the processor supports it.
        seed: Seed of weights, order and augmentation. The same seed on the same machine repeats the run.
        augmentation: Strength of the augmentation.
        model: Architecture of the network.
        start: Start from this best.pt instead of random weights, to fine-tune on your own recordings or to continue
            with other settings.
        backbone_weights: Initialise the backbone from this state dict of a classifier with the same backbone, for
            example one trained on ImageNet; see `model.load_backbone`.
    """

    data: tuple[str, ...]
    validation: tuple[str, ...] = ()
    epochs: int = 47
    batch: int = 4
    learning_rate: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-5
    loss: Loss = Loss.BCE_DICE
    schedule: Schedule = Schedule.CONSTANT
    crop: tuple[int, int] = (320, 448)
    ema: float = 0.0
    aux_weight: float = 0.4
    class_weights: tuple[float, float, float, float] | None = None
    block_weight: float = 0.0
    block_recall: float = 4.0
    fine_weight: float = 1.0
    rarity: float = 0.0
    smooth_weight: float = 0.0
    bf16: bool = False
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)
    model: ModelSpec = MODELS["ccnet-lite"]
    start: str | None = None
    backbone_weights: str | None = None

    def __post_init__(self) -> None:
        if not self.data:
            raise SacValueError("no training data given", "TrainSettings")
        if self.epochs < 1 or self.batch < 1:
            raise SacValueError(f"epochs {self.epochs} and batch {self.batch} must be at least 1", "TrainSettings")
        step = STRIDE * self.model.downscale
        # With fewer than two cells per side at 1/32, a batch of one has a single value per channel, which batch
        # normalisation does not accept.
        if any(side % step or side < 4 * step for side in self.crop):
            raise SacValueError(f"crop {self.crop} must be multiples of {step} from {4 * step}", "TrainSettings")
        if not 0 <= self.ema < 1:
            raise SacValueError(f"ema {self.ema} is outside of [0, 1)", "TrainSettings")
        if not 0 < self.learning_rate < math.inf or not 0 <= self.weight_decay < math.inf:
            message = f"learning_rate {self.learning_rate} must be above 0, weight_decay {self.weight_decay} at least 0"
            raise SacValueError(message, "TrainSettings")
        if not 0 <= self.block_weight < math.inf or not 0 < self.block_recall < math.inf:
            message = f"block_weight {self.block_weight} must be at least 0, block_recall {self.block_recall} above 0"
            raise SacValueError(message, "TrainSettings")
        for name in ("fine_weight", "rarity", "smooth_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise SacValueError(f"{name} {getattr(self, name)} must be at least 0", "TrainSettings")
        if self.start is not None and self.backbone_weights is not None:
            raise SacValueError("start and backbone_weights both say what to start from; give one", "TrainSettings")
        if self.class_weights is not None and not all(0 <= w < math.inf for w in self.class_weights):
            raise SacValueError(f"class_weights {self.class_weights} must not be negative", "TrainSettings")

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values."""
        return asdict(self)

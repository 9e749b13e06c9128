"""What an encode did, as plain objects."""

from dataclasses import asdict, dataclass
from pathlib import Path

from ..container.info import SacInfo
from .rate_control import RateTrial

__all__ = ["EncodeResult", "UniformResult"]


@dataclass(frozen=True)
class EncodeResult:
    """What `encode` did.

    Attributes:
        info: What the file says about itself.
        bytes: Bytes by track, of audio, and of the file.
        roi_share: Share of macroblocks that are ROI, 0–1.
        encoder: Which encoder ran.
        trials: The encodes made to reach a size, in order; the file is the closest. Empty where CRFs were given.
    """

    info: SacInfo
    bytes: dict[str, int]
    roi_share: float
    encoder: str
    trials: tuple[RateTrial, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """The result as plain values, for JSON."""
        tags = {key.removeprefix("SAC_").lower(): value for key, value in self.info.tags().items()}
        rate = self.bytes["file"] * 8 * float(self.info.fps) / self.info.frames / 1000
        trials = {"trials": [asdict(trial) for trial in self.trials]} if self.trials else {}
        return {"output": str(self.info.path), **tags, "encoder": self.encoder, "roi_share": self.roi_share,
                "bytes": self.bytes, "bitrate_kbps": rate, **trials}  # fmt: skip


@dataclass(frozen=True)
class UniformResult:
    """What `encode_uniform` did.

    Attributes:
        path: The file.
        crf: CRF of all of it.
        frames: Its length.
        bytes: What the file weighs.
        encoder: Which encoder ran.
    """

    path: Path
    crf: float
    frames: int
    bytes: int
    encoder: str

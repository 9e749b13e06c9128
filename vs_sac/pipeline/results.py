"""Results of an encode as plain objects."""

from dataclasses import asdict, dataclass
from pathlib import Path

from ..container.info import SacInfo
from .rate_control import RateTrial

__all__ = ["EncodeResult", "UniformResult"]


@dataclass(frozen=True)
class EncodeResult:
    """Result of `encode`.

    Attributes:
        info: Contents of the file's tags.
        bytes: Bytes of each track, of the audio and of the file, by name. With a `mask_file` also that file's, as
            ``mask_file``.
        roi_share: Share of the macroblocks that are ROI, 0–1.
        encoder: Name of the encoder.
        trials: Encodes of the search for a size, in order. The file is the closest one. Empty if CRFs were given.
        damage: What is damaged in the source; empty if nothing is.
        mask_file: The file that holds the mask if the output is an MP4; None if the output holds it.
    """

    info: SacInfo
    bytes: dict[str, int]
    roi_share: float
    encoder: str
    trials: tuple[RateTrial, ...] = ()
    damage: str = ""
    mask_file: Path | None = None

    def to_dict(self) -> dict[str, object]:
        """The result as plain values, for JSON."""
        tags = {key.removeprefix("SAC_").lower(): value for key, value in self.info.tags().items()}
        rate = self.bytes["file"] * 8 * float(self.info.fps) / self.info.frames / 1000
        trials = {"trials": [asdict(trial) for trial in self.trials]} if self.trials else {}
        masks = {"mask_file": str(self.mask_file)} if self.mask_file else {}
        return {"output": str(self.info.path), **masks, **tags, "encoder": self.encoder, "roi_share": self.roi_share,
                "bytes": self.bytes, "bitrate_kbps": rate, **trials,
                **({"damage": self.damage} if self.damage else {})}  # fmt: skip


@dataclass(frozen=True)
class UniformResult:
    """Result of `encode_uniform`.

    Attributes:
        path: The file.
        crf: CRF of the whole picture.
        frames: Number of frames.
        bytes: Size of the file.
        encoder: Name of the encoder.
    """

    path: Path
    crf: float
    frames: int
    bytes: int
    encoder: str

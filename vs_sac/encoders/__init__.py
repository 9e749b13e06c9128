"""Encoders as command lines, the ROI worker that applies QP offsets, and finding installed programs."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:
    from .base import DEFAULT_CRF, PRESETS, Encoder, EncoderSettings, PictureFormat, pace_args, parse_args
    from .ffmpeg import FfmpegEncoder, ffv1_command
    from .native import NativeX264, NativeX265
    from .registry import find_encoder, find_ffmpeg, find_mkvmerge, plain_encoder
    from .roi import RoiEncoder
    from .worker_pool import WorkerPool

__all__ = [
    "DEFAULT_CRF",
    "PRESETS",
    "Encoder",
    "EncoderSettings",
    "FfmpegEncoder",
    "NativeX264",
    "NativeX265",
    "PictureFormat",
    "RoiEncoder",
    "WorkerPool",
    "ffv1_command",
    "find_encoder",
    "find_ffmpeg",
    "find_mkvmerge",
    "pace_args",
    "parse_args",
    "plain_encoder",
]

_BASE = ("DEFAULT_CRF", "PRESETS", "Encoder", "EncoderSettings", "PictureFormat", "pace_args", "parse_args")

# Names are imported on first use, because the ROI worker imports this package and must load in milliseconds.
__getattr__ = lazy_names(
    __name__,
    {
        **dict.fromkeys(_BASE, "base"),
        **dict.fromkeys(("FfmpegEncoder", "ffv1_command"), "ffmpeg"),
        **dict.fromkeys(("NativeX264", "NativeX265"), "native"),
        **dict.fromkeys(("find_encoder", "find_ffmpeg", "find_mkvmerge", "plain_encoder"), "registry"),
        "RoiEncoder": "roi",
        "WorkerPool": "worker_pool",
    },
)

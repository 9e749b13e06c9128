"""OpenVINO in the VapourSynth plugin ``ov`` (pip package vapoursynth-mlrt-ov)."""

from .base import PluginRuntime

__all__ = ["OV"]

OV = PluginRuntime("ov", device="CPU")

"""onnxruntime in the VapourSynth plugin ``ort`` (pip package vapoursynth-mlrt-ort)."""

from .base import PluginRuntime

__all__ = ["ORT"]

ORT = PluginRuntime("ort", provider="CPU")

"""Parameters that several commands share, so that they have the same names and types everywhere."""

from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from ..core.choices import Caution
from ..core.labels import LabelSet
from ..segmentation.runtimes import Backend

__all__ = [
           "FILES",
           "MASKS",
           "RATE",
           "SPEED",
           "STREAMS",
           "BackendName",
           "CautionName",
           "Force",
           "Fps",
           "JsonFile",
           "LabelSetName",
           "MaskFile",
           "ModelName",
           "Output",
           "Sets",
           "Switch",
           "Threshold",
]  # fmt: skip

RATE = Group("Rate and quality")
STREAMS = Group("Encoder and streams")
MASKS = Group("Region of interest (ROI)")
SPEED = Group("Speed and resume")
FILES = Group("Files")

Output = Annotated[Path, Parameter(name=("-o", "--output"), group=FILES)]
Force = Annotated[bool, Parameter(negative="", group=FILES)]
# Without the negative option that cyclopts would add.
Sets = Annotated[list[str], Parameter(negative="")]
Switch = Annotated[bool, Parameter(negative="")]
JsonFile = Annotated[Path | None, Parameter(name="--json", group=FILES)]
ModelName = Annotated[str, Parameter(group=MASKS)]
Threshold = Annotated[float | None, Parameter(group=MASKS)]
CautionName = Annotated[Caution | None, Parameter(group=MASKS)]
BackendName = Annotated[Backend, Parameter(group=MASKS)]
MaskFile = Annotated[Path | None, Parameter(group=MASKS)]
LabelSetName = Annotated[LabelSet | None, Parameter(group=MASKS)]
Fps = Annotated[str | None, Parameter(group=FILES)]

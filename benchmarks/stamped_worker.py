"""`vs_sac/encoders/roi_worker.py` with a record of the time at which each packet leaves the encoder, for `speed.py`.

For every packet it appends a line to the file ``$STAMPS.PID``: the number of the frame and the monotonic clock in
seconds.
"""

import importlib.util
import os
import sys
import time
from pathlib import Path
from types import ModuleType


def load() -> ModuleType:
    """Load the worker by its path, as `vs-sac encode` runs it."""
    path = Path(__file__).parents[1] / "vs_sac" / "encoders" / "roi_worker.py"
    spec = importlib.util.spec_from_file_location("roi_worker", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    worker = load()
    if "STAMPS" in os.environ:
        out = Path(f"{os.environ['STAMPS']}.{os.getpid()}")
        mux, encode = worker.RoiWriter.mux, worker._encode

        def noted(self, packets):  # type: ignore[no-untyped-def]
            now = time.monotonic()
            with out.open("a") as notes:
                notes.writelines(f"{packet.pts} {now}\n" for packet in packets)
            mux(self, packets)

        def stamped(*job):  # type: ignore[no-untyped-def]
            # Only the frames of the encode, not those of the encoder check before it.
            worker.RoiWriter.mux = noted
            encode(*job)

        worker._encode = stamped
    sys.exit(worker.main())

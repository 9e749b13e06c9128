"""Run every method on every clip: in parallel and resumable. The failure of one run does not stop the others."""

import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from typing import Any

from ..core.errors import SacError, SacWarning, error_of_filter
from ..core.processes import kill_all
from ..segmentation.registry import find_model
from .footage import Footage
from .judging import find_judges
from .method_run import MethodRun, PreparedClip, Settings
from .methods import Method
from .provenance import file_sha256
from .store import Store

__all__ = ["JOBS", "Failure", "Study", "compare"]

#: Number of encodes that run at the same time. Each encoder has threads of its own; a second encoder uses the cores
#: that the first leaves idle.
JOBS = 2

#: Time for preparing a clip, in units of one x264 encode.
_PREPARING = 1.0

#: Called with the share of the whole study that is done, 0–1, and a description of the current step.
type OnStep = Callable[[float, str], None]


@dataclass(frozen=True)
class Failure:
    """A clip or a method that failed.

    Attributes:
        clip: Name of the footage.
        method: Label of the method; None if the footage itself could not be used.
        message: Reason of the failure.
    """

    clip: str
    method: str | None
    message: str


@dataclass
class Study:
    """Results of a comparison.

    Attributes:
        results: One object per clip and method, as in the store, in the order of the plan.
        failures: Clips and methods that failed.
        prepared_clips: Clips that could be used.
    """

    results: list[dict[str, Any]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    prepared_clips: list[PreparedClip] = field(default_factory=list)

    def clips(self) -> list[str]:
        """Names of the clips that have results, in order."""
        return list(dict.fromkeys(result["clip"]["name"] for result in self.results))

    def of(self, clip: str, slug: str) -> dict[str, Any] | None:
        """The result of a method on a clip; None if there is none."""
        return next((r for r in self.results if r["clip"]["name"] == clip and r["method"]["slug"] == slug), None)


class _Meter:
    """Adds up the progress of the threads. It never decreases. It also stops the threads if the user interrupts."""

    def __init__(self, total: float, progress: OnStep | None) -> None:
        self._total, self._progress = total, progress
        self._parts: dict[Any, float] = {}
        self._lock = threading.Lock()
        self.stop = threading.Event()

    def part(self, key: Any, weight: float, text: str) -> Callable[[float], None]:
        """The callback of one task, which calls it with its share done."""

        def update(share: float) -> None:
            if self.stop.is_set():
                raise KeyboardInterrupt
            with self._lock:
                self._parts[key] = max(self._parts.get(key, 0.0), min(share, 1.0) * weight)
                done = sum(self._parts.values())
            if self._progress:
                self._progress(done / self._total, text)

        return update


def compare(
    footage: Sequence[Footage],
    methods: Iterable[Method],
    settings: Settings,
    store: Store,
    *,
    jobs: int = JOBS,
    finished: bool = False,
    progress: OnStep | None = None,
) -> Study:
    """Run every method on every clip.

    Uniform encodes run first, because other methods have to match the bytes of some of them. Results that are in the
    store are not computed again. If a clip or a method fails, the failure is reported and the others continue.

    Args:
        footage: The clips. Clips with equal names are renamed.
        methods: Methods to run. Uniform encodes that they need as baselines are added.
        settings: Settings of all runs.
        store: Store for the results.
        jobs: Number of encodes at the same time.
        finished: Only load results from the store. A missing result counts as a failure.
        progress: See `OnStep`.

    Raises:
        KeyboardInterrupt: The user interrupted. Finished results are kept.
        SacError: A judge cannot be used.

    Warns:
        SacWarning: A judge is the network that makes the masks or maps.
    """
    plan = _with_baselines(methods)
    _check_judges(settings, plan)
    names = [item.name for item in footage]
    if len(set(names)) < len(names):
        footage = [_renamed(item, n) if names.count(item.name) > 1 else item for n, item in enumerate(footage, 1)]
    meter = _Meter(len(footage) * (_PREPARING + sum(method.effort for method in plan)), progress)
    study = Study()
    results: dict[tuple[str, str], dict[str, Any]] = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            preparing: dict[Future[Any], tuple[str, str | None]] = {}
            for item in footage:
                part = meter.part(item.name, _PREPARING, f"{item.name}: masks")
                preparing[pool.submit(PreparedClip, item, settings, store, part)] = (item.name, None)
            order = [item.name for item in footage]
            clips: Iterable[PreparedClip] = _collect(study, preparing).values()
            study.prepared_clips = sorted(clips, key=lambda prepared: order.index(prepared.footage.name))
            for uniform in (True, False):
                waiting: dict[Future[Any], tuple[str, str | None]] = {}
                # The longest encodes run first, so that no single encode is left running alone at the end.
                for method in sorted((m for m in plan if m.uniform is uniform), key=lambda m: -m.effort):
                    for prepared in study.prepared_clips:
                        clip = prepared.footage.name
                        target = None
                        if method.match_crf is not None:
                            baseline = results.get((clip, method.baseline.slug))
                            if baseline is None:
                                # The target size is unknown. The reason has already been reported.
                                continue
                            target = baseline["bytes"]["total"]
                        part = meter.part((clip, method), method.effort, f"{clip}: {method.label}")
                        trial = MethodRun(prepared, method, target)
                        waiting[pool.submit(_run, trial, store, part, finished)] = (clip, method.label)
                for result in _collect(study, waiting).values():
                    results[result["clip"]["name"], result["method"]["slug"]] = result
        except BaseException:
            meter.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            # A busy encoder may not request its next frame for a long time.
            kill_all()
            pool.shutdown(cancel_futures=True)
            raise
    study.results = [
        results[prepared.footage.name, method.slug]
        for prepared in study.prepared_clips for method in plan if (prepared.footage.name, method.slug) in results
    ]  # fmt: skip
    return study


def _check_judges(settings: Settings, plan: Sequence[Method]) -> None:
    """Refuse judges that cannot judge, and warn of those that judge their own masks or maps."""
    if not settings.judges:
        return
    makers = {file_sha256(find_model(name).path) for method in plan for name in settings.networks_of(method)}
    for model in find_judges(settings.judges):
        if file_sha256(model.path) in makers:
            message = (f"the judge {model.name} is the network that makes the masks or maps, so its scores favour them;"
                       " an independent network tells more")  # fmt: skip
            warnings.warn(message, SacWarning, stacklevel=3)


def _run(trial: MethodRun, store: Store, part: Callable[[float], None], finished: bool) -> dict[str, Any]:
    part(0.0)
    if finished and store.load(trial.name, trial.key) is None:
        raise SacError("not run yet", "compare")
    result = trial.run(store, part)
    part(1.0)
    return result


def _collect(study: Study, waiting: dict[Future[Any], tuple[str, str | None]]) -> dict[Future[Any], Any]:
    """The results of the tasks. Failures are added to the study."""
    done = {}
    for future in as_completed(waiting):
        try:
            done[future] = future.result()
        except KeyboardInterrupt:
            raise
        except Exception as error:
            # VapourSynth raises errors of its filters, at any frame, as an exception type of its own.
            if not isinstance(error, SacError | OSError) and not type(error).__module__.startswith("vapoursynth"):
                raise
            clip, method = waiting[future]
            said = str(error_of_filter(error) or error)
            study.failures.append(Failure(clip, method, " ".join(said.split())))
    return done


def _with_baselines(methods: Iterable[Method]) -> list[Method]:
    plan = list(dict.fromkeys(methods))
    return list(dict.fromkeys([*plan, *(m.baseline for m in plan)]))


def _renamed(item: Footage, number: int) -> Footage:
    return replace(item, name=f"{item.name}-{number}")

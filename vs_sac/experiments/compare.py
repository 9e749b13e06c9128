"""Every clip by every method: in parallel, resumable, and without one failure taking the others along."""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from typing import Any

from ..core.errors import SacError, error_of_filter
from ..core.processes import kill_all
from .footage import Footage
from .method_run import MethodRun, PreparedClip, Settings
from .methods import Method
from .store import Store

__all__ = ["JOBS", "Failure", "Study", "compare"]

#: Encodes that run at the same time. Each encoder has threads of its own; two fill what one leaves idle.
JOBS = 2

#: Share of a clip's time that making it ready takes, in encodes by x264.
_PREPARING = 1.0

#: Called with the share of everything that is done, 0–1, and what is going on.
type OnStep = Callable[[float, str], None]


@dataclass(frozen=True)
class Failure:
    """What did not work.

    Attributes:
        clip: Name of the footage.
        method: Label of the method; None where the footage itself could not be used.
        message: Why.
    """

    clip: str
    method: str | None
    message: str


@dataclass
class Study:
    """What came out.

    Attributes:
        results: One object per clip and method, as in the store, in the order of the plan.
        failures: What did not work.
        prepared_clips: The clips that could be used.
    """

    results: list[dict[str, Any]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    prepared_clips: list[PreparedClip] = field(default_factory=list)

    def clips(self) -> list[str]:
        """Names of the clips with results, in order."""
        return list(dict.fromkeys(result["clip"]["name"] for result in self.results))

    def of(self, clip: str, slug: str) -> dict[str, Any] | None:
        """The result of a method on a clip."""
        return next((r for r in self.results if r["clip"]["name"] == clip and r["method"]["slug"] == slug), None)


class _Meter:
    """Adds up what threads report, never falls back, and stops them where the user interrupts."""

    def __init__(self, total: float, progress: OnStep | None) -> None:
        self._total, self._progress = total, progress
        self._parts: dict[Any, float] = {}
        self._lock = threading.Lock()
        self.stop = threading.Event()

    def part(self, key: Any, weight: float, text: str) -> Callable[[float], None]:
        """What a job calls with its share done."""

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

    Uniform encodes come first, as the bytes of some are what others have to match. What is in the store is not made
    again. A clip or a method that fails is reported, and the rest goes on.

    Args:
        footage: The clips; names must differ.
        methods: What to run; the uniform encodes that it takes as baselines are added.
        settings: How.
        store: Where results go.
        jobs: Encodes at the same time.
        finished: Take what is in the store and make nothing; what is missing counts as failed.
        progress: See `OnStep`.

    Raises:
        KeyboardInterrupt: The user's; everything finished is kept.
    """
    plan = _with_baselines(methods)
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
                # The longest first, so that no core is left alone with one at the end.
                for method in sorted((m for m in plan if m.uniform is uniform), key=lambda m: -m.effort):
                    for prepared in study.prepared_clips:
                        clip = prepared.footage.name
                        target = None
                        if method.match_crf is not None:
                            baseline = results.get((clip, method.baseline.slug))
                            if baseline is None:
                                # What it should weigh is not known; why is reported already.
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
            # A busy encoder may not ask for the next frame for long.
            kill_all()
            pool.shutdown(cancel_futures=True)
            raise
    study.results = [
        results[prepared.footage.name, method.slug]
        for prepared in study.prepared_clips for method in plan if (prepared.footage.name, method.slug) in results
    ]  # fmt: skip
    return study


def _run(trial: MethodRun, store: Store, part: Callable[[float], None], finished: bool) -> dict[str, Any]:
    part(0.0)
    if finished and store.load(trial.name, trial.key) is None:
        raise SacError("not run yet", "compare")
    result = trial.run(store, part)
    part(1.0)
    return result


def _collect(study: Study, waiting: dict[Future[Any], tuple[str, str | None]]) -> dict[Future[Any], Any]:
    """What the jobs gave; failures go to the study."""
    done = {}
    for future in as_completed(waiting):
        try:
            done[future] = future.result()
        except KeyboardInterrupt:
            raise
        except Exception as error:
            # VapourSynth reports errors of its filters, at any frame, as its own kind.
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

"""Former name of `vs_sac.training`; works with a DeprecationWarning."""

import sys
import warnings
from importlib import import_module

from .. import training
from ..training import *  # noqa: F403
from ..training import __all__ as __all__

warnings.warn("vs_sac.nn is deprecated; use vs_sac.training", DeprecationWarning, stacklevel=2)

_MODULES = ("attention", "augment", "evaluate", "export", "losses", "model", "quantize")
for _old, _new in {**{name: name for name in _MODULES}, "datasets": "data", "train": "loop"}.items():
    _module = import_module(f".{_new}", training.__name__)
    sys.modules[f"{__name__}.{_old}"] = _module
    if _old not in __all__:
        globals()[_old] = _module

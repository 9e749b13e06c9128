"""onnxruntime's Python package: the only module that imports it and opens its sessions.

The package `vs_sac` itself switches its telemetry off, in the environment and so for every worker too, because the
library reads the switch once, when it is loaded.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import SacFileError, SacMissingError

__all__ = ["load_onnxruntime", "open_session"]


def load_onnxruntime(func: str) -> ModuleType:
    """The module, with its telemetry off even where something else loaded it before this package.

    Raises:
        SacMissingError: It is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise SacMissingError("onnxruntime is not installed: pip install onnxruntime", func) from None
    onnxruntime.disable_telemetry_events()
    return onnxruntime  # type: ignore[no-any-return]


def open_session(
    path: Path,
    func: str,
    *,
    provider: str = "CPUExecutionProvider",
    threads: int = 0,
    config: dict[str, str] | None = None,
    content: bytes | None = None,
    quiet: bool = False,
) -> Any:
    """Load a network.

    Args:
        path: ONNX file.
        func: The function that asks, for messages.
        provider: Name of the execution provider.
        threads: Threads of one run; 0 leaves the number to onnxruntime.
        config: Entries of the session's configuration.
        content: A changed content of the file, which is loaded instead. External weights are looked up beside the file.
        quiet: Whether onnxruntime prints nothing on standard error; its exceptions say the same.

    Returns:
        An onnxruntime session.

    Raises:
        SacFileError: onnxruntime cannot use the file.
        SacMissingError: onnxruntime is not installed, or without this provider.
    """
    onnxruntime = load_onnxruntime(func)
    if provider not in onnxruntime.get_available_providers():
        raise SacMissingError(f"onnxruntime has no {provider} here: pip install onnxruntime-gpu", func)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    if quiet:
        options.log_severity_level = 4
    beside = {"session.model_external_initializers_file_folder_path": str(path.resolve().parent)} if content else {}
    for key, value in {**beside, **(config or {})}.items():
        options.add_session_config_entry(key, value)
    try:
        return onnxruntime.InferenceSession(content or str(path.resolve()), options, providers=[provider])
    except Exception as error:  # onnxruntime has no common base for its errors
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SacFileError(f"cannot use model {path}: {reason}", func) from error

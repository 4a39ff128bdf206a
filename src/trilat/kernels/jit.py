"""The one way kernels are compiled: numba, cached on disk, one stamp for all kernel sources, no fastmath, no threads.

numba stamps a cached function by its own file only, so a change in a function it calls from another file would go
unseen and stale machine code would run. Here every cached kernel carries the hash of all kernel sources instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba


@cache
def sources_stamp() -> tuple[str, int]:
    """Return a digest of the engine's files and their number: the stamp of all its cached kernels.

    The ASTERIX walker calls nothing here and nothing here calls it, so its files are left out.
    """
    digest = hashlib.sha256()
    files = sorted(file for file in Path(__file__).parent.glob("*.py") if not file.name.startswith("asterix"))
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest(), len(files)


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that only other kernels call: no Python wrapper is made, which halves the time to compile."""
    return _compiled(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def entry(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that Python calls; later processes load it from the cache."""
    return _compiled(function)


def _compiled(function: Callable[..., Any], **options: bool) -> Callable[..., Any]:
    """Compile lazily with the engine's own stamp on the cache file."""
    compiled: Any = numba.njit(cache=True, error_model="numpy", **options)(function)
    cache_file = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if cache_file is not None:
        cache_file._source_stamp = sources_stamp()  # noqa: SLF001 - numba offers no public way to widen its stamp
    typed: Callable[..., Any] = compiled
    return typed

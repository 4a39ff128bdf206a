"""The one way the engine's kernels are compiled: numba, cached on disk, no fastmath, no threads.

numba stamps a cached function by its own file only, so a change in a function it calls from another file would go
unseen and stale machine code would run. Here every cached kernel carries the hash of its file and of all it imports.
"""

from __future__ import annotations

import gc
import hashlib
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any


@contextmanager
def _lightly() -> Iterator[None]:
    """Keep an import from what makes it slow and is of no use here, a third of the time to the first plot.

    numba loads scipy.linalg so as to offer matrix products, which no kernel uses; without it numba offers none. The garbage
    collector finds none in modules that are just being made.
    """
    collecting, hidden = gc.isenabled(), "scipy.linalg" not in sys.modules
    gc.disable()
    if hidden:
        sys.modules["scipy.linalg"] = None  # type: ignore[assignment]  # the language's way to say that there is no such module
    try:
        yield
    finally:
        if hidden:
            del sys.modules["scipy.linalg"]
        if collecting:
            gc.enable()


with _lightly():
    import numba
    import numba.np.arraymath

_IMPORT = re.compile(r"^from trilat\.kernels\.(\w+) import|^from trilat\.kernels import (\w+)", re.MULTILINE)


@cache
def _needs(name: str) -> frozenset[str]:
    """Return the kernel modules that a module imports, directly."""
    source = Path(__file__).with_name(f"{name}.py").read_text("utf-8")
    return frozenset(a or b for a, b in _IMPORT.findall(source))


@cache
def sources_stamp(name: str) -> tuple[str, int]:
    """Return a digest of a kernel module and of every kernel module it reaches, and their number: its cache stamp."""
    reached, ahead = {name}, [name]
    while ahead:
        new = _needs(ahead.pop()) - reached
        reached |= new
        ahead.extend(new)
    digest = hashlib.sha256()
    for module in sorted(reached):
        digest.update(module.encode() + b"\0" + Path(__file__).with_name(f"{module}.py").read_bytes())
    return digest.hexdigest(), len(reached)


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that only other kernels call: no Python wrapper is made, which saves much of the time to compile."""
    return _compiled(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def leaf(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a kernel that makes no array: what it is given stays its callers', so that nothing need be counted.

    Counting references takes locked instructions, a tenth of the engine's time. numba refuses a leaf that makes an array.
    """
    return _compiled(function, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False)


def entry(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that Python calls; later processes load it from the cache."""
    return _compiled(function)


def _compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Compile lazily, with the engine's own stamp on the cache file."""
    compiled: Any = numba.njit(cache=True, error_model="numpy", **options)(function)
    cache_file = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if cache_file is not None:
        stamp = sources_stamp(function.__module__.rpartition(".")[2])
        cache_file._source_stamp = stamp  # noqa: SLF001 - numba has no public way
        # Compared before an index is unpickled: an old one may name a class that has gone, and would raise.
        cache_file._version = f"{cache_file._version}+{stamp[0]}"  # noqa: SLF001 - as above
    typed: Callable[..., Any] = compiled
    return typed

"""Import every module of ours once, so that each module of others that a node, a command or a test may import stands compiled.

`make setup` runs it beside what compiles the kernels and the page: the first start of a node would else compile on one core.
"""

from __future__ import annotations

import importlib
import pkgutil

import trilat


def main() -> None:
    """Import them; a module that cannot be imported is a fault, and ends with its traceback."""
    for module in pkgutil.walk_packages(trilat.__path__, "trilat."):
        importlib.import_module(module.name)


if __name__ == "__main__":
    main()

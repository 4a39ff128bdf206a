"""Sizes: small is a rule, and the list of exceptions is empty."""

from __future__ import annotations

from tree import PAGE, SRC, files, functions_of, listed, name_of, python_files

FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 400
STAGE_MODULES_MAX = 10
# Ground and feeds grow by one file a record, a kernel, a format; the command line by one a command; node is no stage, it has
# a module for each part of composing them (docs/decisions/0002).
STAGE_MODULES_MAX_OF = {"records": 25, "kernels": 25, "feeds": 25, "cli": 40, "node": 20}
# Names of functions ("src/trilat/x.py:function") and files that are larger. It is empty, and may only shrink.
EXCEPTIONS: frozenset[str] = frozenset()

FOLDERS = ("src", "tests", "benchmarks", "tools", "examples", "hatch_build.py")


def test_functions_are_small() -> None:
    """No function is longer than 70 lines, counted from `def` to its last line."""
    long = [
        f"{name_of(path)}:{function.lineno} {function.name} has {length} lines, at most {FUNCTION_LINES_MAX}: split it"
        for path in python_files(*FOLDERS)
        for function in functions_of(path)
        if (length := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES_MAX
        and f"{name_of(path)}:{function.name}" not in EXCEPTIONS
    ]
    assert [] == long, listed(long)


def test_modules_are_small() -> None:
    """No module, Python or TypeScript, is longer than 400 lines."""
    sources = [
        *python_files(*FOLDERS),
        *(p for p in files() if p.suffix in {".ts", ".tsx", ".css", ".mjs"} and PAGE in p.parents),
    ]
    long = [
        f"{name_of(path)} has {length} lines, at most {MODULE_LINES_MAX}: make it two modules"
        for path in sources
        if (length := len(path.read_text("utf-8").splitlines())) > MODULE_LINES_MAX and name_of(path) not in EXCEPTIONS
    ]
    assert [] == long, listed(long)


def test_stages_have_few_modules() -> None:
    """A stage has at most ten modules (records, kernels, feeds 25); one that needs more becomes two stages."""
    many = []
    for stage in sorted(path for path in SRC.iterdir() if path.is_dir()):
        modules = [path for path in python_files("src") if stage in path.parents and path.name != "__init__.py"]
        most = STAGE_MODULES_MAX_OF.get(stage.name, STAGE_MODULES_MAX)
        if len(modules) > most:
            many.append(f"{stage.name} has {len(modules)} modules, at most {most}: make it two stages")
    assert [] == many, listed(many)


def test_the_list_of_exceptions_is_empty() -> None:
    """The ratchet has reached its end: nothing is excepted from the sizes."""
    assert frozenset() == EXCEPTIONS

"""Edges: which files touch the outside, who makes a Released, and what a transport carries."""

from __future__ import annotations

import ast
import configparser
from collections.abc import Iterator
from pathlib import Path

from tree import ROOT, SRC, listed, module_of, name_of, python_files, syntax_of

# The starred files of DESIGN section 3, each with what it touches. `.importlinter` holds the same list; a new one needs a line
# in both, a reason here, and a reviewer who agrees.
STARRED = {
    "trilat.accounts.book": "the account book, a SQLite file of its own",
    "trilat.accounts.door": "login and logout over HTTP; verifies passwords in a thread",
    "trilat.exchange.drive": "asyncio and the one worker thread round the exchange's step",
    "trilat.identity.keyfiles": "key directories on disk, TLS contexts, fresh keys from the system's randomness",
    "trilat.identity.keystore": "private files, their passphrases, salts from the system's randomness",
    "trilat.ledger.explained": "why a track may go to whom, over HTTP",
    "trilat.ledger.recalling": "recalls over HTTP; waits until they are on disk",
    "trilat.ledger.served": "the ledger over HTTP; asks in a thread",
    "trilat.transport.line": "one connection of the NATS client",
    "trilat.transport.loopback": "asyncio time-outs of the transport within one process",
    "trilat.transport.nats": "the NATS client",
    "trilat.transport.natsconf": "names the error types of TLS and of the NATS client, to say why a connection failed",
    "trilat.transport.server": "the nats-server process",
    "trilat.simulation.network": "draws faults from a seeded generator",
    "trilat.exercise.demo": "a folder for the demo's nodes, Ctrl-C",
    "trilat.exercise.processes": "the demo's nodes as processes",
    "trilat.exercise.simulate": "sends the world's bytes to the nodes' sockets",
    "trilat.simulation.disk": "SQLite's files in memory (apsw), chance from a seed",
    "trilat.simulation.nations": "chance from a seed",
    "trilat.simulation.node": "chance from a seed",
    "trilat.simulation.recalls": "chance from a seed",
    "trilat.simulation.run": "chance from a seed",
    "trilat.simulation.schedule": "chance from a seed",
    "trilat.simulation.whole": "chance from a seed; a folder for the keys that it makes once",
    "trilat.feeds.sockets": "sockets of the feeds",
    "trilat.node.clock": "the only clock",
    "trilat.node.live": "the asyncio loop round the step",
    "trilat.node.process": "signals, the end with the parent process, the interpreter's settings",
    "trilat.picture.client": "a page without a person: connects to the page's WebSocket",
    "trilat.picture.guard": "parses addresses (urllib.parse), no more",
    "trilat.outputs.files": "writes public messages into a folder",
    "trilat.outputs.posts": "posts public messages over HTTP",
    "trilat.outputs.runner": "the outputs' receipts on disk, a task for each output",
    "trilat.node.outlets": "asyncio between the step, the store's worker and the outputs",
    "trilat.picture.web": "the page's server",
    "trilat.store.sqlite": "the database",
}
# These read (or make) files that an operator names, once, at the start; they touch nothing else of the outside.
FILE_READERS = {
    "trilat.node.config": "the configuration",
    "trilat.node.setup": "agreements",
    "trilat.store.wal": "a store's write-ahead log, before it is opened",
    "trilat.node.show": "places to draw",
    "trilat.exercise.provision": "makes the folders, keys and configurations of an exercise's nodes",
    "trilat.exercise.scenario": "scenarios",
}
FILE_CALLS = {
    *("open", "read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "unlink", "touch", "rename", "rmdir"),
    *("iterdir", "glob", "rglob"),
}


def contract_list() -> set[str]:
    """Return the starred modules as the contract has them, without the command line."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter", encoding="utf-8")
    lines = parser["importlinter:contract:edges"]["ignore_imports"].split("\n")
    modules = {line.split("->")[0].strip() for line in lines if "->" in line}
    return modules - {"trilat.cli", "trilat.cli.*"}


def test_the_starred_list_stands_twice() -> None:
    """The contract's list of files that touch the outside is the one with the reasons: it cannot grow silently."""
    assert set(STARRED) == contract_list()


def shipped_reads(tree: ast.AST) -> set[int]:
    """Return the lines of statements that read what ships with the package (`Path(__file__)`, importlib.resources)."""
    own = {"__file__", "resources", "files"}  # files: importlib.resources.files
    for node in ast.walk(tree):  # names such as TABLES = Path(__file__).with_name("tables")
        if isinstance(node, ast.Assign) and own & {each.id for each in ast.walk(node.value) if isinstance(each, ast.Name)}:
            own |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    lines: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt) or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        if names & own:
            lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def file_calls(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every call of a file that reads or writes files, but for those of what the package ships."""
    shipped = shipped_reads(syntax_of(path))
    for node in ast.walk(syntax_of(path)):
        if not isinstance(node, ast.Call) or node.lineno in shipped:
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name in FILE_CALLS and not (
            name == "open" and isinstance(function, ast.Attribute) and function_owner(function) != "path"
        ):
            yield node.lineno, name


def function_owner(function: ast.Attribute) -> str:
    """Return "path" when a method may be a path's: `x.open()` of our own objects (an inbox) is no file."""
    owner = ast.unparse(function.value).lower()
    return "path" if any(word in owner for word in ("path", "file", "folder", "directory")) else "other"


def test_only_starred_files_touch_files() -> None:
    """A stage reads and writes no file but what ships with the package: bytes are handed to it."""
    bad = [
        f"{name_of(path)}:{line} {call}: take the bytes or the text as an argument; who calls reads the file"
        for path in python_files("src")
        if not module_of(path).startswith("trilat.cli") and module_of(path) not in {*STARRED, *FILE_READERS}
        for line, call in file_calls(path)
    ]
    assert [] == bad, listed(bad)


def test_only_policy_makes_a_released() -> None:
    """`Released(...)` is called in policy alone; the rest of the product only carries it."""
    bad = [
        f"{name_of(path)}:{node.lineno}: only trilat.policy makes a Released: hand the record to policy's release"
        for path in python_files("src")
        if SRC / "policy" not in path.parents
        for node in ast.walk(syntax_of(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Released"
    ]
    assert [] == bad, listed(bad)


# What a Released holds: whoever reads these off a `released` opens it.
CONTENT = {"record", "label_hash", "supersede_key"}


def test_only_exchange_reads_a_released() -> None:
    """No stage but policy and exchange looks inside a Released; node hands it on unopened."""
    bad = [
        f"{name_of(path)}:{node.lineno} {ast.unparse(node)}: only exchange reads a Released; hand it on as it is"
        for path in python_files("src")
        if not {SRC / "policy", SRC / "exchange", SRC / "records"}.intersection(path.parents)
        for node in ast.walk(syntax_of(path))
        if isinstance(node, ast.Attribute) and node.attr in CONTENT and ast.unparse(node.value).split(".")[-1] == "released"
    ]
    assert [] == bad, listed(bad)


CARRIES = {"request", "wake", "send"}


def test_a_transport_carries_envelopes_only() -> None:
    """Every `request`, `wake` or `send` of a transport takes an `Envelope` first, never bytes."""
    bad = []
    seen = 0
    for path in python_files("src"):
        for node in ast.walk(syntax_of(path)):
            if not isinstance(node, ast.ClassDef) or not (node.name.endswith("Transport") or node.name == "Transport"):
                continue
            for method in node.body:
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and method.name in CARRIES:
                    seen += 1
                    given = method.args.args[1].annotation if len(method.args.args) > 1 else None
                    if given is None or ast.unparse(given) != "Envelope":
                        bad.append(f"{name_of(path)}:{method.lineno} {node.name}.{method.name} must take `envelope: Envelope`")
    assert [] == bad, listed(bad)
    assert seen > 0

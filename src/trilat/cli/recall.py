"""`trilat recall`: take back records that a partner got, as a release officer of a running node."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

TIMEOUT_S = 60.0
BYTES_MAX = 8 << 20  # ten thousand decisions are two million
NUMBERS_SHOWN = 20


@click.command()
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("partner")
@click.argument("lane")
@click.argument("numbers")
@click.option("--reason", required=True, help="Why. It goes to the partner with the recall, at most 200 characters.")
@click.option("--user", required=True, help="The account of a release officer. Its password is asked for, or read from stdin.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(config: Path, partner: str, lane: str, numbers: str, reason: str, user: str, *, as_json: bool) -> None:
    """Recall records from PARTNER: NUMBERS of LANE, as EPOCH.N[,N|N-M...] (1.5,7-9).

    The running node of CONFIG sends the partner a signed recall by the flash lane, and never sends these records again. PARTNER
    and LANE stand in `trilat links`, numbers in `trilat ledger held`. Prints how many records were recalled, how many of them the
    partner had receipted, and of which types. A recall cannot make anybody forget.
    """
    import msgspec

    told = ask(config, user, password_of(), {"partner": partner, "lane": lane, "numbers": numbers, "reason": reason})
    if as_json:
        click.echo(msgspec.json.encode(told))
        return
    for line in lines(told):
        click.echo(line)


def lines(told: dict[str, Any]) -> list[str]:
    """Return what is told of a recall, for people."""
    types = ", ".join(f"{n:,} {name}" for name, n in told["types"].items())
    out = [
        f"Recalled from {told['partner']}: {told['lane']} {told['numbers']}: {told['records']:,} records ({types}).",
        f"{told['receipted']:,} of them it had receipted, {told['sent']:,} were sent and are not receipted.",
    ]
    if told["unreceipted"]:
        more = " and more" if len(told["unreceipted"]) > NUMBERS_SHOWN else ""
        out[-1] = f"{out[-1][:-1]}: {', '.join(str(one) for one in told['unreceipted'][:NUMBERS_SHOWN])}{more}."
    if told["moved"]:
        moved = ", ".join(str(one) for one in told["moved"][:NUMBERS_SHOWN])
        out.append(f"Put into a later epoch, where they leave no more: {moved}.")
        out[-1] += " What the partner has taken there has other numbers: recall those, too."
    return out


def password_of() -> str:
    """Return the password that is typed, or the first line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def ask(config: Path, user: str, password: str, asked: dict[str, str]) -> dict[str, Any]:
    """Recall at the running node of a configuration; return its answer. Raises as `at_node`."""
    return at_node(config, user, password, "/api/recall", asked)


def at_node(config: Path, user: str, password: str, path: str, asked: dict[str, str] | None = None) -> dict[str, Any]:
    """Log in at the running node of a configuration, post what is asked (or get, where nothing is), log out; return its answer.

    Raises ConfigError (node-silent), AccountError for what the door refuses, PolicyError for what a recall is refused for.
    """
    import http.client

    from trilat.cli.links import address_of
    from trilat.errors import ConfigError

    host, port = address_of(config)
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    headers = {"content-type": "application/json", "origin": f"http://{f'[{host}]' if ':' in host else host}:{port}"}
    try:
        cookies = _post(connection, "/login", headers, {"user": user, "password": password})[1]
        inside = {**headers, "cookie": "; ".join(cookies)}
        try:
            told: dict[str, Any] = _post(connection, path, inside, asked)[0]
        finally:
            _post(connection, "/logout", inside, {})
    except (OSError, http.client.HTTPException) as error:
        raise ConfigError("node-silent", f"{host}:{port}: {error}.") from error
    finally:
        connection.close()
    return told


def _post(connection: Any, path: str, headers: dict[str, str], told: dict[str, str] | None) -> tuple[dict[str, Any], list[str]]:
    """Post JSON, or get; return the answer and the cookies that came with it; raises what the node refuses under its own name."""
    import msgspec

    body = None if told is None else msgspec.json.encode(told)
    connection.request("GET" if body is None else "POST", path, body, headers)
    answer = connection.getresponse()
    raw = answer.read(BYTES_MAX)
    cookies = [line.partition(";")[0] for line in answer.headers.get_all("set-cookie", ())]
    try:
        held = msgspec.json.decode(raw) if raw else {}
    except msgspec.DecodeError:
        held = {}
    if answer.status >= 400:
        _refused(path, answer.status, held)
    return held, cookies


def _refused(path: str, status: int, held: Any) -> None:
    from trilat.errors import AccountError, ConfigError, PolicyError, codes

    reason = str(held.get("reason", "")) if isinstance(held, dict) else ""
    entry = next((one for one in codes().values() if one["name"] == reason), None)
    if entry is None:
        raise ConfigError("node-silent", f"{path}: status {status}.")
    detail = str(held.get("text", "")).removeprefix(entry["says"]).removeprefix(f" {entry['remedy']}").strip()
    raise (PolicyError if reason.startswith("recall-") else AccountError)(reason, detail)

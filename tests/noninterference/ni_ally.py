"""USA beside KOR at JPN's exchange and desk: what it answers, refuses, loses and takes back, hidden from KOR.

In the base of a pair USA pulls as it should and says nothing. Here it acknowledges, takes its warnings back, recalls, pulls late,
loses answers, sends damaged and forged ones, comes back with an empty store, and asks for what never was.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
from exchange_pair import Joined
from node_worlds import MODE

from trilat.exchange.exchange import Exchange
from trilat.identity.sign import SigningKey
from trilat.node.inputs import Input, ReceivedInput
from trilat.node.pipeline import Pipeline
from trilat.policy.labels import make
from trilat.records import codec
from trilat.records.envelope import Envelope
from trilat.records.exchange import Cursor
from trilat.records.fields import Lane
from trilat.records.label import Label
from trilat.records.warning import Acknowledgement, Recall, Retraction, Warning
from trilat.transport import envelope as sealing
from trilat.transport.messages import Pull, PullId

# What USA does at the exchange in a step (its number, of how many).
Ally = Callable[[Joined, int, int], None]
# Shares of a run: USA pulls nothing between the first two, comes back with an empty store, loses and damages answers between the
# next two, and at last asks what it may not.
AWAY, BACK, EMPTY, LOSSY, CLEAR, ASKS = 0.1, 0.28, 0.38, 0.46, 0.64, 0.75
FIRST = 10_000  # the numbers of what it says, behind those of what its sensors see
STRANGER = SigningKey("USA", "exercise", b"\x09" * 32)


def steady(net: Joined, k: int, steps: int) -> None:
    """Pull as one should."""
    del net, k, steps


class Wayward:
    """USA as no partner should be; made anew for each run."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._away: Exchange | None = None

    def __call__(self, net: Joined, k: int, steps: int) -> None:
        """Do what is USA's turn in a step."""
        at = {round(share * steps): share for share in (AWAY, BACK, EMPTY, LOSSY, CLEAR, ASKS)}.get(k)
        if at == AWAY:
            self._away = net.exchanges.pop("USA")
        elif at == BACK and self._away is not None:
            net.exchanges["USA"] = self._away
        elif at == LOSSY:
            net.tap = self._lossy
        elif at == CLEAR:
            net.tap = lambda _nation, _pull, envelope: envelope
        elif at == ASKS:
            self._asks(net)
        elif at == EMPTY:
            net.stop("USA")
            net.start("USA")

    def _lossy(self, nation: str, pull: PullId, envelope: Envelope) -> Envelope | None:
        """Lose and damage what USA and JPN answer one another; KOR's and what is for KOR arrives."""
        if "USA" not in (nation, pull.partner):
            return envelope
        what = self._rng.random()
        if what < 0.3:
            return None
        return msgspec.structs.replace(envelope, body=envelope.body[:-1] + b"\xff") if what < 0.6 else envelope

    def _asks(self, net: Joined) -> None:
        """Send old pulls again, damaged, in KOR's name, and signed by a key that nobody knows."""
        old = [one for one in net.requests if one.sender == "USA" and one.audience == "JPN"][:4]
        for one in old:
            forged = msgspec.structs.replace(one, signature=bytes(STRANGER.sign(one.kind, one.body)))
            for asked in (one, forged, msgspec.structs.replace(one, audience="KOR"), msgspec.structs.replace(one, sender="KOR")):
                ticket = len(net._tickets) + 1
                net._tickets[ticket] = ("USA", PullId("JPN", one.lane, 0))
                net.exchanges["JPN"].handle(net.now_ns, asked, ticket=ticket)
        for lane in ("flash", "state"):
            self._ahead(net, lane)

    def _ahead(self, net: Joined, lane: Lane) -> None:
        """Pull from a place that JPN never reached, signed as it should be: JPN goes on in a new epoch."""
        key, number = net.exchanges["USA"].station.ring.current(net.now_ns), 1_000_000
        asked = Pull(
            minor=2, sender="USA", audience="JPN", lane=lane, mode=MODE, key_id=key.key_id, number=number, session=number,
            cursor=Cursor(1, 5_000, b"\x05" * 32), credit_bytes=1 << 20, wait_ms=1_000,
        )  # fmt: skip
        ticket = len(net._tickets) + 1
        net._tickets[ticket] = ("USA", PullId("JPN", lane, number))
        net.exchanges["JPN"].handle(net.now_ns, sealing.seal(key, asked), ticket=ticket)


# What USA says ------------------------------------------------------------------------------------------------------------


def label() -> Label:
    return make(
        policy="TRILAT", originator="USA", mode=MODE, level=0, rel_to=("JPN",), topics=("missile-warning",), sources=("USA",)
    )


def answers(now_ns: int, pipeline: Pipeline, first: int) -> list[Input]:
    """Return USA's answers to every warning of JPN that it has, a warning of its own, its end, and recalls."""
    records: list[Acknowledgement | Warning | Retraction | Recall] = [
        Acknowledgement(
            warning_originator="JPN", warning_id=name, warning_version=1, kind=kind, nation="USA", station="st", by="joe",
            t_ns=now_ns, label=label(),
        )
        for name in sorted(pipeline.desk.audiences["USA"]._warnings._national)  # type: ignore[attr-defined]
        for kind in ("seen", "handled")
    ]  # fmt: skip
    records += [_warning(now_ns, first), _back(now_ns, first), _recall(now_ns, first)]
    return [
        ReceivedInput(exporter="USA", lane="flash", epoch=1, sequence=FIRST + first + k, record=codec.encode(one))
        for k, one in enumerate(records)
    ]


def speaking(at_ns: Callable[[int], int], *steps: int) -> Callable[[int, Pipeline], list[Input]]:
    """Return a USA that answers in some steps of a run (their numbers); at_ns: when a step is."""
    return lambda k, pipeline: answers(at_ns(k), pipeline, k) if k in steps else []


def _warning(now_ns: int, number: int) -> Warning:
    return msgspec.convert(
        {"type": "trilat.warning/1", "id": f"USA-JPN-W{number}", "version": 1, "state": "issued", "t_ns": now_ns, "kind": "test"}
        | {"label": msgspec.to_builtins(label()), "pedigree": {"nation": "USA"}, "headline": "EXERCISE of USA"}
        | {"expires_ns": now_ns + 600 * 10**9, "raised_by": "joe"},
        Warning,
    )


def _back(now_ns: int, number: int) -> Retraction:
    name = f"USA-JPN-W{number}"
    return Retraction(warning_id=name, warning_version=1, reason="issued-in-error", by="joe", t_ns=now_ns, label=label())


def _recall(now_ns: int, number: int) -> Recall:
    return Recall(
        lane="state", epoch=1, sequences=(1, 2, number + 1), reason="issued in error", by="joe", t_ns=now_ns, label=label()
    )

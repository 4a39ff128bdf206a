"""What KOR tries in every world, beside pulling as it should: requests that are refused, ids that are not its own, a lost store.

Whatever JPN answers, and that it answers at all, is compared as everything else is. KOR tries the same in both runs of a pair.
"""

from __future__ import annotations

import msgspec
from exchange_pair import Joined
from node_worlds import MODE

from trilat.node.inputs import ReceivedInput
from trilat.policy.labels import make
from trilat.records import codec
from trilat.records.envelope import Envelope
from trilat.records.warning import Acknowledgement, Retraction
from trilat.transport.messages import PullId

# Shares of a run at which KOR tries something.
AGAIN, FORGED, LOST = 0.45, 0.55, 0.75
# Ids of warnings: KOR's own first one, one that it never got, and what hidden ones are called at home and to USA.
GUESSES = ("JPN-KOR-W1", "JPN-KOR-W9", "JPN-W1", "JPN-W2", "JPN-L1", "JPN-L2", "JPN-USA-W1", "JPN-P1", "JPN-R1")


def probe(net: Joined, k: int, steps: int) -> None:
    """Let KOR try what is its turn in step k: old and forged pulls, and, late in a run, all pulls again after its store is lost."""
    if k == int(AGAIN * steps):
        for old in _pulls(net, 3):
            _ask(net, old)
    if k == int(FORGED * steps):
        for old in _pulls(net, 1):
            _ask(net, msgspec.structs.replace(old, body=old.body[:-1] + bytes([old.body[-1] ^ 1])))
            _ask(net, msgspec.structs.replace(old, audience="USA"))
            _ask(net, msgspec.structs.replace(old, sender="USA"))
    if k == int(LOST * steps):
        net.stop("KOR")
        net.start("KOR")


def _pulls(net: Joined, count: int) -> list[Envelope]:
    """Return some of the first pulls that KOR sent to JPN."""
    return [one for one in net.requests if one.sender == "KOR" and one.audience == "JPN"][:count]


def _ask(net: Joined, envelope: Envelope) -> None:
    """Bring JPN a request in KOR's name; what is answered comes back to KOR, which takes it for no answer of its own."""
    ticket = len(net._tickets) + 1
    net._tickets[ticket] = ("KOR", PullId("JPN", envelope.lane, 0))
    net.exchanges["JPN"].handle(net.now_ns, envelope, ticket=ticket)


def guesses(t_ns: int, first: int) -> list[ReceivedInput]:
    """Return KOR's acknowledgements, and a retraction, of warnings of JPN that it names by guess, numbered from `first` on."""
    label = make(
        policy="TRILAT", originator="KOR", mode=MODE, level=0, rel_to=("JPN",), topics=("missile-warning",), sources=("KOR",)
    )
    said = {"nation": "KOR", "station": "st", "by": "kim", "t_ns": t_ns, "label": label}
    records: list[Acknowledgement | Retraction] = [
        Acknowledgement(warning_originator=originator, warning_id=name, warning_version=1, kind="seen", **said)  # type: ignore[arg-type]
        for originator in ("JPN", "USA")
        for name in GUESSES
    ]
    records.append(
        Retraction(warning_id="JPN-KOR-W1", warning_version=1, reason="issued-in-error", by="kim", t_ns=t_ns, label=label)
    )
    return [
        ReceivedInput(exporter="KOR", lane="flash", epoch=1, sequence=first + k, record=codec.encode(one))
        for k, one in enumerate(records)
    ]

"""The rare states that a simulation is for: a run of many seeds that never reached one of them proved less than it seems."""

from __future__ import annotations

from collections import Counter

# What is shown, and the count that tells of it. Tier b has fewer seeds, and is asked for fewer.
RARE: dict[str, str] = {
    "process killed": "event crash",
    "power cut": "event power-cut",
    "power cut in the middle of a write": "power cut in a step",
    "write torn at a sector": "disk: torn write",
    "writes lost that were not synced": "disk: unsynced at the cut",
    "store rolled back to an older copy": "rolled back",
    "store lost and built anew": "rebuilt",
    "backup restored": "restored",
    "backups restored at both ends": "both ends restored",
    "restored to before what a partner removed": "restored to before what was removed",
    "disk full": "disk: disk full",
    "reserve given up for flash": "disk: reserve given up",
    "only flash was written": "health flash-only",
    "sync or write failed": "disk: sync failed",
    "failed commit found on disk after all": "disk: commit found after all",
    "nothing was written": "health down",
    "node stalled": "event stall",
    "slow consumer": "event slow",
    "clock jumped": "event clock-jump",
    "one-way cut": "event cut-one-way",
    "link flapped": "event flap",
    "message lost": "net: loss",
    "message doubled": "net: duplicate",
    "message out of order": "net: reorder",
    "bit flipped, refused": "injected corrupt",
    "recorded message replayed": "net: replay",
    "replay refused": "refused replayed",
    "message for another audience, refused": "injected misdirect",
    "forged payload or signature, refused": "injected forge",
    "state superseded before it was sent": "superseded",
    "record too large for one reply": "large",
    "withheld by policy": "withheld by policy",
    "rollback of an exporter seen": "refused rollback-seen",
    "rollback of an importer seen": "refused cursor-behind",
    "second epoch": "second epoch",
    "third epoch": "third epoch",
    "record known by its content": "known by content",
    "fork seen and kept": "fork kept",
    "node of the minor version before": "spoke the version before",
    "another base asked for in its words": "asked as the version before",
    "loss not told to it before the next batch": "loss not told yet to the version before",
    "warning sealed for the people": "sealed for the people",
    "the same in a later epoch": "sealed for the people in a later epoch",
    "record taken through a hub": "records held through a hub",
    "settled records removed": "retained",
    "record recalled before its receipt": "recalled unreceipted",
    "record recalled after its receipt": "recalled receipted",
    "record recalled after it was moved": "recalled moved",
    "recalled record sent as the hash of its leaf": "sent as a leaf hash",
    "record recalled before it came": "recalled before it came",
    "removed before an importer went back": "removed before a rollback wanted it",
    "came again after an importer had removed it": "came again unchecked",
}
TIER_B = frozenset(
    {
        "process killed",
        "power cut",
        "store rolled back to an older copy",
        "backup restored",
        "disk full",
        "message lost",
        "replay refused",
        "second epoch",
        "withheld by policy",
    }
)


def reached(counts: Counter[str], tier: str) -> dict[str, int]:
    """Return how often each rare state of a tier was reached, in the order of the list."""
    return {name: counts[key] for name, key in RARE.items() if tier == "a" or name in TIER_B}

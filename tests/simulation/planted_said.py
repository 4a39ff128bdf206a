"""Bugs to plant in what is said besides: recalls, warnings of the people, letters through a hub. `planted` names them."""

from collections.abc import Sequence
from typing import Any

import pytest

from trilat.exchange.exchange import Exchange
from trilat.exchange.keeping import RECALL_TYPE, Keeping
from trilat.exchange.numbering import PUBLISHED_BYTES_MAX, Publisher
from trilat.records.exchange import Cursor
from trilat.store.outbox import Outbox


def reply_taken_for_direct(patch: pytest.MonkeyPatch) -> None:
    """Take what came through a hub as if it had come directly."""
    true = Exchange._sort

    def sort(self: Exchange, now_ns: int, envelope: Any, ticket: int, pull: Any, via: str | None = None) -> bool:
        return true(self, now_ns, envelope, ticket, pull, via if pull is None else None)

    patch.setattr(Exchange, "_sort", sort)


def published_on(self: Publisher, now_ns: int) -> int:
    """Open an epoch for what is published only when there is none."""
    if self.state.last.epoch == 0:
        self.open_epoch(now_ns, self.state.last, Cursor(), "first")
    while self.number(now_ns, PUBLISHED_BYTES_MAX, self.station.settings.minor) is not None:
        pass
    self._put(epoch_due=False)
    return 0


def recall_untold(patch: pytest.MonkeyPatch) -> None:
    """Mark what is recalled, and let the recall itself wait in vain."""
    true = Keeping._offer

    def offer(self: Exchange, now_ns: int, released: Sequence[Any]) -> None:
        true(self, now_ns, [item for item in released if item.record_type != RECALL_TYPE])
        for item in released:
            if item.record_type == RECALL_TYPE:
                self._recall(now_ns, item)

    patch.setattr(Keeping, "_offer", offer)


def recall_twice(patch: pytest.MonkeyPatch) -> None:
    """Say a recall twice, to be sure."""
    true = Keeping._offer

    def offer(self: Exchange, now_ns: int, released: Sequence[Any]) -> None:
        true(self, now_ns, [item for item in released for _ in range(1 + (item.record_type == RECALL_TYPE))])

    patch.setattr(Keeping, "_offer", offer)


def recall_one_beside(patch: pytest.MonkeyPatch) -> None:
    """Mark the number before the one that a recall names."""
    true = Outbox.recall

    def recall(self: Outbox, audience: str, lane: str, epoch: int, sequences: Sequence[int]) -> None:
        true(self, audience, lane, epoch, [number - 1 for number in sequences])

    patch.setattr(Outbox, "recall", recall)

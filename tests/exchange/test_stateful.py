"""Outbox, inbox and resync alone, under whatever order of offers, losses, crashes and rollbacks hypothesis can think of."""

import shutil
import tempfile
from pathlib import Path

from exchange_pair import Joined
from exchange_records import released, track_of, warning_of
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from trilat.records.exchange import Cursor
from trilat.transport import envelope as sealing

LANES = st.sampled_from(["flash", "history"])
NATIONS = st.sampled_from(["JPN", "KOR"])


class OutboxAndInbox(RuleBasedStateMachine):
    """JPN exports to KOR. The model is the list of what was offered and is on disk, and of what a rollback may have lost."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.pair = Joined(self.directory)
        self.offered: dict[str, list[bytes]] = {"flash": [], "history": []}
        self.lost: set[bytes] = set()
        self.copies: dict[str, int] = {}
        self.number = 0

    @initialize()
    def begin(self) -> None:
        """Let both meet."""
        self.pair.run(2)

    @rule(lane=LANES, count=st.integers(1, 5))
    def offer(self, lane: str, count: int) -> None:
        """Offer some records; they are on disk with the flush."""
        items = []
        for _ in range(count):
            self.number += 1
            record = warning_of(f"w{self.number}") if lane == "flash" else track_of(self.number)
            items.append(released(record, "KOR", lane))
        self.pair.exchanges["JPN"].offer(self.pair.now_ns, items)
        self.pair.flush("JPN")
        self.offered[lane] += [item.record for item in items]

    @rule(ticks=st.integers(1, 30))
    def pass_time(self, ticks: int) -> None:
        """Let time pass."""
        self.pair.run(ticks)

    @rule(nation=NATIONS, share=st.integers(1, 3))
    def lose(self, nation: str, share: int) -> None:
        """From now on lose every n-th reply to a nation; 1 = all."""
        seen = [0]

        def tap(to: str, _pull: object, envelope: object) -> object:
            seen[0] += to == nation
            return None if to == nation and seen[0] % share == 0 else envelope

        self.pair.tap = tap

    @rule()
    def mend(self) -> None:
        """Lose nothing any more."""
        self.pair.tap = lambda _to, _pull, envelope: envelope

    @rule(nation=NATIONS)
    def crash(self, nation: str) -> None:
        """Stop a nation without a word and start it again."""
        self.pair.stop(nation)
        self.pair.start(nation)

    def place(self, nation: str, what: str) -> Path:
        """Return where a nation's store or its copy is."""
        return self.directory / f"{nation}.{what}"

    @rule(nation=NATIONS)
    def copy(self, nation: str) -> None:
        """Keep a copy of a nation's store."""
        self.pair.stop(nation)
        shutil.copy(self.place(nation, "sqlite"), self.place(nation, "copy"))
        self.copies[nation] = self.number
        self.pair.start(nation)

    @rule(nation=NATIONS)
    def roll_back(self, nation: str) -> None:
        """Put an older copy in the place of a nation's store: what was offered since may be lost, if nobody else held it."""
        if nation not in self.copies:
            return
        self.pair.stop(nation)
        shutil.copy(self.place(nation, "copy"), self.place(nation, "sqlite"))
        if nation == "JPN":
            kept = self.copies[nation]
            every = sorted((record for records in self.offered.values() for record in records), key=self.number_of)
            self.lost |= {record for record in every if self.number_of(record) > kept}
        self.pair.start(nation)

    @staticmethod
    def number_of(record: bytes) -> int:
        """Return the running number in a record of ours."""
        plain = sealing.parse_plain(record)
        return int(plain["id"][1:]) if "id" in plain else int(plain["number"])

    def held(self, lane: str) -> list[bytes]:
        """Return what KOR's store holds, in order of arrival, without what came twice."""
        inbox = self.pair.exchanges["KOR"].station.store.inbox
        return [
            entry[sealing.SALT_BYTES :]
            for batch in inbox.batches("JPN", lane, Cursor())
            for offset, entry in enumerate(sealing.split_payload(batch.payload))
            if offset not in batch.skip
        ]

    @invariant()
    def nothing_is_forged_doubled_or_out_of_order(self) -> None:
        """At every moment what is held was offered, is held once, and stands in the order of its offers."""
        for lane, offered in self.offered.items():
            held = self.held(lane)
            assert len(held) == len(set(held))
            order = [offered.index(record) for record in held]
            assert order == sorted(order)

    def teardown(self) -> None:
        """After mending everything arrives that no rollback lost, and both ends agree on the head."""
        self.mend()
        self.pair.run(400)
        for lane, offered in self.offered.items():
            assert set(offered) - self.lost <= set(self.held(lane))
            out = self.pair.exchanges["JPN"].station.store.outbox.state("KOR", lane)
            into = self.pair.exchanges["KOR"].station.store.inbox.state("JPN", lane)
            if out.last.sequence:
                assert out.last == into.cursor == out.receipt
        self.nothing_is_forged_doubled_or_out_of_order()
        self.pair.close()
        shutil.rmtree(self.directory)


TestOutboxAndInbox = OutboxAndInbox.TestCase
TestOutboxAndInbox.settings = settings(
    max_examples=12, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck)
)

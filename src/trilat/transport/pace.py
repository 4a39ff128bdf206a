"""How fast a lane pulls: credit in seconds of measured link, the window of parked pulls, pauses after failures. Pure.

A reply that takes too long on the wire is cut by the server and sent again for ever, so credit follows what the link was seen
to carry: it starts small, at most doubles per round, aims for a quarter of a second of link over all parked pulls together,
and halves when a pull is lost.
"""

from trilat.transport.messages import ExchangeSettings, LaneSettings

MS = 1_000_000
# A reply counts as filled by its credit from this part of it on; only such ones measure the link.
_FULL = 0.4
# Replies that follow one another at once measure the link, however long their pulls had waited for something to be said: at
# least so many behind the first, over no less time than a busy reader needs to take them.
_TRAIN_GAP_NS, _TRAIN_REPLIES, _TRAIN_NS = 25 * MS, 2, 10 * MS
# What a train measured is forgotten by so much a round: a link may have become narrower.
_LINK_DECAY = 0.7
# The round trip is the shortest seen, forgotten slowly so that a changed route is learned.
_RTT_DECAY = 1.02


class Pace:
    """The pace of one lane from one exporter. slack_ms: how much longer than its wait a pull may take."""

    def __init__(self, settings: ExchangeSettings, lane: LaneSettings, slack_ms: int | None = None) -> None:
        self._slack_ms = settings.slack_ms if slack_ms is None else slack_ms
        self._settings = settings
        self._lane = lane
        self.window = lane.window_pulls
        self.credit_bytes = settings.credit_bytes_min
        self.resume_ns = 0
        self._failures = 0
        self._rtt_ns = 0.0
        self._round_ns: int | None = None
        self._round_bytes = 0
        self._round_replies = 0
        self._train_ns = self._train_last_ns = -_TRAIN_GAP_NS
        self._train_bytes = self._train_replies = 0
        self._link_bytes_per_ns = 0.0

    def timeout_ns(self) -> int:
        """Return after which time a pull sent now counts as lost: its wait, the slack, and two round trips."""
        return int((self._lane.wait_ms + self._slack_ms) * MS + 2 * min(self._rtt_ns, 5e9))

    def failed(self, now_ns: int) -> None:
        """A pull was lost or refused: halve the credit and pause, doubling from retry_ms to retry_ms_max."""
        settings = self._settings
        self.credit_bytes = max(settings.credit_bytes_min, self.credit_bytes // 2)
        pause_ms = min(settings.retry_ms << min(self._failures, 16), settings.retry_ms_max)
        self._failures += 1
        self.resume_ns = now_ns + pause_ms * MS
        self._round_ns = None
        self._link_bytes_per_ns = 0.0

    def resumed(self, now_ns: int) -> None:
        """The exporter is there: no pause."""
        self._failures = 0
        self.resume_ns = now_ns
        self._round_ns = None

    def idle(self, now_ns: int) -> None:
        """A pull came back empty: the link is not the bound; let the window shrink back."""
        self.resumed(now_ns)
        self.window = max(self._lane.window_pulls, self.window - 1)

    def replied(self, now_ns: int, sent_ns: int, size: int, credit_bytes: int) -> None:
        """A batch came in answer to a pull sent at sent_ns with this credit: measure, and adapt after each round."""
        self._failures = 0
        self._note_train(now_ns, size)
        full = size >= _FULL * credit_bytes
        # More pulls help where replies are small (the way is long), or as large as they may be; else larger replies do.
        if not full or credit_bytes >= self._settings.credit_bytes_max:
            self.window = min(self._lane.window_pulls_max, self.window + 1)
        if not full:
            if self._round_ns is not None and self._round_replies >= _TRAIN_REPLIES:
                self._grow()
            self._round_ns = None
            return
        elapsed_ns = float(max(now_ns - sent_ns, 1))
        self._rtt_ns = min(elapsed_ns, self._rtt_ns * _RTT_DECAY) if self._rtt_ns else elapsed_ns
        if self._round_ns is None:
            self._round_ns, self._round_bytes, self._round_replies = sent_ns, 0, 0
        self._round_bytes += size
        self._round_replies += 1
        if self._round_replies >= self.window:
            self._adapt(now_ns, max(now_ns - self._round_ns, 1))

    def _note_train(self, now_ns: int, size: int) -> None:
        """Take a reply as the next of a train, or as the first of a new one; what a train carried is what the link can."""
        if now_ns - self._train_last_ns >= _TRAIN_GAP_NS:
            self._train_ns, self._train_bytes, self._train_replies = now_ns, -size, -1
        self._train_last_ns = now_ns
        self._train_bytes += size
        self._train_replies += 1
        if self._train_replies >= _TRAIN_REPLIES:
            rate = self._train_bytes / max(now_ns - self._train_ns, _TRAIN_NS)
            self._link_bytes_per_ns = max(self._link_bytes_per_ns, rate)

    def _adapt(self, now_ns: int, round_ns: int) -> None:
        # A round takes as long as there was little to say; then the link's own measure counts.
        target = self._target(max(self._round_bytes / round_ns, self._link_bytes_per_ns))
        self._link_bytes_per_ns *= _LINK_DECAY
        grown = min(target, 2 * self.credit_bytes, self._settings.credit_bytes_max)
        self.credit_bytes = max(self._settings.credit_bytes_min, grown, self.credit_bytes // 2)
        self._round_ns, self._round_bytes, self._round_replies = now_ns, 0, 0

    def _grow(self) -> None:
        """All was said before the window was used up: fewer and larger replies do, where the link was seen to carry them."""
        target = min(self._target(self._link_bytes_per_ns), 2 * self.credit_bytes, self._settings.credit_bytes_max)
        self.credit_bytes = max(self.credit_bytes, target)

    def _target(self, bytes_per_ns: float) -> int:
        """Return the credit with which all parked pulls together stand for the link time aimed for."""
        return int(bytes_per_ns * max(self._settings.credit_link_ms * MS, 2 * self._rtt_ns) / self.window)

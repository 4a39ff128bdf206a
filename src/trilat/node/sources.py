"""A configured feed as the decoder's `Source`: which sensors speak in it, in which editions, where the receiver stands."""

from __future__ import annotations

from collections.abc import Sequence

from trilat.feeds import registry
from trilat.feeds.source import Source
from trilat.node.settings import FeedSettings, NodeConfig
from trilat.records.label import Mode
from trilat.records.sensor import Sensor

# Formats that resolve compact positions and so gain from knowing where the receiver stands.
_RESOLVES = frozenset({"beast", "avr", "modes-jsonl"})


def source_of(config: NodeConfig, feed: FeedSettings, sensors: Sequence[Sensor], mode: Mode) -> Source:
    """Return the source of a feed; raises FeedError (feed-format, feed-setting) for what does not fit."""
    mine = tuple(sensor for sensor in sensors if sensor.id in feed.sensors)
    options = dict(feed.options)
    place = next((s for s in mine if (s.lat_deg, s.lon_deg) != (0.0, 0.0)), None)
    if feed.format in _RESOLVES and place is not None:
        options.setdefault("reference", f"{place.lat_deg},{place.lon_deg}")
    return registry.source_of(feed.name, feed.format, mode, mine, nation=config.nation, editions=feed.editions, options=options)


def sources_of(config: NodeConfig, sensors: Sequence[Sensor], mode: Mode) -> tuple[Source, ...]:
    """Return the sources of all feeds of a node."""
    return tuple(source_of(config, feed, sensors, mode) for feed in config.feed)

"""A configured feed as the decoder's `Source`: which sensors speak in it, in which editions, where the receiver stands."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from trilat.errors import ConfigError
from trilat.feeds.source import Source
from trilat.node.settings import FeedSettings, NodeConfig
from trilat.records.label import Mode
from trilat.records.sensor import Sensor

# What a feed is read by when its configuration names no editions: the newest that the decoder knows.
EDITIONS = {21: "2.6", 34: "1.29", 48: "1.32", 62: "1.20", 65: "1.5"}


def source_of(config: NodeConfig, feed: FeedSettings, sensors: Sequence[Sensor], mode: Mode) -> Source:
    """Return the source of a feed; raises ConfigError (config-value) for an option or edition that does not fit."""
    mine = tuple(sensor for sensor in sensors if sensor.id in feed.sensors)
    place = next(((s.lat_deg, s.lon_deg) for s in mine if (s.lat_deg, s.lon_deg) != (0.0, 0.0)), None)
    given = {
        "name": feed.name,
        "format": feed.format,
        "nation": config.nation,
        "mode": msgspec.to_builtins(mode),
        "sensors": [msgspec.to_builtins(sensor) for sensor in mine],
        "editions": EDITIONS | {int(category): edition for category, edition in feed.editions.items() if category.isdigit()},
        "reference": place,
        **feed.options,
    }
    try:
        return msgspec.convert(given, Source, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError("config-value", f"feed {feed.name!r}: {error}.") from error


def sources_of(config: NodeConfig, sensors: Sequence[Sensor], mode: Mode) -> tuple[Source, ...]:
    """Return the sources of all feeds of a node."""
    return tuple(source_of(config, feed, sensors, mode) for feed in config.feed)

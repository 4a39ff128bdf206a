"""Everything three nodes of an exercise need on disk, from a scenario: keys, pins, signed agreements, configurations."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

import trilat
from trilat.accounts import passwords
from trilat.accounts.book import FILE_NAME, Book
from trilat.exercise.scenario import Scenario, ScenarioSensor, nations
from trilat.identity import keyfiles
from trilat.policy import signing
from trilat.records.approval import Role
from trilat.records.label import Mode
from trilat.records.sensor import SensorSite

AGREEMENTS = ("trilateral", "usa-jpn", "usa-kor", "warn-public")
FORMATS = {"": "asterix", "adsb": "beast", "ais": "ais", "plots": "plots-json"}
SAMPLES = Path(trilat.__file__).parent / "policy" / "agreements"
# What the world's encoder writes.
RECEIVER = {"receiver_clock": "12mhz"}
EDITIONS = {"34": "1.29", "48": "1.32"}
SCHEMES = {"asterix": "udp", "beast": "tcp-listen", "ais": "udp", "plots-json": "tcp-listen"}
PASSWORD_BYTES = 10
CENTRE = {"JPN": (31.8, 130.2), "KOR": (34.6, 128.2), "USA": (29.2, 127.6)}


class Login(NamedTuple):
    """One account of an exercise: its name, whose it is, its one role, and the password that was drawn for it."""

    user: str
    person: str
    role: Role
    password: str


# Enough for every act that takes two: of watch officers there are two.
STAFF: tuple[tuple[str, str, Role], ...] = (
    ("watch-a", "Watch officer A", "watch-officer"),
    ("watch-b", "Watch officer B", "watch-officer"),
    ("release", "Release officer", "release-officer"),
    ("director", "Exercise director", "exercise-director"),
)


class Prepared(NamedTuple):
    """A nation's node, ready to start: its configuration file and the directory where it will write `ports.json`."""

    nation: str
    config: Path
    directory: Path
    logins: tuple[Login, ...] = ()

    def login(self, role: Role) -> Login:
        """Return the first login that holds a role."""
        return next(one for one in self.logins if one.role == role)


def prepare(
    scenario: Scenario,
    directory: Path,
    mode: Mode,
    now_ns: int,
    random_bytes: Callable[[int], bytes],
    page_ports: tuple[int, ...] = (),
) -> dict[str, Prepared]:
    """Write what every nation's node of a scenario needs below `directory`; return them by nation.

    random_bytes draws the policy keys that sign the sample agreements. Exercise and replay only: live refuses by itself.
    """
    directory = directory.absolute()  # a node takes a relative path in its configuration for one below that file's own folder
    who = nations(scenario)
    keys = keyfiles.provision(directory, who, mode, now_ns)
    policy_keys = {nation: signing.PolicyKey(nation=nation, seed=random_bytes(32)) for nation in who}
    values = {f"{nation}.policy-key": policy_keys[nation].public for nation in who}
    for nation in who:
        held = keyfiles.load(keys[nation].keys, now_ns, mode)
        values |= held.identity.in_agreements(now_ns)
    agreements = directory / "agreements"
    agreements.mkdir(mode=0o700)
    for name in AGREEMENTS:
        _sign(agreements, name, values, policy_keys)
    ports = page_ports or (0,) * len(who)
    pinned = {nation: key.public for nation, key in policy_keys.items()}
    made = {
        nation: _write(scenario, directory, nation, mode, keys[nation], pinned, port)
        for nation, port in zip(who, ports, strict=True)
    }
    return {nation: one._replace(logins=_staff(one, mode, now_ns, random_bytes)) for nation, one in made.items()}


def _staff(prepared: Prepared, mode: Mode, now_ns: int, random_bytes: Callable[[int], bytes]) -> tuple[Login, ...]:
    """Make the accounts of an exercise's node, with passwords of 80 random bits."""
    logins = [
        Login(user, f"{prepared.nation} {person}", role, _drawn(random_bytes(PASSWORD_BYTES))) for user, person, role in STAFF
    ]
    prepared.directory.mkdir(mode=0o700, exist_ok=True)
    with Book(prepared.directory / FILE_NAME, prepared.nation, mode) as book:
        salts = [random_bytes(passwords.SALT_BYTES) for _ in logins]
        pairs = zip(logins, salts, strict=True)
        book.begin(now_ns, [(one.user, one.person, _kept(one.password, salt), (one.role,)) for one, salt in pairs])
    return tuple(logins)


@lru_cache(maxsize=64)
def _kept(password: str, salt: bytes) -> str:
    """Return what a book keeps of a drawn password: worked out once where the same seed draws the same exercise again."""
    return passwords.Argon2(drawn=True).keep(password, salt)


def _drawn(random: bytes) -> str:
    text = base64.b32encode(random).decode().lower()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def _sign(directory: Path, name: str, values: dict[str, str], keys: dict[str, signing.PolicyKey]) -> None:
    template = (SAMPLES / f"{name}.toml").read_bytes()
    wanted = {nation for nation in keys if f"@{nation}.".encode() in template}
    body = signing.fill(template, values)
    (directory / f"{name}.toml").write_bytes(body)
    signatures = {nation: signing.sign(body, keys[nation]) for nation in sorted(wanted)}
    (directory / f"{name}.sig.json").write_bytes(signing.write_signatures(signatures))


def _agreements_of(directory: Path, nation: str) -> list[str]:
    return [
        str(directory / "agreements" / f"{name}.toml")
        for name in AGREEMENTS
        if f'nation = "{nation}"' in (directory / "agreements" / f"{name}.toml").read_text("utf-8")
    ]


def _write(
    scenario: Scenario,
    directory: Path,
    nation: str,
    mode: Mode,
    keys: keyfiles.Provisioned,
    pinned: dict[str, str],
    page_port: int,
) -> Prepared:
    mine = [sensor for sensor in scenario.sensor if sensor.nation == nation]
    lat_deg, lon_deg = CENTRE.get(nation, (33.0, 129.0))
    config: dict[str, Any] = {
        "nation": nation,
        "mode": f"{mode.kind}:{mode.id}",
        "name": f"{nation.lower()}-1",
        "directory": "run",
        "keys": str(keys.keys),
        "agreements": _agreements_of(directory, nation),
        "policy_keys": pinned,
        "page": {"port": page_port},
        "exchange": {"listen_host": keys.host, "listen_port": keys.port},
        "view": {"lat_deg": lat_deg, "lon_deg": lon_deg, "zoom": 5.6},
        "partner": [{"nation": partner, "file": str(path)} for partner, path in sorted(keys.partners.items())],
        "sensor": [_sensor(sensor) for sensor in mine],
        "feed": [_feed(sensor) for sensor in mine],
    }
    path = directory / nation / "node.toml"
    path.write_bytes(msgspec.toml.encode(config))
    return Prepared(nation, path, directory / nation / "run")


def _sensor(sensor: ScenarioSensor) -> dict[str, Any]:
    site = {name: getattr(sensor, name) for name in SensorSite.__struct_fields__}
    topic = "sea" if sensor.surface or sensor.link == "ais" else "missile-warning" if sensor.link == "plots" else "air"
    label = {"level": sensor.level, "rel_to": list(sensor.rel_to), "topics": [topic]}
    return {name: value for name, value in site.items() if value is not None} | {"label": label}


def _feed(sensor: ScenarioSensor) -> dict[str, Any]:
    form = FORMATS[sensor.link]
    name = sensor.id.lower().replace("/", "-")
    feed: dict[str, Any] = {"name": name, "format": form, "url": f"{SCHEMES[form]}://127.0.0.1:0", "sensors": [sensor.id]}
    return feed | ({"editions": EDITIONS} if form == "asterix" else {}) | ({"options": RECEIVER} if form == "beast" else {})


def feed_of(sensor: str) -> str:
    """Return the name of the feed that carries a sensor of a scenario."""
    return sensor.lower().replace("/", "-")

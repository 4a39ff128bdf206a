"""The configuration: read, overridden, checked, and its errors name file, line and remedy."""

import os
from pathlib import Path

import msgspec
import pytest

from trilat.errors import ConfigError
from trilat.feeds.sockets import parse_address
from trilat.node import config as node_config
from trilat.node import setup
from trilat.warn.areas import AreasError, Layer

MINIMAL = """\
nation = "JPN"
mode = "exercise:demo"
name = "jpn-1"
directory = "run/jpn"
keys = "keys/jpn"

[[sensor]]
id = "JPN/ridge"
kind = "radar2d"
sac = 200
sic = 1

[sensor.label]
level = 1
rel_to = ["USA", "KOR"]

[[feed]]
name = "ridge"
format = "asterix"
url = "udp://127.0.0.1:0"
sensors = ["JPN/ridge"]
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(text, "utf-8")
    return path


def refused(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        node_config.load(write(tmp_path, text), environ)
    return caught.value


def test_minimal_configuration_has_sensible_defaults(tmp_path: Path) -> None:
    """A minimal file loads, paths become absolute beside it, and sensors carry a full label."""
    config = node_config.load(write(tmp_path, MINIMAL))

    assert config.directory == str(tmp_path / "run/jpn")
    sensor = node_config.sensors_of(config)[0]
    assert ("JPN", ("KOR", "USA"), 1) == (sensor.label.originator, sensor.label.rel_to, sensor.label.level)
    assert (node_config.mode_of(config).kind, node_config.mode_of(config).id) == ("exercise", "demo")


def test_sensor_without_label_is_for_the_own_nation_only(tmp_path: Path) -> None:
    """A missing label means own nation only: the highest level and nobody in rel_to."""
    config = node_config.load(write(tmp_path, MINIMAL.replace('[sensor.label]\nlevel = 1\nrel_to = ["USA", "KOR"]\n', "")))

    label = node_config.sensors_of(config)[0].label
    assert ((), 4) == (label.rel_to, label.level)


def test_mode_has_no_default(tmp_path: Path) -> None:
    """A configuration without a mode is refused by name."""
    assert refused(tmp_path, MINIMAL.replace('mode = "exercise:demo"\n', "")).name == "mode-missing"


@pytest.mark.parametrize(
    ("old", "new", "line", "word"),
    [
        ('kind = "radar2d"', 'kind = "radar2d"\nrnge_max_m = 3.0', 10, "rnge_max_m"),
        ('kind = "radar2d"', 'kind = "sonar"', 9, "'sonar', one of bearing, fixes, radar2d, radar3d, tracks wanted"),
        ("sac = 200", "sac = 300", 10, "300"),
        ('sensors = ["JPN/ridge"]', 'sensors = ["JPN/other"]', 21, "JPN/other"),
        ('mode = "exercise:demo"', 'mode = "exercise"', 2, "mode"),
        ('name = "jpn-1"', 'name = "jpn-1"\ncolour = "blue"', 4, "colour"),
    ],
)
def test_errors_name_file_line_and_offender(tmp_path: Path, old: str, new: str, line: int, word: str) -> None:
    """A wrong setting is refused with the file, its line, the offending word and what to do."""
    error = refused(tmp_path, MINIMAL.replace(old, new))

    assert error.name == "config-value"
    assert f"node.toml:{line}:" in str(error), str(error)
    assert word in str(error)
    assert "What to do" in str(error)


def test_syntax_error_names_the_line(tmp_path: Path) -> None:
    """Broken TOML is refused with the parser's line."""
    error = refused(tmp_path, MINIMAL + "broken = [\n")

    assert error.name == "config-syntax"
    assert "line" in str(error)


def test_missing_file_is_a_named_error(tmp_path: Path) -> None:
    """A path that is not there is refused by name."""
    with pytest.raises(ConfigError, match="TRI-0001"):
        node_config.load(tmp_path / "absent.toml")


def test_a_configuration_is_a_file_of_bounded_size_and_depth(tmp_path: Path) -> None:
    """A pipe, a device, a folder and what is too large are refused by name at once; so is what is nested too deeply."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large.toml").write_bytes(b"#" * (node_config.CONFIG_BYTES_MAX + 1))
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path, tmp_path / "large.toml"):
        with pytest.raises(ConfigError, match="TRI-0001"):
            node_config.load(path)

    assert refused(tmp_path, MINIMAL + "deep = " + "[" * 10_000).name == "config-syntax"


@pytest.mark.parametrize("url", ["file:ships.csv", "file://ships.csv", "file:../there/ships.csv", "file:/var/ships.csv"])
def test_the_file_of_a_feed_stands_beside_the_configuration(tmp_path: Path, url: str) -> None:
    """A feed's file is looked for beside the configuration, like every other path, wherever the node is started from."""
    there = tmp_path / "there"
    there.mkdir()
    loaded = node_config.load(write(there, MINIMAL.replace("udp://127.0.0.1:0", url)))

    expected = "/var/ships.csv" if url == "file:/var/ships.csv" else str(there / "ships.csv")
    assert ("file", expected) == (parse_address(loaded.feed[0].url).kind, parse_address(loaded.feed[0].url).path)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    """Some editors put a mark before the first line: it says nothing."""
    assert node_config.load(write(tmp_path, MINIMAL)) == node_config.load(write(tmp_path, "\ufeff" + MINIMAL))


def test_environment_overrides_settings(tmp_path: Path) -> None:
    """TRILAT_PAGE__PORT and TRILAT_NAME override the file; unknown ones are refused as unknown settings are."""
    config = node_config.load(write(tmp_path, MINIMAL), {"TRILAT_PAGE__PORT": "8443", "TRILAT_NAME": "other", "HOME": "x"})

    assert (8443, "other") == (config.page.port, config.name)
    assert "colour" in str(refused(tmp_path, MINIMAL, {"TRILAT_COLOUR": "blue"}))


@pytest.mark.parametrize(
    ("variable", "value"),
    [("TRILAT_COLOUR", "blue"), ("TRILAT_PAGE__PORT", "-3"), ("TRILAT_PAGE__SIZE", "9"), ("TRILAT_PAINT__COLOUR", "1")],
)
def test_a_wrong_variable_is_named_not_the_file(tmp_path: Path, variable: str, value: str) -> None:
    """What a variable of the environment set wrongly is said of that variable, not of a line of the file that never held it."""
    said = str(refused(tmp_path, MINIMAL, {variable: value}))
    assert f"environment's {variable}:" in said
    assert "node.toml" not in said


def test_names_stand_once_and_partners_are_others(tmp_path: Path) -> None:
    """A sensor named twice and a partner of the own nation are refused."""
    twice = MINIMAL + '\n[[sensor]]\nid = "JPN/ridge"\nkind = "radar2d"\n'
    own = MINIMAL + '\n[[partner]]\nnation = "JPN"\nfile = "x.toml"\n'

    assert "stands twice" in str(refused(tmp_path, twice))
    assert "own nation" in str(refused(tmp_path, own))


def test_tracks_leave_at_even_times(tmp_path: Path) -> None:
    """A state tick that is no whole number of steps is refused by its line; whole numbers are taken."""
    step = "[step]\ntick_ms = {}\nstate_tick_ms = {}\n"
    for given in ((50, 100), (100, 100), (100, 300)):
        made = node_config.load(write(tmp_path, MINIMAL + step.format(*given)))
        assert given == (made.step.tick_ms, made.step.state_tick_ms)
    for given in ((100, 50), (100, 250)):
        text = MINIMAL + step.format(*given)
        told = str(refused(tmp_path, text))
        assert (True, True) == (f":{len(text.splitlines())}: " in told, "state_tick_ms" in told), told


def test_the_areas_of_warnings_are_the_operators_where_he_names_a_file(tmp_path: Path) -> None:
    """`[warning] areas` is a file beside the configuration; its areas are used, a missing or broken one stops the start by name."""
    ring = [[130.0, 33.0], [131.0, 33.0], [131.0, 34.0], [130.0, 33.0]]
    feature = {"type": "Feature", "properties": {"id": "one"}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (tmp_path / "mine.geojson").write_bytes(msgspec.json.encode({"type": "FeatureCollection", "features": [feature]}))
    (tmp_path / "bad.geojson").write_text("{", "utf-8")

    def layer(name: str) -> Layer:
        config = node_config.load(write(tmp_path, MINIMAL + f'\n[warning]\nareas = "{name}"\n'))
        return setup.areas_layer(config.warning.areas)

    assert ["one"] == [area.id for area in layer("mine.geojson").areas]
    with pytest.raises(AreasError):
        layer("bad.geojson")
    with pytest.raises(ConfigError):
        layer("none.geojson")
    assert len(setup.areas_layer(None).areas) > 100


def test_an_output_stands_once_and_its_folder_beside_the_configuration(tmp_path: Path) -> None:
    """An output's folder is relative to the file; two of one name, and a form that nobody knows, are refused."""
    text = '\n[[output]]\nname = "a"\nkind = "file"\noptions = { directory = "out" }\n'
    config = node_config.load(write(tmp_path, MINIMAL + text))
    assert str(tmp_path / "out") == config.output[0].options["directory"]
    for bad in (text + text, text + 'forms = ["fax"]\n'):
        with pytest.raises(ConfigError):
            node_config.load(write(tmp_path, MINIMAL + bad))


def test_the_bound_of_what_waits_for_a_partner_is_a_setting(tmp_path: Path) -> None:
    """`outbox_bytes_max` of the file, or of the environment, is the exchange's own; below its least value it is refused by line."""
    text = MINIMAL + "[exchange]\noutbox_bytes_max = 65536\n"
    assert setup.exchange_settings(node_config.load(write(tmp_path, text))).outbox_bytes_max == 65_536
    over = node_config.load(write(tmp_path, text), {"TRILAT_EXCHANGE__OUTBOX_BYTES_MAX": "131072"})
    assert setup.exchange_settings(over).outbox_bytes_max == 131_072
    assert setup.exchange_settings(node_config.load(write(tmp_path, MINIMAL))).outbox_bytes_max == 1 << 30
    error = refused(tmp_path, text.replace("65536", "65535"))
    assert (error.name, f":{len(MINIMAL.splitlines()) + 2}:" in error.detail) == ("config-value", True)

"""`trilat schema`: the schema is valid, whole, and true of our own records."""

from __future__ import annotations

import jsonschema
import msgspec
from click.testing import CliRunner

from trilat.cli import main
from trilat.cli.schema import schema_of_records
from trilat.records import codec
from trilat.records.label import Label, Mode
from trilat.records.report import Fix, Pedigree

FIX = Fix(
    t_ns=1_700_000_000_000_000_000,
    sensor="adsb-1",
    label=Label(policy="TRILAT", originator="JPN", mode=Mode(kind="exercise", id="e1"), level=1, rel_to=("KOR",)),
    pedigree=Pedigree(nation="JPN", sensors=("adsb-1",)),
    lat_deg=33.0,
    lon_deg=129.0,
    sigma_horizontal_m=30.0,
)


def test_it_is_a_schema() -> None:
    """What is printed is a valid JSON Schema of draft 2020-12."""
    printed = msgspec.json.decode(CliRunner().invoke(main, ["schema"]).stdout)
    jsonschema.Draft202012Validator.check_schema(printed)


def test_every_record_is_in_it() -> None:
    """Every record that may stand alone is one of the alternatives."""
    expected = [{"$ref": f"#/$defs/{kind.__name__}"} for kind in codec.RECORDS]
    assert expected == schema_of_records()["anyOf"]


def test_a_record_of_ours_is_valid() -> None:
    """A record that our own code makes is valid under it, and one that is out of range is not."""
    validator = jsonschema.Draft202012Validator(schema_of_records())
    record = msgspec.json.decode(msgspec.json.encode(FIX))
    assert (True, False) == (validator.is_valid(record), validator.is_valid({**record, "lat_deg": 91.0}))


def test_one_record_by_name() -> None:
    """`trilat schema Fix` prints that one; an unknown name is answered with the names there are."""
    one = msgspec.json.decode(CliRunner().invoke(main, ["schema", "Fix"]).stdout)
    unknown = CliRunner().invoke(main, ["schema", "Fixx"])
    assert ("#/$defs/Fix", 2, True) == (one["$ref"], unknown.exit_code, "Acknowledgement" in unknown.stderr)

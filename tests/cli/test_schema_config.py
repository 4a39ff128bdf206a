"""The configuration has a JSON Schema, made from the settings themselves."""

import msgspec
from click.testing import CliRunner

from trilat.cli import main


def test_configuration_has_a_schema() -> None:
    """`trilat schema config` names every section of a node's configuration and what has no default."""
    schema = msgspec.json.decode(CliRunner().invoke(main, ["schema", "config"]).output)
    config = schema["$defs"]["NodeConfig"]

    assert {"nation", "mode", "name", "directory", "keys"} == set(config["required"])
    assert {"sensor", "feed", "partner", "page", "exchange", "store"} <= set(config["properties"])

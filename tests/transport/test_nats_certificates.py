"""What is wrong with the other side's certificate, or with ours, is said by name in the state of the link."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import structs
from nats_nodes import MODE, question, running, until

from trilat.identity import keyfiles
from trilat.identity import keys as k
from trilat.node.clock import now_ns
from trilat.transport.base import LinkDown
from trilat.transport.nats import NatsTransport
from trilat.transport.natsconf import explain

YEAR_NS = 365 * k.DAY_NS


@asynccontextmanager
async def impostor(held: keyfiles.NodeKeys) -> AsyncIterator[int]:
    """Listen with a key directory's server certificate; gives the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with keyfiles.private_path(k.private_pem(held.secrets.server) + held.secrets.server_certificate.encode()) as path:
        context.load_cert_chain(path)

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("age_ns", "use", "trusted", "name"),
    [
        (3 * YEAR_NS, "exercise", True, "certificate-expired"),
        (-YEAR_NS, "exercise", True, "certificate-not-yet-valid"),
        (0, "live", True, "certificate-name"),
        (0, "exercise", False, "certificate-untrusted"),
    ],
)
async def test_partners_certificate_is_refused_by_name(
    tmp_path: Path, age_ns: int, use: k.KeyUse, name: str, *, trusted: bool
) -> None:
    """An expired, a future, another node's and an unpinned certificate each give their own named fault, and no request passes."""
    made = keyfiles.provision(tmp_path, ("JPN", "USA"), MODE, now_ns())
    jpn = keyfiles.load(made["JPN"].keys, now_ns(), MODE)
    false = keyfiles.create(tmp_path / "false", "USA", use, now_ns() - age_ns)
    pin = keyfiles.load_partner(made["JPN"].partners["USA"])
    async with impostor(false) as port:
        root = false.identity.ca_certificate if trusted else pin.ca_certificate
        pin = structs.replace(pin, ca_certificate=root, addresses=(f"127.0.0.1:{port}",))
        transport = NatsTransport(jpn, MODE, now_ns, rng=random.Random(1))
        await transport.set_partners([pin])
        await until(lambda: all(state.fault for state in transport.states()), "the fault is known")
        faults = {line.fault.name for line in transport._lines.values() if line.fault}
        with pytest.raises(LinkDown):
            await transport.request(question("JPN", "USA"), 0.2)
        await transport.close()
    # A root that is not valid yet either is what OpenSSL meets first in the chain: the same name.
    assert faults == {name}


async def test_own_expired_certificate_keeps_the_link_down(tmp_path: Path) -> None:
    """A node whose own certificate ends while it runs says so in its links at the next dial, and goes on dialling."""
    made = keyfiles.provision(tmp_path, ("JPN", "USA"), MODE, now_ns())
    jpn = keyfiles.load(made["JPN"].keys, now_ns(), MODE)
    ahead_ns = [2 * YEAR_NS]
    transport = NatsTransport(jpn, MODE, lambda: now_ns() + ahead_ns[0], rng=random.Random(1))
    pin = structs.replace(keyfiles.load_partner(made["JPN"].partners["USA"]), addresses=("127.0.0.1:99999",))
    await transport.set_partners([pin])
    await until(lambda: all("TRI-0457" in state.fault for state in transport.states()), "the fault is known")
    ahead_ns[0] = 0
    await until(lambda: all("TRI-0473" in state.fault for state in transport.states()), "with the right time it is dialled again")
    await transport.close()


async def test_partner_that_is_not_there_is_link_closed(tmp_path: Path) -> None:
    """A partner whose server does not run is link-down, and is reached by itself once it does."""
    async with running(tmp_path) as nodes:
        jpn, usa = nodes["JPN"], nodes["USA"]
        await usa.transport.close()
        await usa.server.stop()
        imports = lambda: [state for state in jpn.transport.states() if state.direction == "import"]  # noqa: E731 - for two lines
        await until(lambda: not any(state.up for state in imports()), "the links are down")
        await until(lambda: all("TRI-0473" in state.fault for state in imports()), lambda: f"link-down in {imports()}")
        await usa.start()
        assert (await jpn.ask(question("JPN", "USA"))).sender == "USA"


async def test_renewed_certificates_are_taken_over_while_running(tmp_path: Path) -> None:
    """After `trilat keys rotate --certificates` the running node shows the new certificate, and its links come back."""
    async with running(tmp_path) as nodes:
        usa, jpn = nodes["USA"], nodes["JPN"]
        before = await shown(usa.server.port)
        usa.held = keyfiles.rotate_certificates(usa.made.keys, now_ns())
        await usa.transport.renew(usa.held)
        assert await shown(usa.server.port) != before
        assert (await jpn.ask(question("JPN", "USA"))).sender == "USA"
        assert (await usa.ask(question("USA", "JPN"))).sender == "JPN"


async def shown(port: int) -> bytes:
    """Return the certificate that a server shows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return certificate


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (TimeoutError(), "link-timeout"),
        (ConnectionRefusedError("no"), "link-down"),
        (ssl.SSLError(1, "tlsv1 alert unknown ca"), "link-refused"),
        (RuntimeError("nats: 'Authorization Violation'"), "link-refused"),
    ],
)
def test_faults_of_a_dial_have_names(error: Exception, name: str) -> None:
    """Every way a dial fails becomes a named error that says where."""
    said = explain(error, "USA", "tls://192.0.2.1:4222")
    assert (said.name, "USA at 192.0.2.1:4222" in said.detail) == (name, True)

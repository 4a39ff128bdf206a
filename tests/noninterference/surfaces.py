"""Every way by which bytes of a node reach somebody else, and where the two-run test looks at it, or why there is nothing to see.

The modules are those that may touch the outside at all: the list of the import contract, so that a new one needs a line here.
"""

from __future__ import annotations

# What a partner or the people can get hold of: compared byte by byte.
COMPARED = {
    "trilat.exchange.drive": "lets out what `Exchange.flush` returns: all of it that is KOR's stands in `Run.seen`, with its tick",
    "trilat.transport.loopback": "carries sealed envelopes as they are; that a request gets no answer is compared as well",
    "trilat.transport.nats": "the same; what it refuses it counts at home and leaves without an answer, one bound for each partner",
    "trilat.transport.line": "one connection of the same",
    "trilat.node.outlets": "makes the people's messages of what was released to PUBLIC, in its order, as `Run` does",
    "trilat.outputs.files": "writes a message's bodies under its identifier: both are compared, in every form",
    "trilat.outputs.posts": "posts the same bodies; its key is the identifier and the form",
    "trilat.outputs.runner": "sends the messages in their order, of those that a receiver missed the newest; receipts stay at home",
    "trilat.store.sqlite": "what waits for KOR is compared when it leaves; files stay at home; the canary scan reads KOR's own store",
}
# What is served to the own nation alone. A partner has no account on it, and it listens where the own people are (loopback unless
# the configuration says otherwise). No surface of it is made for a partner: what KOR's page shows KOR's node makes of what it got.
OWN_NATION = {
    "trilat.picture.web": "the page of the own people, and /metrics, /links, /livez, /readyz, /areas.json for the own operators",
    "trilat.picture.guard": "refuses strange hosts and origins, the same whatever is asked",
    "trilat.picture.client": "looks at the own page without a person",
    "trilat.accounts.door": "lets the own people in",
    "trilat.accounts.book": "their accounts",
    "trilat.ledger.explained": "for release officers and auditors behind that door",
    "trilat.ledger.recalling": "for release officers behind that door; the recall itself leaves by the audience's pipeline",
    "trilat.ledger.served": "the same: no export for a partner is made of it",
    "trilat.node.live": "the loop round the step; its logs stay at home",
    "trilat.node.process": "signals and the interpreter's settings",
    "trilat.node.clock": "gives the time to the step; the two runs have one clock",
    "trilat.feeds.sockets": "reads, and answers no sender; room and turn are each source's own (tests/feeds/test_sockets.py)",
    "trilat.identity.keyfiles": "own keys; what partners are given of them is made before a node runs",
    "trilat.identity.keystore": "the same",
    "trilat.transport.natsconf": "writes the server's accounts: of partners and keys, of no record",
}
# Real ways out that the two runs do not hold: said in docs/explanation/releasability.md.
NOT_COMPARED = {
    "trilat.transport.server": "nats-server greets a client with the number of its connection, counted over all partners",
}
# No part of a node that serves partners.
NO_NODE = {
    "trilat.exercise.demo": "starts an exercise's nodes",
    "trilat.exercise.processes": "the same",
    "trilat.exercise.simulate": "plays the world to the feeds",
    "trilat.simulation.disk": "simulation of the exchange",
    "trilat.simulation.nations": "the same",
    "trilat.simulation.network": "the same",
    "trilat.simulation.node": "the same",
    "trilat.simulation.recalls": "the same",
    "trilat.simulation.run": "the same",
    "trilat.simulation.schedule": "the same",
    "trilat.simulation.whole": "the same",
}

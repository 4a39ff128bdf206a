"""The six shapes of ADatP-4774 Table 17 and the words of their policy, as facts.

Source: what test-data/nato-4774-17-*.nato, nato-4774-policy.xml (an XML SPIF) and tests.xml of surevine/spiffing say, read
2026-11; markings are those that tests.xml expects. Vector 5 is held there to be invalid under that policy. The catalogue holds
only the values that the vectors use.
"""

CATALOGUE = b"""
format = "trilat-marking/1"

[[policy]]
id = "NATO"
url = "urn:oid:1.3.26.1.3.1"

[[policy.level]]
level = 0
name = "UNCLASSIFIED"
says = { fr = "SANS CLASSIFICATION" }

[[policy.level]]
level = 1
name = "RESTRICTED"
says = { fr = "DIFFUSION RESTREINTE" }

[[policy.level]]
level = 2
name = "CONFIDENTIAL"
says = { fr = "CONFIDENTIEL" }

[[policy.level]]
level = 4
name = "TOP SECRET"
policy_says = "COSMIC"

[[policy.tag]]
name = "Context"
kind = "PERMISSIVE"
place = "policy"
separator = "/"
value = [
    { name = "NATO", shown = false },
    { name = "Releasable", shown = false },
    { name = "EAPC", excluded = ["CONFIDENTIAL", "TOP SECRET"] },
    { name = "KFOR" },
]

[[policy.tag]]
name = "Releasable To"
kind = "PERMISSIVE"
before = { en = "Releasable to ", fr = "Communicable a " }
value = [
    { name = "NATO", shown = false },
    { name = "ISAF" },
    { name = "KFOR" },
    { name = "RESOLUTE SUPPORT" },
    { name = "EAPC" },
    { name = "JPN", says = { en = "Japan" } },
    { name = "CHE", says = { en = "Switzerland" } },
    { name = "UKR", says = { en = "Ukraine" } },
]

[[policy.tag]]
name = "Only"
kind = "PERMISSIVE"
behind = { en = " ONLY" }
value = [
    { name = "IRL", says = { en = "Ireland" } },
    { name = "SWE", says = { en = "Sweden" } },
    { name = "UKR", says = { en = "Ukraine" } },
    { name = "NATO" },
]

[[policy.tag]]
name = "Administrative"
kind = "INFORMATIVE"
before = { en = "- " }
value = [{ name = "STAFF" }]
"""

URL = ' URL="urn:oid:1.3.26.1.3.1"'
# number: URL of the policy, level, categories (tag, type, values), and the marking in English (None: refused by the policy)
VECTORS = {
    1: (
        URL,
        "UNCLASSIFIED",
        (
            ("Context", "PERMISSIVE", ("NATO", "Releasable")),
            ("Releasable To", "PERMISSIVE", ("NATO", "ISAF", "KFOR", "RESOLUTE SUPPORT")),
        ),
        "NATO UNCLASSIFIED Releasable to ISAF, KFOR, RESOLUTE SUPPORT",
    ),
    2: ("", "UNCLASSIFIED", (("Context", "PERMISSIVE", ("NATO",)),), "NATO UNCLASSIFIED"),
    3: (
        "",
        "UNCLASSIFIED",
        (("Context", "PERMISSIVE", ("NATO",)), ("Administrative", "INFORMATIVE", ("STAFF",))),
        "NATO UNCLASSIFIED - STAFF",
    ),
    4: (
        "",
        "RESTRICTED",
        (("Context", "PERMISSIVE", ("NATO", "Releasable")), ("Releasable To", "PERMISSIVE", ("NATO", "JPN", "CHE", "UKR"))),
        "NATO RESTRICTED Releasable to Japan, Switzerland, Ukraine",
    ),
    5: (
        "",
        "CONFIDENTIAL",
        (("Context", "PERMISSIVE", ("EAPC", "Releasable")), ("Releasable To", "PERMISSIVE", ("EAPC", "ISAF"))),
        None,
    ),
    6: (
        "",
        "CONFIDENTIAL",
        (("Context", "PERMISSIVE", ("KFOR",)), ("Only", "PERMISSIVE", ("NATO", "IRL", "SWE", "UKR"))),
        "NATO/KFOR CONFIDENTIAL Ireland, Sweden, Ukraine, NATO ONLY",
    ),
}


def document(number: int) -> bytes:
    """One vector as XML."""
    url, level, categories, _ = VECTORS[number]
    inside = "".join(
        f'<Category TagName="{tag}" Type="{kind}">{"".join(f"<GenericValue>{v}</GenericValue>" for v in values)}</Category>'
        for tag, kind, values in categories
    )
    return (
        '<originatorConfidentialityLabel xmlns="urn:nato:stanag:4774:confidentialitymetadatalabel:1:0">'
        f"<ConfidentialityInformation><PolicyIdentifier{url}>NATO</PolicyIdentifier><Classification>{level}</Classification>"
        f"{inside}</ConfidentialityInformation></originatorConfidentialityLabel>"
    ).encode()

"""One form of XML signature: the whole message, enveloped, exclusive canonical XML, SHA-256, Ed25519. The reader takes no other.

W3C XML Signature 1.1 (2013) with the Ed25519 identifier of RFC 9231, section 2.3.12. Only the whole document is ever signed
(reference URI ""), by one signature that is the root's last child, so that there is nothing to wrap. The library signxml has
no Ed25519, and that is the key that partners have pinned; canonical XML is lxml's.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

from lxml import etree

from trilat.errors import TrilatError

DS = "http://www.w3.org/2000/09/xmldsig#"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = f"{DS}enveloped-signature"
ED25519 = "http://www.w3.org/2021/04/xmldsig-more#eddsa-ed25519"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
BYTES_MAX = 2_000_000


class CapError(TrilatError):
    """A CAP message that is not used."""


def parse(data: bytes) -> etree._Element:
    """Return the root of an XML text without entities, network or comments; CapError cap-unreadable."""
    if len(data) > BYTES_MAX:
        raise CapError("cap-unreadable", f"{len(data):,} bytes, at most {BYTES_MAX:,}.")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise CapError("cap-unreadable", f"{error}."[:200]) from error
    if root.getroottree().docinfo.doctype:
        raise CapError("cap-unreadable", "It has a document type.")
    return root


def canonical(element: etree._Element) -> bytes:
    """Return exclusive canonical XML of an element (W3C 2002), without comments."""
    return bytes(etree.tostring(element, method="c14n", exclusive=True, with_comments=False))


def _signed_info(digest: bytes) -> etree._Element:
    info = etree.Element(f"{{{DS}}}SignedInfo", nsmap={"ds": DS})
    etree.SubElement(info, f"{{{DS}}}CanonicalizationMethod", Algorithm=EXCLUSIVE)
    etree.SubElement(info, f"{{{DS}}}SignatureMethod", Algorithm=ED25519)
    reference = etree.SubElement(info, f"{{{DS}}}Reference", URI="")
    transforms = etree.SubElement(reference, f"{{{DS}}}Transforms")
    for name in (ENVELOPED, EXCLUSIVE):
        etree.SubElement(transforms, f"{{{DS}}}Transform", Algorithm=name)
    etree.SubElement(reference, f"{{{DS}}}DigestMethod", Algorithm=SHA256)
    etree.SubElement(reference, f"{{{DS}}}DigestValue").text = base64.b64encode(digest).decode()
    return info


def sign(data: bytes, key_name: str, sign_bytes: Callable[[bytes], bytes]) -> bytes:
    """Return an XML text with its signature as the root's last child. sign_bytes: Ed25519 over bytes (RFC 8032)."""
    root = parse(data)
    info = _signed_info(hashlib.sha256(canonical(root)).digest())
    signature = etree.Element(f"{{{DS}}}Signature", nsmap={"ds": DS})
    signature.append(info)
    value = etree.SubElement(signature, f"{{{DS}}}SignatureValue")
    value.text = base64.b64encode(sign_bytes(canonical(info))).decode()
    name = etree.SubElement(etree.SubElement(signature, f"{{{DS}}}KeyInfo"), f"{{{DS}}}KeyName")
    name.text = key_name
    root.append(signature)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))


def verified(data: bytes, holds: Callable[[str, bytes, bytes], bool]) -> etree._Element:
    """Return what was signed, without its signature. holds(key name, bytes, signature) asks the pinned keys.

    Raises CapError: cap-unreadable, cap-unsigned (none, several, or another form), cap-forged.
    """
    root = parse(data)
    found = list(root.iter(f"{{{DS}}}Signature"))
    if len(found) != 1 or len(root) == 0 or root[-1] is not found[0]:
        raise CapError("cap-unsigned", f"{len(found)} signatures.")
    signature = found[0]
    info, value, name = (signature.find(f".//{{{DS}}}{tag}") for tag in ("SignedInfo", "SignatureValue", "KeyName"))
    if info is None or value is None or name is None:
        raise CapError("cap-unsigned", "The signature lacks a part.")
    said = canonical(info)
    root.remove(signature)
    # Everything but the digest is fixed: what is signed must be exactly what we would have written over this very document.
    if said != canonical(_signed_info(hashlib.sha256(canonical(root)).digest())):
        raise CapError("cap-forged", "The signature is over something else, or of another form.")
    try:
        raw = base64.b64decode("".join((value.text or "").split()), validate=True)
    except ValueError as error:
        raise CapError("cap-forged", "The signature's value is no base64.") from error
    if not holds((name.text or "").strip(), said, raw):
        raise CapError("cap-forged", f"No pinned key of its sender made it ({(name.text or '')[:40]}).")
    return root

"""Confidentiality labels as XML: the ADatP-4774 label (Edition A version 1, 2017), read with suspicion and written one way.

Two layers. `Confidentiality` is what any such label says, of whatever policy: policy, classification, categories. On top,
`to_xml` and `from_xml` carry a whole `Label` of ours, losslessly. Categories have a type: a recipient needs one value of a
PERMISSIVE category, all of a RESTRICTIVE one, and an INFORMATIVE one changes nothing. Two consequences in how ours are written:

- `Releasable To` always names the originator: with no such category at all a foreign reader would see no limit on readers, but
  for us an empty list is nobody.
- What we do not know is refused, also where it is INFORMATIVE: an unknown restriction must withhold, not vanish.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, Literal

from msgspec import Struct

from trilat.errors import PolicyError

NAMESPACE = "urn:nato:stanag:4774:confidentialitymetadatalabel:1:0"
NATION = "urn:trilat:nation:"
xml_bytes_max = 65_536
depth_max = 6
elements_max = 2_000
text_max = 256

TagKind = Literal["PERMISSIVE", "RESTRICTIVE", "INFORMATIVE"]
KINDS = ("PERMISSIVE", "RESTRICTIVE", "INFORMATIVE")
ROOTS = ("originatorConfidentialityLabel", "alternativeConfidentialityLabel")


class Category(Struct, frozen=True, kw_only=True):
    """One category: its tag, its type, its values in the order of the document."""

    tag: str
    kind: TagKind
    values: tuple[str, ...]


class Confidentiality(Struct, frozen=True, kw_only=True):
    """What one ADatP-4774 label says. `alternative`: it says an originator's label in another policy."""

    policy: str
    classification: str
    categories: tuple[Category, ...] = ()
    policy_url: str | None = None
    privacy_mark: str | None = None
    originator: str | None = None
    created: str | None = None
    alternative: bool = False


def _refuse(why: str) -> PolicyError:
    return PolicyError("label-unreadable", f"XML: {why}"[:300])


def parse(raw: bytes) -> Confidentiality:
    """Return what a label's XML says. Raises PolicyError (label-unreadable) for anything but a plain, small, known document.

    No DOCTYPE, entity, comment or processing instruction (a comment can cut a value in two for one reader and not for another),
    no foreign namespace, no unknown element or attribute, no text beside elements.
    """
    root = _tree(raw)
    if root.tag not in {f"{{{NAMESPACE}}}{name}" for name in ROOTS}:
        raise _refuse(f"the root is {root.tag[:120]!r}")
    _no_attributes(root)
    _once(root, {"ConfidentialityInformation", "OriginatorID", "CreationDateTime"})
    information = _child(root, "ConfidentialityInformation")
    if information is None:
        raise _refuse("it has no ConfidentialityInformation")
    _no_attributes(information)
    _once(information, {"PolicyIdentifier", "Classification", "PrivacyMark"}, many={"Category"})
    policy = _child(information, "PolicyIdentifier")
    classification = _child(information, "Classification")
    if policy is None or classification is None:
        raise _refuse("policy or classification is missing")
    originator = _child(root, "OriginatorID")
    categories = tuple(_category(one) for one in information if _name(one) == "Category")
    tags = [(one.tag, one.kind) for one in categories]
    if len(set(tags)) != len(tags):
        raise _refuse("a category stands twice")
    return Confidentiality(
        policy=_text(policy, {"URL"}),
        policy_url=policy.get("URL"),
        classification=_text(classification),
        privacy_mark=_optional(information, "PrivacyMark"),
        categories=categories,
        originator=None if originator is None else _text(originator, {"IDType"}),
        created=_optional(root, "CreationDateTime"),
        alternative=_name(root) == ROOTS[1],
    )


@cache
def _parser() -> Any:
    """Return the one parser: it resolves nothing, fetches nothing and mends nothing. Making one costs more than using it."""
    from lxml import etree  # noqa: PLC0415 - see _tree

    return etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False, recover=False
    )


def _tree(raw: bytes) -> Any:
    """Return the root element of hostile bytes, with everything refused that a label has no use for."""
    from lxml import etree  # noqa: PLC0415 - loaded where XML is read, not where a label is looked at

    if len(raw) > xml_bytes_max:
        raise _refuse(f"{len(raw)} bytes, more than {xml_bytes_max}")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise _refuse("it is not UTF-8") from fault
    if b"\x00" in raw or b"<!" in raw or b"<?" in raw.lstrip()[5:]:
        raise _refuse("DOCTYPE, comments, CDATA and processing instructions are not taken")
    try:
        root = etree.fromstring(raw, _parser())
    except (etree.XMLSyntaxError, ValueError) as fault:
        raise _refuse(str(fault)) from fault
    if root.getroottree().docinfo.doctype:
        raise _refuse("it has a DOCTYPE")
    stack, seen = [(root, 1)], 0
    while stack:
        element, depth = stack.pop()
        seen += 1
        if depth > depth_max or seen > elements_max:
            raise _refuse(f"deeper than {depth_max} or more than {elements_max} elements")
        if not isinstance(element.tag, str) or not element.tag.startswith(f"{{{NAMESPACE}}}"):
            raise _refuse(f"{str(element.tag)[:120]!r} is not of the label's namespace")
        if (element.tail or "").strip() or (len(element) and (element.text or "").strip()):
            raise _refuse(f"text beside the elements of {_name(element)}")
        stack += [(child, depth + 1) for child in element]
    return root


def _name(element: Any) -> str:
    return str(element.tag).rsplit("}", 1)[-1]


def _child(element: Any, name: str) -> Any:
    return element.find(f"{{{NAMESPACE}}}{name}")


def _once(element: Any, names: set[str], many: frozenset[str] | set[str] = frozenset()) -> None:
    found = [_name(child) for child in element]
    for name in found:
        if name not in names and name not in many:
            raise _refuse(f"{_name(element)} holds an unknown {name[:80]!r}")
        if name in names and found.count(name) > 1:
            raise _refuse(f"{name} stands twice")


def _no_attributes(element: Any, known: Iterable[str] = ()) -> None:
    if unknown := sorted(set(element.attrib) - set(known)):
        raise _refuse(f"{_name(element)} has unknown attributes {unknown!r}")


def _text(element: Any, attributes: Iterable[str] = ()) -> str:
    """Return an element's text as it stands: nothing is trimmed, so that a padded name is seen to be padded."""
    _no_attributes(element, attributes)
    text = element.text or ""
    if len(element) or not text or len(text) > text_max:
        raise _refuse(f"{_name(element)} is empty, has children, or is longer than {text_max}")
    return str(text)


def _optional(element: Any, name: str) -> str | None:
    found = _child(element, name)
    return None if found is None else _text(found)


def _category(element: Any) -> Category:
    _no_attributes(element, {"TagName", "Type"})
    tag, kind = element.get("TagName"), element.get("Type")
    if not tag or len(tag) > text_max or kind not in KINDS:
        raise _refuse(f"a category with tag {tag!r} and type {kind!r}")
    if not len(element) or any(_name(child) != "GenericValue" for child in element):
        raise _refuse(f"category {tag!r} holds something else than GenericValue, or nothing")
    values = tuple(_text(child) for child in element)
    if len(set(values)) != len(values):
        raise _refuse(f"category {tag!r} has a value twice")
    return Category(tag=tag, kind=kind, values=values)


def write(label: Confidentiality) -> bytes:
    """Return a label's XML: one line an element, categories in the order given, always the same bytes for the same label."""
    from lxml import etree  # noqa: PLC0415 - see _tree

    def add(parent: Any, name: str, text: str | None = None, **attributes: str) -> Any:
        made = etree.SubElement(parent, f"{{{NAMESPACE}}}{name}", attributes)
        made.text = text
        return made

    root = etree.Element(f"{{{NAMESPACE}}}{ROOTS[label.alternative]}", nsmap={None: NAMESPACE})
    information = add(root, "ConfidentialityInformation")
    url = {} if label.policy_url is None else {"URL": label.policy_url}
    add(information, "PolicyIdentifier", label.policy, **url)
    add(information, "Classification", label.classification)
    if label.privacy_mark is not None:
        add(information, "PrivacyMark", label.privacy_mark)
    for category in label.categories:
        element = add(information, "Category", TagName=category.tag, Type=category.kind)
        for value in category.values:
            add(element, "GenericValue", value)
    if label.originator is not None:
        add(root, "OriginatorID", label.originator, IDType="uniformResourceIdentifier")
    if label.created is not None:
        add(root, "CreationDateTime", label.created)
    etree.indent(root, " ")
    return bytes(etree.tostring(root, encoding="UTF-8", xml_declaration=True)) + b"\n"

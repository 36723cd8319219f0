"""Turns what is on the wire into values of a shape, with the names that the model has. What a model does not know stays as it is."""

import base64
import binascii
import datetime
import xml.etree.ElementTree as ElementTree

from botocore import parsers

from shapes import NUMBERS, WHOLE_NUMBERS


def wire_name(name, member):
    return member.serialization.get("name", name)


def from_tree(shape, tree):
    """Out of JSON, or out of CBOR, whose blobs are bytes already."""
    if shape.type_name == "structure" and isinstance(tree, dict):
        if getattr(shape, "is_document_type", False):
            return tree
        known = {wire_name(name, member): (name, member) for name, member in shape.members.items()}
        named = {}
        for key, value in tree.items():
            name, member = known.get(key, (key, None))
            named[name] = value if member is None else from_tree(member, value)
        return named
    if shape.type_name == "list" and isinstance(tree, list):
        return [from_tree(shape.member, entry) for entry in tree]
    if shape.type_name == "map" and isinstance(tree, dict):
        return {key: from_tree(shape.value, entry) for key, entry in tree.items()}
    if shape.type_name == "blob" and isinstance(tree, str):
        return from_base64(tree)
    return tree


def from_base64(text):
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return text


def from_cbor(data):
    parser = parsers.RpcV2CBORParser()
    try:
        return parser.parse_data_item(parser.get_peekable_stream_from_bytes(data)) if data else {}
    except parsers.ResponseParserError as error:
        raise ValueError(f"{data[:60]!r} is no CBOR: {error}") from error


def from_text(shape, text):
    """Out of a header, a path, a query or XML."""
    kind = shape.type_name
    try:
        if kind in WHOLE_NUMBERS:
            return int(text)
        if kind in NUMBERS:
            return float(text)
        if kind == "timestamp":
            return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return text
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return from_base64(text) if kind == "blob" else text


def from_query(shape, texts):
    """Out of the fields of one name in a query: a list has as many as entries."""
    if shape.type_name == "list":
        return [from_text(shape.member, text) for text in texts]
    return from_text(shape, texts[0]) if len(texts) == 1 else texts


def from_xml(shape, element):
    """Out of the XML of the query protocol, whose lists have their entries in elements `member`."""
    if shape.type_name == "structure":
        known = {wire_name(name, member): (name, member) for name, member in shape.members.items()}
        named = {}
        for child in element:
            name, member = known.get(local_name(child), (local_name(child), None))
            named[name] = child.text if member is None else from_xml(member, child)
        return named
    if shape.type_name == "list":
        return [from_xml(shape.member, child) for child in element]
    return from_text(shape, element.text or "")


def parsed_xml(data):
    return ElementTree.fromstring(data)


def local_name(element):
    return element.tag.rsplit("}", 1)[-1]


def from_form(shape, fields, prefix=""):
    """Out of the fields of the query protocol: `Filter.member.1.Name`."""
    if shape.type_name == "structure":
        named = {}
        for name, member in shape.members.items():
            its = {key: text for key, text in fields.items() if is_below(key, prefix + wire_name(name, member))}
            if its:
                named[name] = from_form(member, its, prefix + wire_name(name, member))
        taken = [prefix + wire_name(name, member) for name, member in shape.members.items()]
        rest = [key for key in fields if not any(is_below(key, name) for name in taken)]
        return named | {key: fields[key] for key in rest}
    if shape.type_name == "list":
        start = prefix if shape.serialization.get("flattened") else f"{prefix}.member"
        numbers = sorted({int(key[len(start) + 1 :].split(".")[0]) for key in fields})
        return [from_form(shape.member, fields, f"{start}.{number}") for number in numbers]
    return from_text(shape, fields.get(prefix, ""))


def is_below(key, name):
    return key == name or key.startswith(f"{name}.")

"""Which operation of which service a recorded request is, and with which members it was asked.

Source: Smithy's specifications of the protocols `awsJson1_1`, `restJson1`, `awsQuery` and `smithy-rpc-v2-cbor`.
"""

import base64
import functools
import json
import re
import urllib.parse

from botocore import loaders
from botocore.model import ServiceModel

from values import from_cbor, from_form, from_query, from_text, from_tree

# What a request may be signed for, and the service whose model describes it.
SERVICES = {
    "apprunner": "apprunner",
    "ecr": "ecr",
    "ecs": "ecs",
    "eks": "eks",
    "events": "events",
    "lambda": "lambda",
    "monitoring": "cloudwatch",
    "scheduler": "scheduler",
    "sts": "sts",
}

# Headers of every request that are no members.
PLAIN_HEADERS = ("x-amz-date", "x-amz-content-sha256", "x-amz-target", "x-amz-user-agent", "x-amz-checksum")


class Unreadable(Exception):
    """A request or an answer that is not in the words of its protocol."""


@functools.lru_cache(maxsize=None)
def description(service):
    """The model as it is published."""
    return loaders.Loader().load_service_model(service, "service-2")


@functools.lru_cache(maxsize=None)
def model(service):
    return ServiceModel(description(service), service)


def service_of(record):
    """The model of the service that a request is signed for."""
    signed = record["service"]
    if signed not in SERVICES:
        raise Unreadable(f"{record['method']} {record['path']} is signed for {signed!r}, which is no service that is known here")
    return model(SERVICES[signed])


def body_of(record):
    return base64.b64decode(record["body"])


def asked(service, record):
    """The operation, the protocol in which it was asked, and the members."""
    headers = record["headers"]
    if headers.get("smithy-protocol") == "rpc-v2-cbor":
        return by_cbor(service, record)
    if "x-amz-target" in headers:
        return by_target(service, record)
    if service.protocol == "query":
        return by_form(service, record)
    if service.protocol == "rest-json":
        return by_path(service, record)
    raise Unreadable(f"{record['method']} {record['path']} is in no protocol of {service.service_name}")


def operation(service, name):
    if name not in service.operation_names:
        raise Unreadable(f"{service.service_name} has no operation {name}")
    return service.operation_model(name)


def expect(what, is_so):
    if not is_so:
        raise Unreadable(what)


def posted_to(record, path):
    expect(f"the request is {record['method']} {record['path']} and not POST {path}", record["method"] == "POST" and record["path"] == path)


def has_type(record, media_type):
    said = record["headers"].get("content-type", "").split(";")[0]
    expect(f"the request's content-type is {said!r} and not {media_type}", said == media_type)


def members_of_tree(operation_model, tree):
    shape = operation_model.input_shape
    if shape is None:
        expect(f"{operation_model.name} takes no input, and was given {tree}", not tree)
        return {}
    return from_tree(shape, tree)


def by_target(service, record):
    posted_to(record, "/")
    has_type(record, f"application/x-amz-json-{service.metadata.get('jsonVersion', '1.0')}")
    prefix, _, name = record["headers"]["x-amz-target"].rpartition(".")
    expect(f"the target {prefix} is not {service.metadata['targetPrefix']}", prefix == service.metadata["targetPrefix"])
    found = operation(service, name)
    return found, "json", members_of_tree(found, parsed_json(body_of(record)))


def by_cbor(service, record):
    parts = record["path"].strip("/").split("/")
    is_so = len(parts) == 4 and (parts[0], parts[2]) == ("service", "operation")
    expect(f"{record['path']} is no path of an operation", is_so and parts[1] == service.metadata["targetPrefix"])
    posted_to(record, record["path"])
    has_type(record, "application/cbor")
    found = operation(service, parts[3])
    return found, "smithy-rpc-v2-cbor", members_of_tree(found, from_cbor(body_of(record)))


def by_form(service, record):
    posted_to(record, "/")
    has_type(record, "application/x-www-form-urlencoded")
    fields = dict(urllib.parse.parse_qsl(body_of(record).decode(), keep_blank_values=True, strict_parsing=True))
    found = operation(service, fields.pop("Action", ""))
    version = fields.pop("Version", None)
    expect(f"the request's Version is {version} and not {service.api_version}", version == service.api_version)
    shape = found.input_shape
    return found, "query", from_form(shape, fields) if shape else fields


def by_path(service, record):
    path, _, query = record["path"].partition("?")
    candidates = []
    for name in service.operation_names:
        found = service.operation_model(name)
        template, _, fixed = found.http["requestUri"].partition("?")
        match = path_expression(template).fullmatch(path)
        if found.http["method"] == record["method"] and match and fixed in query:
            candidates.append((template.count("{"), found, match.groupdict(), fixed))
    if not candidates:
        raise Unreadable(f"{record['method']} {path} is no operation of {service.service_name}")
    _, found, labels, fixed = min(candidates, key=lambda one: one[0])
    fields = urllib.parse.parse_qsl(query, keep_blank_values=True)
    plain = urllib.parse.parse_qsl(fixed, keep_blank_values=True)
    fields = [field for field in fields if field not in plain]
    return found, "rest-json", members_of_rest(found, record, labels, fields)


@functools.lru_cache(maxsize=None)
def path_expression(template):
    """A label is one part of a path; `{name+}` is as many as there are."""
    parts = re.split(r"(\{[^}]+\})", template.rstrip("/"))
    text = ""
    for part in parts:
        if part.endswith("+}"):
            text += f"(?P<{group(part[1:-2])}>.+)"
        elif part.startswith("{"):
            text += f"(?P<{group(part[1:-1])}>[^/]+)"
        else:
            text += re.escape(part)
    return re.compile(f"{text}/?")


def group(label):
    return label.replace("-", "_")


def members_of_rest(operation_model, record, labels, fields):
    shape = operation_model.input_shape
    if shape is None:
        expect(f"{operation_model.name} takes no input", not fields)
        return {}
    found, of_body = {}, {}
    queried = dict(fields)
    for name, member in shape.members.items():
        location, key = member.serialization.get("location"), member.serialization.get("name", name)
        if location == "uri":
            text = labels.get(group(key))
            found |= {} if text is None else {name: from_text(member, urllib.parse.unquote(text))}
        elif location == "querystring":
            texts = [text for field, text in fields if field == key]
            queried.pop(key, None)
            found |= {name: from_query(member, texts)} if texts else {}
        elif location == "header":
            text = record["headers"].get(key.lower())
            found |= {} if text is None else {name: from_text(member, text)}
        elif location is None:
            of_body[name] = member
    # What is left of the query and of the headers, no member stands for.
    headers = [key for key in record["headers"] if key.startswith("x-amz-") and not is_plain(shape, key)]
    found |= queried | {key: record["headers"][key] for key in headers}
    return found | members_of_body(shape, body_of(record), record["headers"])


def is_plain(shape, key):
    of_members = [member.serialization.get("name", "").lower() for member in shape.members.values()]
    return key.startswith(PLAIN_HEADERS) or key in of_members


def members_of_body(shape, data, headers):
    """The members that a body holds, of a request or of an answer."""
    payload = shape.serialization.get("payload")
    if payload:
        member = shape.members[payload]
        if member.type_name == "blob":
            return {payload: data} if data else {}
        return {payload: from_tree(member, parsed_json(data))} if data else {}
    if not data:
        return {}
    said = headers.get("content-type", "").split(";")[0]
    expect(f"the content-type is {said!r} and not application/json", said == "application/json")
    return from_tree(shape, parsed_json(data))


def parsed_json(data):
    try:
        return json.loads(data or b"{}")
    except ValueError as error:
        raise Unreadable(f"{data[:60]!r} is no JSON: {error}") from error

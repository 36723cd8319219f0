"""What an answer says: members of the operation's output, or an error that the operation may have."""

import base64

from botocore import parsers

from calls import description, expect, members_of_body, parsed_json
from shapes import Difference, differences
from values import from_cbor, from_text, from_tree, from_xml, local_name, parsed_xml

# Errors of every operation of every service, and their HTTP statuses. Source: "Common Errors" in the API reference of each service,
# <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/CommonErrors.html>.
COMMON_ERRORS = {
    "AccessDeniedException": (400, 403),
    "ExpiredTokenException": (400, 403),
    "IncompleteSignature": (400, 403),
    "InternalFailure": (500,),
    "MalformedHttpRequestException": (400,),
    "NotAuthorized": (400, 401),
    "OptInRequired": (403,),
    "RequestAbortedException": (400,),
    "RequestEntityTooLargeException": (413,),
    "RequestExpired": (400,),
    "RequestTimeoutException": (408,),
    "ServiceUnavailable": (503,),
    "ThrottlingException": (400, 429),
    "UnknownOperationException": (400, 404),
    "UnrecognizedClientException": (400, 403),
    "ValidationError": (400,),
}

MEDIA_TYPES = {
    "json": "application/x-amz-json-1.1",
    "rest-json": "application/json",
    "query": "text/xml",
    "smithy-rpc-v2-cbor": "application/cbor",
}


def judged(operation, protocol, answer):
    """Yields what a model would have otherwise in an answer."""
    data = base64.b64decode(answer["body"])
    headers = {key.lower(): value for key, value in answer["headers"].items()}
    if data:
        said = headers.get("content-type", "").split(";")[0]
        if said != MEDIA_TYPES[protocol]:
            yield Difference("content-type", f"is {said!r}; the protocol has {MEDIA_TYPES[protocol]}")
    if answer["status"] >= 300:
        yield from of_error(operation, protocol, answer["status"], headers, data)
        return
    shape = operation.output_shape
    yield from of_status(operation, answer["status"])
    if shape is not None:
        yield from differences(shape, members(operation, protocol, answer["status"], headers, data))
    elif data.strip() not in (b"", b"{}") and protocol != "query":
        yield Difference("", f"is {data[:60]!r}; the operation answers nothing")
    yield from of_botocore(shape, protocol, answer["status"], headers, data)


def of_status(operation, status):
    shape = operation.output_shape
    locations = [member.serialization.get("location") for member in shape.members.values()] if shape else []
    wanted = operation.http.get("responseCode", 200)
    if "statusCode" not in locations and status != wanted:
        yield Difference("status", f"is {status}; the model has {wanted}")


def of_botocore(shape, protocol, status, headers, data):
    """botocore itself reads the answer as well."""
    try:
        parsers.create_parser(protocol).parse({"status_code": status, "headers": headers, "body": data}, shape)
    except Exception as error:  # noqa: BLE001 (whatever it is, botocore's users would have it too)
        yield Difference("", f"is not read by botocore: {error}")


def members(operation, protocol, status, headers, data):
    shape = operation.output_shape
    if protocol == "json":
        return from_tree(shape, parsed_json(data))
    if protocol == "smithy-rpc-v2-cbor":
        return from_tree(shape, from_cbor(data))
    if protocol == "query":
        return of_xml(operation, data)
    found = members_of_body(shape, data, headers)
    for name, member in shape.members.items():
        location, key = member.serialization.get("location"), member.serialization.get("name", name)
        if location == "header" and key.lower() in headers:
            found[name] = from_text(member, headers[key.lower()])
        elif location == "statusCode":
            found[name] = status
    return found


def of_xml(operation, data):
    root = parsed_xml(data)
    expect(f"the answer is a {local_name(root)}", local_name(root) == f"{operation.name}Response")
    wrapper = operation.output_shape.serialization.get("resultWrapper")
    inner = [child for child in root if local_name(child) == wrapper]
    expect(f"the answer has no {wrapper}", len(inner) == 1)
    expect("the answer has no ResponseMetadata", any(local_name(child) == "ResponseMetadata" for child in root))
    return from_xml(operation.output_shape, inner[0])


def of_error(operation, protocol, status, headers, data):
    code, said = error(protocol, headers, data)
    for shape in operation.error_shapes:
        if code in (shape.error_code, shape.name):
            wanted = http_status(operation, shape)
            if status != wanted:
                yield Difference(code, f"has the status {status}; the model has {wanted}")
            yield from differences(shape, with_its_message(shape, from_tree(shape, said)), code)
            return
    if code not in COMMON_ERRORS:
        names = ", ".join(sorted(shape.name for shape in operation.error_shapes))
        yield Difference(code, f"is no error of the operation ({names}) and none of all operations")
    elif status not in COMMON_ERRORS[code]:
        yield Difference(code, f"has the status {status}; it comes with {COMMON_ERRORS[code]}")


def http_status(operation, shape):
    """Where a model has no status, an error of the caller's has 400 and one of AWS's own has 500."""
    said = description(operation.service_model.service_name)["shapes"][shape.name]
    return said.get("error", {}).get("httpStatusCode") or (500 if said.get("fault") else 400)


def error(protocol, headers, data):
    """The code of an error, and what else its body says."""
    if protocol == "query":
        root = parsed_xml(data)
        inner = [child for child in root if local_name(child) == "Error"]
        expect("the error is no ErrorResponse with an Error", local_name(root) == "ErrorResponse" and len(inner) == 1)
        fields = {local_name(child): child.text for child in inner[0]}
        expect("the error has no Code", "Code" in fields)
        return fields["Code"], {"message": fields.get("Message")}
    said = from_cbor(data) if protocol == "smithy-rpc-v2-cbor" else parsed_json(data)
    of_body = said.pop("__type", None)
    code = headers.get("x-amzn-errortype") or of_body
    expect("the error has no code", code is not None)
    return code.split(":")[0].rsplit("#", 1)[-1], said


def with_its_message(shape, said):
    """All readers take `message` and `Message` for the same."""
    spelled = {name.lower(): name for name in shape.members}
    return {spelled.get("message", name) if name.lower() == "message" else name: value for name, value in said.items()}

"""What AWS Lambda calls."""

import service


def handler(event, _context):
    """Answers an event with what the service says, as an HTTP response that Lambda function URLs understand."""
    path = event.get("rawPath", "/") if isinstance(event, dict) else "/"
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": service.answer(path).decode(),
    }

"""Where the tests' own AWS is allowed to differ from AWS's models, each with the reason."""

import dataclasses
import re

# The tests' AWS is its own registry, at a port of this machine, and its address is in the names of images. A name is judged as the one
# that ECR would have in its place, so that everything after the address is held against the models all the same.
OWN_REGISTRY = re.compile(r"^127\.0\.0\.1:\d+/")
ECR_REGISTRY = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/"


def as_in_ecr(text):
    return OWN_REGISTRY.sub(ECR_REGISTRY, text)


@dataclasses.dataclass(frozen=True)
class Deviation:
    """A difference that is no mistake."""

    # `request` or `answer`.
    side: str
    # As in `ecr.PutImage`.
    operation: str
    # The member.
    where: str
    # What differs, from its beginning.
    what: str
    # Why it is right all the same, with its source.
    reason: str

    def covers(self, side, operation, difference):
        is_there = (side, operation, difference.where) == (self.side, self.operation, self.where)
        return is_there and re.match(self.what, difference.what) is not None


SERVICE_ID = "the model contradicts itself: it wants 32 characters, and a pattern that has 36"

ALLOWED = (
    *(
        Deviation(
            side="answer",
            operation=f"apprunner.{operation}",
            where="Service.ServiceId",
            what=r"is '[0-9a-f]{32}'; the model wants the pattern ",
            reason=SERVICE_ID,
        )
        for operation in ("DescribeService", "UpdateService")
    ),
    Deviation(
        side="answer",
        operation="ecr.BatchDeleteImage",
        where="imageIds",
        what=r"has \d+ entries; the model wants 100 at most",
        reason="a request names 100 images at most, by digest; the answer names every tag that went with them, and AWS holds "
        "requests against its models, not answers",
    ),
)

"""The check finds what it is for: recordings with one mistake each, and one that has none."""

import base64
import contextlib
import io
import json
import pathlib
import tempfile
import unittest

import check
import deviations

DIGEST = f"sha256:{'0' * 64}"
ECR = {"content-type": "application/x-amz-json-1.1"}
REST = {"content-type": "application/json"}
LAMBDA = "/2015-03-31/functions"
STS = "http://sts.example.com/doc/"


def encoded(body):
    data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return base64.b64encode(data).decode()


def answer(body, status=200, headers=ECR):
    return {"status": status, "headers": headers, "body": encoded(body)}


def call(service, headers, body, answered, method="POST", path="/", injected=False):
    return {
        "test": "a_test",
        "service": service,
        "method": method,
        "path": path,
        "headers": headers,
        "body": encoded(body),
        "answer": answered,
        "injected": injected,
    }


def ecr(operation, members, answered, **more):
    target = {"x-amz-target": f"AmazonEC2ContainerRegistry_V20150921.{operation}"}
    return call("ecr", ECR | target, members, answered, **more)


def put_image(answered=None, **members):
    members = {"repositoryName": "backend", "imageManifest": "{}"} | members
    members = {name: value for name, value in members.items() if value is not None}
    return ecr("PutImage", members, answered or answer({"image": {"repositoryName": "backend"}}))


def function(answered, method="GET", path=f"{LAMBDA}/worker", body="", headers=None):
    return call("lambda", headers or {}, body, answered, method, path)


def caller_identity(answered, body="Action=GetCallerIdentity&Version=2011-06-15"):
    form = {"content-type": "application/x-www-form-urlencoded"}
    return call("sts", form, body, answered)


def identity(inner):
    text = f'<GetCallerIdentityResponse xmlns="{STS}">{inner}</GetCallerIdentityResponse>'
    return answer(text, headers={"content-type": "text/xml"})


def metric(body, path="GetMetricStatistics"):
    headers = {"smithy-protocol": "rpc-v2-cbor", "content-type": "application/cbor"}
    answered = answer(b"\xa1\x65Label\x61x", headers=headers)
    return call("monitoring", headers, body, answered, path=f"/service/GraniteServiceVersion20100801/operation/{path}")


METADATA = "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>"
RESULT = "<GetCallerIdentityResult><Account>111122223333</Account></GetCallerIdentityResult>"

# Calls that AWS would make and answer.
GOOD = (
    put_image(imageTag="a", imageDigest=DIGEST),
    put_image(answer({"__type": "ImageAlreadyExistsException", "message": "m"}, 400)),
    put_image(answer({"__type": "ThrottlingException", "message": "m"}, 400)),
    function(answer({"Configuration": {"FunctionName": "worker", "State": "Active"}}, headers=REST)),
    function(answer({"message": "m"}, 404, REST | {"x-amzn-errortype": "ResourceNotFoundException"})),
    function(answer({"Functions": []}, headers=REST), path=f"{LAMBDA}/?MaxItems=50&FunctionVersion=ALL"),
    function(answer(b"anything", headers=REST), "POST", f"{LAMBDA}/worker/invocations", b"\x00"),
    function(answer("", 204, {}), "DELETE", f"{LAMBDA}/worker/aliases/live"),
    caller_identity(identity(RESULT + METADATA)),
    ecr("PutImage", {"repositoryName": "backend", "imageManifest": "{}"}, None, injected=True),
)

# One mistake each, and the words that name it.
BAD = (
    (put_image(imageManifest=None), "ecr.PutImage request imageManifest is missing"),
    (put_image(surprise=1), "ecr.PutImage request surprise is no member of PutImageRequest"),
    (put_image(imageTag=7), "request imageTag is 7; the model wants the type string"),
    (put_image(imageTag=None, imageDigest={}), "request imageDigest is {}; the model wants the type string"),
    (put_image(imageTag="a" * 301), "request imageTag has 301 characters; the model wants 300 at most"),
    (put_image(repositoryName="Backend"), "request repositoryName is 'Backend'; the model wants the pattern"),
    (put_image(registryId="1111222233334"), "request registryId is '1111222233334'; the model wants the pattern"),
    (put_image(answer({"image": {"imageId": {"tag": "a"}}})), "answer image.imageId.tag is no member"),
    (put_image(answer({"image": None})), "answer image is null"),
    (put_image(answer({"__type": "ImageNotFoundException", "message": "m"}, 400)), "ImageNotFoundException is no error of the operation"),
    (put_image(answer({"__type": "ServerException", "message": "m"}, 400)), "ServerException has the status 400; the model has 500"),
    (put_image(answer({"__type": "ThrottlingException", "message": "m"}, 503)), "ThrottlingException has the status 503"),
    (put_image(answer({"message": "m"}, 400)), "the error has no code"),
    (put_image(answer("<html>")), "is no JSON"),
    (put_image(answer({}, headers=REST)), "answer content-type is 'application/json'"),
    (put_image(answer({}, status=201)), "answer status is 201; the model has 200"),
    (ecr("BatchDeleteImage", {"repositoryName": "backend", "imageIds": []}, answer({})), "request imageIds has 0 entries"),
    (ecr("PutImages", {}, answer({})), "ecr has no operation PutImages"),
    (ecr("PutImage", {"repositoryName": "backend", "imageManifest": "{}"}, None), "answer is none, and no test wanted that"),
    (call("ecr", ECR, {}, answer({})), "is in no protocol of ecr"),
    (call(None, ECR, {}, answer({})), "is signed for None"),
    (call("s3", ECR, {}, answer({})), "is signed for 's3'"),
    (function(answer({}, headers=REST), path=f"{LAMBDA}/?MaxItems=many"), "request MaxItems is 'many'; the model wants the type integer"),
    (function(answer({}, headers=REST), path=f"{LAMBDA}/?FunctionVersion=SOME"), "request FunctionVersion is 'SOME'; the model has ALL"),
    (function(answer({}, headers=REST), path=f"{LAMBDA}/?Sorted=yes"), "request Sorted is no member"),
    (function(answer({}, headers=REST), path="/2015-03-31/function"), "is no operation of lambda"),
    (function(answer({}, headers=REST), headers={"x-amz-surprise": "1"}), "request x-amz-surprise is no member"),
    (
        function(answer({"Configuration": {"Architectures": ["riscv"]}}, headers=REST)),
        "answer Configuration.Architectures[] is 'riscv'; the model has x86_64, arm64",
    ),
    (
        function(answer({"message": "m"}, 400, REST | {"x-amzn-errortype": "ResourceNotFoundException"})),
        "ResourceNotFoundException has the status 400; the model has 404",
    ),
    (
        function(answer({}, 201, REST), "PUT", f"{LAMBDA}/worker/code", {"Architectures": ["arm"]}, REST),
        "lambda.UpdateFunctionCode request Architectures[] is 'arm'",
    ),
    (
        function(answer({}, 201, REST), "POST", f"{LAMBDA}/worker/aliases", {"Name": "live"}, REST),
        "lambda.CreateAlias request FunctionVersion is missing",
    ),
    (
        ecr("DescribeImages", {"repositoryName": "backend"}, answer({"imageDetails": [{"imagePushedAt": "soon"}]})),
        "ecr.DescribeImages answer is not read by botocore",
    ),
    (caller_identity(identity(RESULT)), "the answer has no ResponseMetadata"),
    (caller_identity(identity(RESULT.replace("Account", "Owner") + METADATA)), "answer Owner is no member"),
    (caller_identity(identity(RESULT + METADATA), "Action=GetCallerIdentity&Version=2012-06-15"), "Version is 2012-06-15"),
    (caller_identity(identity(RESULT + METADATA), "Action=GetCallerIdentity&Version=2011-06-15&More=1"), "request More is no member"),
    (metric(b"\xa0"), "cloudwatch.GetMetricStatistics request Namespace is missing"),
    (caller_identity(identity(RESULT + METADATA), "Action"), "bad query field"),
    (metric(b"\xff\xff"), "is no CBOR"),
    (metric(b"\xa0", "GetMetric"), "cloudwatch has no operation GetMetric"),
)


def checked(records, *words):
    """The exit code, and what is printed."""
    with tempfile.TemporaryDirectory() as directory:
        lines = "".join(f"{json.dumps(record)}\n" for record in records)
        (pathlib.Path(directory) / "1-2.jsonl").write_text(lines, encoding="utf-8")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            code = check.main([directory, *words])
    return code, printed.getvalue()


class Check(unittest.TestCase):
    def test_calls_as_aws_has_them_pass(self):
        code, text = checked(GOOD)
        self.assertEqual(code, 0, text)
        self.assertIn(f"{len(GOOD)} calls of 6 operations of 3 services", text)
        self.assertIn("(1 with a fault in place of the answer): no differences", text)

    def test_each_mistake_is_named_with_its_test(self):
        for record, words in BAD:
            with self.subTest(words):
                code, text = checked([record])
                self.assertEqual(code, 1, text)
                self.assertIn(words, text)
                self.assertIn("a_test", text)

    def test_all_mistakes_of_a_recording_are_named(self):
        code, text = checked([*GOOD, *(record for record, _ in BAD)])
        self.assertEqual(code, 1)
        for _, words in BAD:
            self.assertIn(words, text)

    def test_the_request_of_a_fault_is_judged_and_its_answer_is_not(self):
        self.assertEqual(checked([put_image() | {"answer": answer("", 503), "injected": True}])[0], 0)
        self.assertEqual(checked([put_image(surprise=1) | {"answer": None, "injected": True}])[0], 1)

    def test_an_empty_recording_is_none(self):
        self.assertEqual(checked([])[0], 1)

    def test_a_deviation_that_never_came_up_is_named_when_the_recording_is_whole(self):
        code, text = checked(GOOD, "--whole")
        self.assertEqual(code, 1, text)
        self.assertIn("allows what never came up: ecr.BatchDeleteImage imageIds", text)

    def test_a_name_at_the_registry_of_the_tests_is_judged_as_one_of_ecr(self):
        self.assertEqual(deviations.as_in_ecr("127.0.0.1:5000/backend:a"), f"{deviations.ECR_REGISTRY}backend:a")
        self.assertEqual(deviations.as_in_ecr("127.0.0.1.evil/backend:a"), "127.0.0.1.evil/backend:a")


if __name__ == "__main__":
    unittest.main()

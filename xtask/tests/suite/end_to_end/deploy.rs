//! Functions that really run: moved to an image, and back.

use std::fs;

use serde_json::Value;

use super::clone::Clone;

const FUNCTION: &str = "backend-dev-worker";

/// A function that somebody else made for x86_64 ends on arm64 on the pushed digest, with version and alias, and goes back.
pub(super) fn a_function_is_moved_to_the_other_cpu_and_back(clone: &Clone) {
    println!("--- a function, moved and moved back");
    let file = clone.directory.path().join("deploy.toml");
    let policy = fs::read_to_string(&file).unwrap();
    let with_alias = policy
        .replace(
            "tag-prefix = \"worker-\"",
            "tag-prefix = \"worker-\"\nalias = \"live\"\nsmoke-payload = '{}'",
        )
        // The other service stays out of this.
        .replace("smoke-payload = '{ \"rawPath\": \"/healthz\" }'\n", "");
    fs::write(
        &file,
        with_alias.replace("lambda = \"arm64\"", "lambda = \"amd64\""),
    )
    .unwrap();
    clone.commit("amd64");
    let old = pushed(clone);
    // Made as other people make it, before this tool came.
    make(clone, &old);
    assert_eq!(runs(clone), (old.clone(), "x86_64".to_owned()));
    clone
        .run("migrate-lambda dev --sandbox --service worker")
        .expect(0);
    assert_eq!(
        runs(clone),
        (old.clone(), "x86_64".to_owned()),
        "it ran what was wanted; now it has a version and an alias"
    );
    fs::write(&file, &with_alias).unwrap();
    clone.commit("arm64");
    let new = pushed(clone);
    let drift = clone.run("status dev --sandbox --check").expect(1);
    assert!(
        drift.stderr.contains("function is x86_64, policy is arm64"),
        "{}",
        drift.stderr
    );
    let moved = clone
        .run("migrate-lambda dev --sandbox --service worker --json")
        .expect(0)
        .json();
    assert_eq!(
        (
            moved["moves"][0]["outcome"].as_str(),
            moved["moves"][0]["version"].as_str()
        ),
        (Some("moved"), Some("2"))
    );
    assert_eq!(runs(clone), (new.clone(), "arm64".to_owned()));
    assert_eq!(alias(clone), "2");
    assert_eq!(
        answers(clone),
        "aarch64",
        "callers of the alias get the new CPU"
    );
    let again = clone
        .run("migrate-lambda dev --sandbox --service worker --json")
        .expect(0)
        .json();
    assert_eq!(again["moves"][0]["outcome"], "unchanged");
    clone
        .run("rollback dev --sandbox --service worker")
        .expect(0);
    assert_eq!(runs(clone), (old.clone(), "x86_64".to_owned()));
    assert_eq!(
        (alias(clone).as_str(), answers(clone).as_str()),
        ("1", "x86_64")
    );
    // An image that starts but answers with an error is restored.
    let handler = clone.directory.path().join("backend/shared/handler.py");
    let good = fs::read_to_string(&handler).unwrap();
    fs::write(
        &handler,
        "def handler(event, context):\n    raise RuntimeError('broken on purpose')\n",
    )
    .unwrap();
    clone.commit("broken");
    let failed = clone.run("deploy dev --sandbox --service worker").expect(1);
    assert!(
        failed.stderr.contains("broken on purpose")
            && failed.stderr.contains("runs what it ran before"),
        "{}",
        failed.stderr
    );
    assert_eq!(runs(clone), (old, "x86_64".to_owned()));
    assert_eq!(
        (alias(clone).as_str(), answers(clone).as_str()),
        ("1", "x86_64")
    );
    fs::write(&handler, good).unwrap();
    fs::write(&file, policy).unwrap();
    clone.commit("mended");
    clone.run("deploy dev --sandbox").expect(0);
    assert_eq!(answers_of(clone, "backend-dev-api"), "aarch64");
}

/// Tasks that really run: in containers, for the CPU of the task definition.
pub(super) fn an_ecs_service_is_made_and_restored_when_its_tasks_end(clone: &Clone) {
    println!("--- an ECS service");
    let (file, dockerfile) = ("deploy.toml", "backend/Dockerfile.eks");
    let read = |name: &str| fs::read_to_string(clone.directory.path().join(name)).unwrap();
    let write = |name: &str, text: &str| {
        fs::write(clone.directory.path().join(name), text).unwrap();
        clone.commit("ecs");
    };
    let (policy, good) = (read(file), read(dockerfile));
    let shop = "[services.shop]\nfolder = \"api\"\n\
                images = [{ dockerfile = \"Dockerfile.eks\", target = \"ecs\" }]\n\n[services.demo]";
    write(file, &policy.replace("[services.demo]", shop));
    let deploy = "deploy dev --sandbox --service shop --json";
    let outcome = |code| {
        let run = clone.run(deploy).expect(code);
        let moved = run.json()["moves"][0]["outcome"].clone();
        (moved.as_str().unwrap_or_default().to_owned(), run.stderr)
    };
    assert_eq!(outcome(0).0, "moved");
    clone.run("verify ecs dev --sandbox").expect(0);
    let again = clone.run("migrate-ecs dev --sandbox --json").expect(0);
    assert_eq!(again.json()["moves"][0]["outcome"], "unchanged");
    write(dockerfile, &format!("{good}\nCMD [\"/bin/false\"]\n"));
    let (failed, said) = outcome(1);
    assert_eq!(failed, "restored", "{said}");
    assert!(said.contains("circuit breaker"), "{said}");
    assert!(said.contains("shop: exit code 1"), "{said}");
    let verified = clone.run("verify ecs dev --sandbox").expect(1);
    assert!(
        verified.stderr.contains("is sha256:"),
        "{}",
        verified.stderr
    );
    write(dockerfile, &good);
    write(file, &policy);
}

fn pushed(clone: &Clone) -> String {
    let report = clone
        .run("push dev --sandbox --service worker --json")
        .expect(0)
        .json();
    report["images"][0]["digest"].as_str().unwrap().to_owned()
}

/// One signed call of Lambda's API, as `curl` can make it.
fn call(clone: &Clone, method: &str, path: &str, body: &str) -> Value {
    let endpoint = clone.status()["endpoint"].as_str().unwrap().to_owned();
    let url = format!("{endpoint}/2015-03-31/functions{path}");
    let credential = "Authorization: AWS4-HMAC-SHA256 Credential=sandbox/20260101/us-east-1/lambda/aws4_request, \
                      SignedHeaders=host, Signature=0";
    let words = [
        "--silent",
        "--fail-with-body",
        "--request",
        method,
        "--header",
        credential,
        "--data",
        body,
        &url,
    ];
    serde_json::from_str(&clone.client("curl", &words)).unwrap()
}

fn make(clone: &Clone, digest: &str) {
    let registry = clone.status()["registry"].as_str().unwrap().to_owned();
    let body = serde_json::json!({ "FunctionName": FUNCTION, "PackageType": "Image", "Role": "arn:aws:iam::000000000000:role/r",
        "Code": { "ImageUri": format!("{registry}/backend@{digest}") }, "Architectures": ["x86_64"], "Timeout": 120 });
    call(clone, "POST", "", &body.to_string());
}

/// The digest and the architecture.
fn runs(clone: &Clone) -> (String, String) {
    let function = call(clone, "GET", &format!("/{FUNCTION}"), "");
    let image = function["Code"]["ResolvedImageUri"].as_str().unwrap();
    let arch = function["Configuration"]["Architectures"][0]
        .as_str()
        .unwrap();
    (image.split_once('@').unwrap().1.to_owned(), arch.to_owned())
}

fn alias(clone: &Clone) -> String {
    call(clone, "GET", &format!("/{FUNCTION}/aliases/live"), "")["FunctionVersion"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn answers(clone: &Clone) -> String {
    answers_of(clone, &format!("{FUNCTION}:live"))
}

/// What the function's own process says of its CPU.
fn answers_of(clone: &Clone, function: &str) -> String {
    let answer = call(clone, "POST", &format!("/{function}/invocations"), "{}");
    let body = answer["body"]
        .as_str()
        .unwrap_or_else(|| panic!("{function} answers {answer}"));
    let body: Value = serde_json::from_str(body).unwrap();
    body["architecture"].as_str().unwrap().to_owned()
}

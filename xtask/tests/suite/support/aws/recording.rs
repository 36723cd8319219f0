//! What was asked and answered, one JSON document a line: `cargo xtask aws-models` holds it against AWS's own service models
//! (`xtask/tests/models`).
//!
//! Nothing is kept unless `AWS_RECORDING` names a directory. Each double has a file of its own there. What the registry protocol says
//! is left out: no model of AWS has it.

use std::{
    fs::{self, File},
    io::Write,
    panic::Location,
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

use super::{Answer, Reply, Request};

/// The environment variable that names the directory.
const DIRECTORY: &str = "AWS_RECORDING";

/// Where the calls of one double are kept, and which test started it.
#[derive(Clone)]
pub(super) struct Recording {
    /// The test's name, or where it starts the double if that is in a thread of its own.
    test: String,
    file: Option<Arc<Mutex<File>>>,
}

impl Recording {
    /// Of the double that listens at `HOST:PORT`, which no other one of this process does.
    #[track_caller]
    pub(super) fn of(address: &str) -> Self {
        let open = |directory| {
            let directory = PathBuf::from(directory);
            fs::create_dir_all(&directory).unwrap();
            let port = address.rsplit(':').next().unwrap_or_default();
            let name = format!("{}-{port}.jsonl", std::process::id());
            Arc::new(Mutex::new(File::create(directory.join(name)).unwrap()))
        };
        let test = match thread::current().name() {
            Some(name) => name.to_owned(),
            None => Location::caller().to_string(),
        };
        Self {
            test,
            file: std::env::var_os(DIRECTORY).map(open),
        }
    }

    /// Adds a call of AWS's API.
    pub(super) fn keep(&self, request: &Request, reply: &Reply) {
        let Some(file) = self.file.as_ref().filter(|_| !request.is_of_the_registry()) else {
            return;
        };
        let line = json!({
            "test": self.test,
            "service": signed_for(request),
            "method": request.method,
            "path": request.path,
            "headers": headers(request),
            "body": BASE64_STANDARD.encode(&request.body),
            "answer": reply.answer.as_ref().map(described),
            "injected": reply.is_injected,
        });
        let mut file = file.lock().unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

/// The service that a request is signed for. Source: "Create a signed AWS API request", the scope of a credential is
/// `KEY/DATE/REGION/SERVICE/aws4_request`.
fn signed_for(request: &Request) -> Option<&str> {
    let (_, scope) = request.header("authorization")?.split_once("Credential=")?;
    scope.split('/').nth(3)
}

/// All but those that prove who asks.
fn headers(request: &Request) -> Map<String, Value> {
    let proofs = ["authorization", "x-amz-security-token"];
    let kept = request.headers.iter();
    let kept = kept.filter(|(name, _)| !proofs.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), json!(value)))
        .collect()
}

fn described((status, headers, body): &Answer) -> Value {
    let headers: Map<_, _> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    json!({ "status": status, "headers": headers, "body": BASE64_STANDARD.encode(body) })
}

//! An AWS that keeps the rules which the emulator drops: exclusion filters, digests that match their bytes, layers that are
//! there, errors for what is missing, and a registry that asks for its password. It can be told to fail.
//!
//! Each rule is one of AWS's documented errors; see the API reference of `PutImage`, `BatchGetImage`, `DescribeImages` and
//! `CreateRepository`.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The registry's password: no test's output may contain it.
pub const PASSWORD: &str = "canary-registry-password-5b1f";

/// A running double.
#[derive(Clone)]
pub struct Aws {
    state: Arc<Mutex<State>>,
    /// `http://127.0.0.1:PORT`.
    pub endpoint: String,
    /// `127.0.0.1:PORT`.
    pub registry: String,
}

/// What the double holds.
#[derive(Default)]
pub struct State {
    /// The account that STS answers with.
    pub account: String,
    /// Repositories by name.
    pub repositories: BTreeMap<String, Repository>,
    /// Whether the registry takes tokens alone, which it hands out at `/token` for the password.
    pub hands_out_tokens: bool,
    /// Functions by name: architecture, and the digest of the image.
    pub functions: BTreeMap<String, (String, String)>,
    /// Node groups of the cluster `main`: machine image type and instance type.
    pub node_groups: BTreeMap<String, (String, String)>,
    /// Every API call, in order: `PutImage backend:tag`.
    pub calls: Vec<String>,
    /// Faults to play: an operation's name, how many times, and what to do.
    pub faults: Vec<(String, u32, Fault)>,
}

/// What goes wrong.
#[derive(Clone, Copy)]
pub enum Fault {
    /// An answer with this status and an empty body.
    Status(u16),
    /// The connection is closed without an answer.
    Cut,
}

/// A repository.
#[derive(Default, Clone)]
pub struct Repository {
    /// `MUTABLE`, `IMMUTABLE` or `IMMUTABLE_WITH_EXCLUSION`.
    pub mutability: String,
    /// Wildcard patterns of tags that may move all the same.
    pub exclusions: Vec<String>,
    /// Whether pushes are scanned.
    pub scan_on_push: bool,
    /// Digest to media type and bytes.
    pub manifests: BTreeMap<String, (String, String)>,
    /// Tag to digest.
    pub tags: BTreeMap<String, String>,
    /// Digest to bytes.
    pub blobs: BTreeMap<String, Vec<u8>>,
}

impl Aws {
    /// Starts on a free port. It ends with the test's process.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let registry = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State { account: "111122223333".to_owned(), ..State::default() }));
        let aws = Self { state, endpoint: format!("http://{registry}"), registry };
        let server = aws.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                std::thread::spawn(move || server.serve(stream));
            }
        });
        aws
    }

    /// The double's content.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Makes an operation fail this many times.
    pub fn fail(&self, operation: &str, times: u32, fault: Fault) {
        self.state().faults.push((operation.to_owned(), times, fault));
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        while let Some(request) = Request::read(&mut reader) {
            let Some((status, headers, body)) = self.answer(&request) else { return };
            let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nx-amzn-requestid: request-7\r\n", body.len());
            for (name, value) in headers {
                head.extend([name, ": ", value.as_str(), "\r\n"]);
            }
            if stream.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| stream.write_all(&body)).is_err() {
                return;
            }
        }
    }

    /// `None` closes the connection.
    fn answer(&self, request: &Request) -> Option<Answer> {
        let mut state = self.state();
        if request.path.starts_with("/v2/") || request.path.starts_with("/token") {
            return Some(registry(&mut state, request));
        }
        if let Some(name) = request.path.strip_prefix("/2015-03-31/functions/") {
            let kind = vec![("content-type", "application/json".to_owned())];
            let Some((arch, digest)) = state.functions.get(name.trim_end_matches('/')) else {
                let error = [kind, vec![("x-amzn-errortype", "ResourceNotFoundException".to_owned())]].concat();
                return Some((404, error, br#"{"Message":"Function not found"}"#.to_vec()));
            };
            let body = json!({ "Configuration": { "FunctionName": name, "Architectures": [arch] },
                               "Code": { "ResolvedImageUri": format!("host/backend@{digest}") } });
            return Some((200, kind, body.to_string().into_bytes()));
        }
        if let Some(rest) = request.path.strip_prefix("/clusters/main/node-groups") {
            let body = match rest.trim_start_matches('/').split('?').next() {
                Some("") | None => json!({ "nodegroups": state.node_groups.keys().collect::<Vec<_>>() }),
                Some(name) => {
                    let (ami, kind) = state.node_groups.get(name).cloned().unwrap_or_default();
                    json!({ "nodegroup": { "nodegroupName": name, "amiType": ami, "instanceTypes": [kind] } })
                }
            };
            return Some((200, vec![("content-type", "application/json".to_owned())], body.to_string().into_bytes()));
        }
        let form = String::from_utf8_lossy(&request.body).into_owned();
        let operation = match request.header("x-amz-target") {
            Some(target) => target.rsplit('.').next().unwrap_or_default().to_owned(),
            None if form.contains("Action=GetCallerIdentity") => "GetCallerIdentity".to_owned(),
            None => return Some((404, vec![], vec![])),
        };
        let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        state.calls.push(describe(&operation, &body));
        if let Some(fault) = state.faults.iter_mut().find(|fault| fault.0 == operation && fault.1 > 0) {
            fault.1 -= 1;
            return match fault.2 {
                Fault::Status(status) => Some((status, vec![], vec![])),
                Fault::Cut => None,
            };
        }
        if operation == "GetCallerIdentity" {
            let account = &state.account;
            let xml = format!(
                "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
                 <Arn>arn:aws:iam::{account}:user/tester</Arn><UserId>U</UserId><Account>{account}</Account>\
                 </GetCallerIdentityResult></GetCallerIdentityResponse>"
            );
            return Some((200, vec![("content-type", "text/xml".to_owned())], xml.into_bytes()));
        }
        let kind = vec![("content-type", "application/x-amz-json-1.1".to_owned())];
        Some(match ecr(&mut state, &operation, &body) {
            Ok(value) => (200, kind, value.to_string().into_bytes()),
            Err((code, message)) => (400, kind, json!({ "__type": code, "message": message }).to_string().into_bytes()),
        })
    }
}

type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);
type Refusal = (&'static str, String);

/// `sha256:…`
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

fn describe(operation: &str, body: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let repository = text(&body["repositoryName"]);
    let tag = text(&body["imageTag"]);
    match (repository.is_empty(), tag.is_empty()) {
        (true, _) => operation.to_owned(),
        (false, true) => format!("{operation} {repository}"),
        (false, false) => format!("{operation} {repository}:{tag}"),
    }
}

fn ecr(state: &mut State, operation: &str, body: &Value) -> Result<Value, Refusal> {
    let name = body["repositoryName"].as_str().unwrap_or_default().to_owned();
    match operation {
        "GetAuthorizationToken" => {
            let token = BASE64_STANDARD.encode(format!("AWS:{PASSWORD}"));
            Ok(json!({ "authorizationData": [{ "authorizationToken": token, "expiresAt": 4_000_000_000_u64,
                       "proxyEndpoint": "https://111122223333.dkr.ecr.eu-west-1.amazonaws.com" }] }))
        }
        "CreateRepository" => create(state, &name, body),
        "DescribeRepositories" => {
            let name = body["repositoryNames"][0].as_str().unwrap_or_default();
            let repository = repository(state, name)?;
            let filters: Vec<_> =
                repository.exclusions.iter().map(|f| json!({ "filterType": "WILDCARD", "filter": f })).collect();
            Ok(json!({ "repositories": [{ "repositoryName": name, "imageTagMutability": repository.mutability,
                       "imageTagMutabilityExclusionFilters": filters }] }))
        }
        "BatchGetImage" => batch_get(repository(state, &name)?, body),
        "DescribeImages" => {
            let repository = repository(state, &name)?;
            let digest = body["imageIds"][0]["imageDigest"].as_str().unwrap_or_default();
            let (media_type, _) = repository
                .manifests
                .get(digest)
                .ok_or_else(|| ("ImageNotFoundException", format!("The image with imageId {digest} does not exist")))?;
            let tags: Vec<_> = repository.tags.iter().filter(|(_, d)| *d == digest).map(|(tag, _)| tag.clone()).collect();
            Ok(json!({ "imageDetails": [{ "imageDigest": digest, "imageTags": tags, "imageManifestMediaType": media_type }] }))
        }
        "BatchCheckLayerAvailability" => {
            let repository = repository(state, &name)?;
            let layers = body["layerDigests"].as_array().cloned().unwrap_or_default();
            let state = |digest: &Value| {
                if repository.blobs.contains_key(digest.as_str().unwrap_or_default()) { "AVAILABLE" } else { "UNAVAILABLE" }
            };
            let found: Vec<_> = layers.iter().map(|d| json!({ "layerDigest": d, "layerAvailability": state(d) })).collect();
            Ok(json!({ "layers": found, "failures": [] }))
        }
        "PutImage" => put(repository(state, &name)?, body),
        other => Err(("InvalidAction", format!("the double does not know {other}"))),
    }
}

fn repository<'s>(state: &'s mut State, name: &str) -> Result<&'s mut Repository, Refusal> {
    let missing = ("RepositoryNotFoundException", format!("The repository with name '{name}' does not exist"));
    state.repositories.get_mut(name).ok_or(missing)
}

fn create(state: &mut State, name: &str, body: &Value) -> Result<Value, Refusal> {
    if state.repositories.contains_key(name) {
        return Err(("RepositoryAlreadyExistsException", format!("The repository with name '{name}' already exists")));
    }
    let filters = body["imageTagMutabilityExclusionFilters"].as_array().cloned().unwrap_or_default();
    let repository = Repository {
        mutability: body["imageTagMutability"].as_str().unwrap_or("MUTABLE").to_owned(),
        exclusions: filters.iter().filter_map(|f| f["filter"].as_str().map(str::to_owned)).collect(),
        scan_on_push: body["imageScanningConfiguration"]["scanOnPush"].as_bool().unwrap_or(false),
        ..Repository::default()
    };
    state.repositories.insert(name.to_owned(), repository);
    Ok(json!({ "repository": { "repositoryName": name } }))
}

fn batch_get(repository: &Repository, body: &Value) -> Result<Value, Refusal> {
    let accepted: Vec<_> = body["acceptedMediaTypes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (mut images, mut failures) = (Vec::new(), Vec::new());
    for id in body["imageIds"].as_array().into_iter().flatten() {
        let by_tag = id["imageTag"].as_str().and_then(|tag| repository.tags.get(tag).cloned());
        let digest = id["imageDigest"].as_str().map(str::to_owned).or(by_tag);
        match digest.and_then(|digest| repository.manifests.get_key_value(&digest)) {
            Some((digest, (media_type, bytes))) => {
                if !accepted.contains(&media_type.as_str()) {
                    return Err(("InvalidParameterException", format!("{media_type} is not accepted by the caller")));
                }
                let mut id = id.clone();
                id["imageDigest"] = json!(digest);
                images.push(json!({ "imageId": id, "imageManifest": bytes, "imageManifestMediaType": media_type }));
            }
            None => failures.push(json!({ "imageId": id, "failureCode": "ImageNotFound",
                                          "failureReason": "Requested image not found" })),
        }
    }
    Ok(json!({ "images": images, "failures": failures }))
}

fn put(repository: &mut Repository, body: &Value) -> Result<Value, Refusal> {
    let bytes = body["imageManifest"].as_str().unwrap_or_default().to_owned();
    let computed = digest(bytes.as_bytes());
    if body["imageDigest"].as_str().is_some_and(|said| said != computed) {
        return Err(("ImageDigestDoesNotMatchException", format!("the manifest's digest is {computed}")));
    }
    let inner: Value = serde_json::from_str(&bytes)
        .map_err(|_| ("InvalidParameterException", "Invalid parameter at 'ImageManifest'".to_owned()))?;
    let said = body["imageManifestMediaType"].as_str().or(inner["mediaType"].as_str()).map(str::to_owned);
    let media_type = said.ok_or_else(|| ("InvalidParameterException", "imageManifestMediaType is missing".to_owned()))?;
    store(repository, &bytes, &media_type, body["imageTag"].as_str())?;
    Ok(json!({ "image": { "imageId": { "imageDigest": computed } } }))
}

/// The rules that the API and the registry protocol share.
fn store(repository: &mut Repository, bytes: &str, media_type: &str, tag: Option<&str>) -> Result<(), Refusal> {
    let digest = digest(bytes.as_bytes());
    let manifest: Value = serde_json::from_str(bytes).unwrap_or_default();
    let layers = manifest["layers"].as_array().into_iter().flatten().chain(std::iter::once(&manifest["config"]));
    for layer in layers.filter_map(|descriptor| descriptor["digest"].as_str()) {
        if !repository.blobs.contains_key(layer) {
            return Err(("LayersNotFoundException", format!("layer {layer} does not exist")));
        }
    }
    if let Some(tag) = tag {
        let start = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !(tag.starts_with(start) && tag.len() <= 128 && tag.chars().all(|c| start(c) || ".-".contains(c))) {
            return Err(("InvalidParameterException", format!("'{tag}' is no tag")));
        }
        match repository.tags.get(tag) {
            Some(current) if *current == digest => {
                return Err((
                    "ImageAlreadyExistsException",
                    format!("Image with digest '{digest}' and tag '{tag}' already exists"),
                ));
            }
            Some(_) if !may_move(repository, tag) => {
                return Err((
                    "ImageTagAlreadyExistsException",
                    format!("The image tag '{tag}' already exists and cannot be overwritten"),
                ));
            }
            _ => {}
        }
        repository.tags.insert(tag.to_owned(), digest.clone());
    }
    repository.manifests.insert(digest, (media_type.to_owned(), bytes.to_owned()));
    Ok(())
}

fn may_move(repository: &Repository, tag: &str) -> bool {
    let fits = |pattern: &String| pattern.strip_prefix('*').map_or(tag == pattern, |end| tag.ends_with(end));
    match repository.mutability.as_str() {
        "MUTABLE" => true,
        "IMMUTABLE_WITH_EXCLUSION" => repository.exclusions.iter().any(fits),
        _ => false,
    }
}

/// The registry protocol, as far as a push and a read of a blob need it.
fn registry(state: &mut State, request: &Request) -> Answer {
    let login = format!("Basic {}", BASE64_STANDARD.encode(format!("AWS:{PASSWORD}")));
    let is_known = request.header("authorization") == Some(login.as_str());
    if request.path.starts_with("/token") {
        let may = is_known && request.path.contains("scope=repository");
        return if may { (200, vec![], br#"{"token":"a-token"}"#.to_vec()) } else { (401, vec![], vec![]) };
    }
    if state.hands_out_tokens && request.header("authorization") != Some("Bearer a-token") {
        let host = request.header("host").unwrap_or_default();
        return (401, vec![("www-authenticate", format!("Bearer realm=\"http://{host}/token\",service=\"x\""))], vec![]);
    }
    if !state.hands_out_tokens && !is_known {
        return (401, vec![("www-authenticate", "Basic realm=\"ecr\"".to_owned())], vec![]);
    }
    let path = request.path.trim_start_matches("/v2/");
    let Some((rest, reference)) = path.rsplit_once('/') else { return (200, vec![], b"{}".to_vec()) };
    let Some((name, kind)) = rest.rsplit_once('/') else { return (404, vec![], vec![]) };
    let Some(repository) = state.repositories.get_mut(name) else { return (404, vec![], b"NAME_UNKNOWN".to_vec()) };
    let call = format!("{} /v2/{name}/{kind}/{reference}", request.method);
    let answer = match (request.method.as_str(), kind) {
        ("GET", "blobs") => repository.blobs.get(reference).map_or((404, vec![], vec![]), |bytes| (200, vec![], bytes.clone())),
        ("GET", "manifests") => {
            let digest = repository.tags.get(reference).map_or(reference, String::as_str);
            let found = repository.manifests.get(digest);
            found.map_or((404, vec![], vec![]), |(kind, bytes)| {
                (200, vec![("content-type", kind.clone())], bytes.clone().into_bytes())
            })
        }
        ("PUT", "blobs") => {
            repository.blobs.insert(reference.to_owned(), request.body.clone());
            (201, vec![], vec![])
        }
        ("PUT", "manifests") => {
            let bytes = String::from_utf8_lossy(&request.body).into_owned();
            match store(repository, &bytes, request.header("content-type").unwrap_or_default(), Some(reference)) {
                Ok(()) => (201, vec![], vec![]),
                Err((code, message)) => (400, vec![], format!("{code}: {message}").into_bytes()),
            }
        }
        _ => (405, vec![], vec![]),
    };
    if request.method == "PUT" {
        state.calls.push(call);
    }
    answer
}

struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn read(reader: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        let mut words = line.split_whitespace();
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self { method, path, headers, body: Vec::new() };
        let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        request.body = vec![0; length];
        reader.read_exact(&mut request.body).ok()?;
        Some(request)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

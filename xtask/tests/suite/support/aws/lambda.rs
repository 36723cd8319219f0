//! Lambda, with the rules that an emulator drops: no second update while one is under way, revisions that go stale, versions
//! that need time, one image for one CPU, and an error for an image that is for the other.
//!
//! Source: the errors of `UpdateFunctionCode`, `PublishVersion`, `UpdateAlias` and `Invoke` in Lambda's API reference.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Answer, Request, State};

/// A function.
#[derive(Clone, Default)]
pub(crate) struct Function {
    /// `arm64` or `x86_64`.
    pub arch: String,
    /// The digest of its image.
    pub digest: String,
    /// Changes with every change.
    pub revision: u64,
    /// How often it is asked before an update has ended.
    pub polls: u32,
    /// Why the last update failed.
    pub failed: Option<String>,
    /// Published versions: number, architecture, digest, and how often each is asked before it can be called.
    pub versions: Vec<(u64, String, String, u32)>,
    /// Aliases: version and weights.
    pub aliases: BTreeMap<String, Alias>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// What it was last invoked with.
    pub invoked: Vec<String>,
    /// Whether it has an archive in place of an image.
    pub is_zip: bool,
    /// Whether Lambda does not tell its image, until it gets another.
    pub is_untold: bool,
    /// Versions that were published of an image that Lambda does not tell.
    pub untold_versions: Vec<u64>,
}

/// An alias.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Alias {
    /// The version that it names.
    pub version: String,
    /// Other versions, and their part.
    pub weights: BTreeMap<String, f64>,
    /// Changes with every change.
    pub revision: u64,
}

/// What the double is told to do to updates.
#[derive(Clone, Default)]
pub(crate) struct Rules {
    /// Digests whose update fails, with the reason.
    pub fails: BTreeMap<String, String>,
    /// Digests whose functions end with an error.
    pub crashes: Vec<String>,
    /// What CloudWatch counts as errors.
    pub errors: f64,
    /// What somebody else makes a function run, with an error, when it is invoked.
    pub hijack: Option<(String, String)>,
    /// Whether functions are listed without their versions, as emulators do.
    pub lists_no_versions: bool,
    /// How often an update is asked after before it has ended, in place of twice.
    pub slow: Option<u32>,
}

impl Function {
    /// A function that runs this image.
    pub(crate) fn new(arch: &str, digest: &str) -> Self {
        Self {
            arch: arch.to_owned(),
            digest: digest.to_owned(),
            revision: 1,
            ..Self::default()
        }
    }
}

/// How often an update is asked after before it has ended.
const SLOW: u32 = 2;

type Refused = (u16, &'static str, String);

/// A call of Lambda's API: its name, and the function that it is about.
pub(super) fn operation(request: &Request) -> Option<(String, String)> {
    let path = request.path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let operation = match (request.method.as_str(), parts.get(3..).unwrap_or_default()) {
        _ if parts.get(1) == Some(&"tags") => "TagResource",
        _ if parts.get(1) != Some(&"functions") => return None,
        ("GET", []) if parts.len() == 2 => "ListFunctions",
        ("POST", []) if parts.len() == 2 => "CreateFunction",
        ("GET", []) => "GetFunction",
        ("DELETE", []) => "DeleteFunction",
        ("PUT", ["code"]) => "UpdateFunctionCode",
        ("POST", ["versions"]) => "PublishVersion",
        ("GET", ["versions"]) => "ListVersionsByFunction",
        ("POST", ["aliases"]) => "CreateAlias",
        ("GET", ["aliases", _]) => "GetAlias",
        ("PUT", ["aliases", _]) => "UpdateAlias",
        ("DELETE", ["aliases", _]) => "DeleteAlias",
        ("POST", ["invocations"]) => "Invoke",
        _ => return None,
    };
    let name = match operation {
        "CreateFunction" => {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
            body["FunctionName"].as_str().unwrap_or_default().to_owned()
        }
        _ => parts.get(2).copied().unwrap_or_default().to_owned(),
    };
    Some((operation.to_owned(), name))
}

/// Answers a call.
pub(super) fn answer(state: &mut State, operation: &str, name: &str, request: &Request) -> Answer {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let outcome = act(state, operation, name, request, &body);
    let kind = ("content-type", "application/json".to_owned());
    match outcome {
        Ok((value, headers)) => match success(operation) {
            204 => (204, headers, vec![]),
            status => (
                status,
                [vec![kind], headers].concat(),
                value.to_string().into_bytes(),
            ),
        },
        Err((status, code, message)) => {
            let headers = vec![kind, ("x-amzn-errortype", code.to_owned())];
            (
                status,
                headers,
                json!({ "Type": "User", "message": message })
                    .to_string()
                    .into_bytes(),
            )
        }
    }
}

/// The status of success. Source: the syntax of the response in the API reference of each operation.
fn success(operation: &str) -> u16 {
    match operation {
        "CreateFunction" | "PublishVersion" | "CreateAlias" => 201,
        "DeleteAlias" | "DeleteFunction" | "TagResource" => 204,
        _ => 200,
    }
}

type Headers = Vec<(&'static str, String)>;

#[expect(clippy::too_many_lines, reason = "one arm a call")]
fn act(
    state: &mut State,
    operation: &str,
    name: &str,
    request: &Request,
    body: &Value,
) -> Result<(Value, Headers), Refused> {
    let missing = || {
        (
            404,
            "ResourceNotFoundException",
            format!("Function not found: {name}"),
        )
    };
    let rules = state.lambda.clone();
    if operation == "ListFunctions" {
        return Ok((list(state, &request.path), vec![]));
    }
    if operation == "TagResource" {
        let name = request
            .path
            .split("function%3A")
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        let function = state.functions.get_mut(&name).ok_or_else(missing)?;
        for (key, value) in body["Tags"].as_object().into_iter().flatten() {
            function
                .tags
                .insert(key.clone(), value.as_str().unwrap_or_default().to_owned());
        }
        return Ok((json!({}), vec![]));
    }
    let qualifier = request
        .path
        .split_once("Qualifier=")
        .map(|(_, rest)| rest.split('&').next().unwrap_or_default().to_owned());
    let image = |uri: &str| -> Result<String, Refused> {
        let invalid = |message: String| (400, "InvalidParameterValueException", message);
        let (repository, digest) = uri
            .split_once('@')
            .ok_or_else(|| invalid(format!("{uri} names no digest")))?;
        let name = repository.split_once('/').map_or("", |(_, name)| name);
        let found = state
            .repositories
            .get(name)
            .and_then(|repository| repository.manifests.get(digest));
        let (media_type, _) =
            found.ok_or_else(|| invalid(format!("Source image {uri} does not exist.")))?;
        if media_type.contains("index") || media_type.contains("list") {
            let text = format!(
                "The image manifest, config or layer media type for the source image {uri} is not supported."
            );
            return Err(invalid(text));
        }
        Ok(digest.to_owned())
    };
    let uri = body["ImageUri"].as_str();
    let wanted = uri.or(body["Code"]["ImageUri"].as_str());
    let wanted = wanted.map(image).transpose()?;
    let uri_of = |digest: &str| {
        let mut all = state.repositories.iter();
        let its = all.find(|(_, repository)| repository.manifests.contains_key(digest));
        let name = its.map_or("backend", |(name, _)| name);
        format!("host/{name}@{digest}")
    };
    if operation == "CreateFunction" {
        let digest =
            wanted.ok_or((400, "InvalidParameterValueException", "no image".to_owned()))?;
        return create(state, name, &digest, body).map(|created| (created, vec![]));
    }
    if operation == "DeleteFunction" {
        state.functions.remove(name).ok_or_else(missing)?;
        return Ok((json!({}), vec![]));
    }
    let running = state
        .functions
        .get(name)
        .map(|function| function.digest.clone())
        .unwrap_or_default();
    let running_arch = state.image_arch(&running);
    let function = state.functions.get_mut(name).ok_or_else(missing)?;
    let stale = |known: u64| {
        (
            412,
            "PreconditionFailedException",
            format!("The RevisionId provided does not match {known}"),
        )
    };
    let busy = || {
        (
            409,
            "ResourceConflictException",
            format!(
                "The operation cannot be performed at this time. An update is in progress for resource: {name}"
            ),
        )
    };
    let is_stale = |known: u64| {
        body["RevisionId"]
            .as_str()
            .is_some_and(|said| said != format!("r{known}"))
    };
    match operation {
        "GetFunction" => {
            if let Some(number) =
                qualifier.filter(|qualifier| qualifier != "$LATEST" && qualifier != "%24LATEST")
            {
                let version = function
                    .versions
                    .iter_mut()
                    .find(|version| version.0.to_string() == number)
                    .ok_or_else(missing)?;
                let is_pending = version.3 > 0;
                version.3 = version.3.saturating_sub(1);
                let state = if is_pending { "Pending" } else { "Active" };
                let uri = uri_of(&version.2);
                let told = described(name, &version.1, &uri, "v", state, "Successful", "");
                if function.is_untold || function.untold_versions.contains(&version.0) {
                    return Ok((untold(told), vec![]));
                }
                return Ok((told, vec![]));
            }
            let was_busy = function.polls > 0;
            function.polls = function.polls.saturating_sub(1);
            if was_busy && function.polls == 0 {
                // Also the end of an update is a change.
                function.revision += 1;
            }
            let (status, reason) = match (&function.failed, function.polls > 0) {
                (_, true) => ("InProgress", ""),
                (Some(reason), _) => ("Failed", reason.as_str()),
                _ => ("Successful", ""),
            };
            let revision = format!("r{}", function.revision);
            let told = described(
                name,
                &function.arch,
                &uri_of(&function.digest),
                &revision,
                "Active",
                status,
                reason,
            );
            if function.is_untold {
                return Ok((untold(told), vec![]));
            }
            Ok((told, vec![]))
        }
        "UpdateFunctionCode" => {
            if function.polls > 0 {
                return Err(busy());
            }
            if is_stale(function.revision) {
                return Err(stale(function.revision));
            }
            let digest =
                wanted.ok_or((400, "InvalidParameterValueException", "no image".to_owned()))?;
            function.failed = rules.fails.get(&digest).cloned();
            function.digest = digest;
            function.is_untold = false;
            // Left out, it would be x86_64 by the documentation's word.
            function.arch = body["Architectures"][0]
                .as_str()
                .map_or_else(|| "x86_64".to_owned(), str::to_owned);
            function.polls = rules.slow.unwrap_or(SLOW);
            function.revision += 1;
            Ok((json!({ "FunctionName": name }), vec![]))
        }
        "PublishVersion" => {
            if function.polls > 0 {
                return Err(busy());
            }
            let newest = function
                .versions
                .last()
                .filter(|version| version.1 == function.arch && version.2 == function.digest);
            let number = match newest {
                Some(version) => version.0,
                None => {
                    let number = function.versions.last().map_or(1, |version| version.0 + 1);
                    function.versions.push((
                        number,
                        function.arch.clone(),
                        function.digest.clone(),
                        SLOW,
                    ));
                    if function.is_untold {
                        function.untold_versions.push(number);
                    }
                    number
                }
            };
            Ok((
                json!({ "FunctionName": name, "Version": number.to_string() }),
                vec![],
            ))
        }
        "ListVersionsByFunction" => {
            let latest = json!({ "Version": "$LATEST" });
            let all = function
                .versions
                .iter()
                .map(|version| json!({ "Version": version.0.to_string() }));
            Ok((
                json!({ "Versions": std::iter::once(latest).chain(all).collect::<Vec<_>>() }),
                vec![],
            ))
        }
        "GetAlias" => {
            let alias = request.path.rsplit('/').next().unwrap_or_default();
            let found = function.aliases.get(alias).ok_or_else(missing)?;
            Ok((described_alias(alias, found), vec![]))
        }
        "DeleteAlias" => {
            let alias = request.path.rsplit('/').next().unwrap_or_default();
            function.aliases.remove(alias).ok_or_else(missing)?;
            Ok((json!({}), vec![]))
        }
        "CreateAlias" | "UpdateAlias" => {
            let alias = match operation {
                "CreateAlias" => body["Name"].as_str().unwrap_or_default().to_owned(),
                _ => request
                    .path
                    .rsplit('/')
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            };
            let known = function.aliases.get(&alias).cloned();
            match (&known, operation) {
                (Some(_), "CreateAlias") => {
                    return Err((
                        409,
                        "ResourceConflictException",
                        "Alias already exists".to_owned(),
                    ));
                }
                (None, "UpdateAlias") => return Err(missing()),
                (Some(known), _) if is_stale(known.revision) => return Err(stale(known.revision)),
                _ => {}
            }
            let version = body["FunctionVersion"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let weights: BTreeMap<String, f64> =
                serde_json::from_value(body["RoutingConfig"]["AdditionalVersionWeights"].clone())
                    .unwrap_or_default();
            let named: Vec<String> = weights.keys().chain([&version]).cloned().collect();
            if !weights.is_empty() && named.iter().any(|name| name == "$LATEST") {
                let text = "$LATEST is not supported for an alias pointing to more than 1 version"
                    .to_owned();
                return Err((400, "InvalidParameterValueException", text));
            }
            let is_callable = |name: &String| {
                name == "$LATEST"
                    || function
                        .versions
                        .iter()
                        .any(|version| version.0.to_string() == *name && version.3 == 0)
            };
            if !named.iter().all(is_callable) {
                return Err((
                    409,
                    "ResourceConflictException",
                    format!("version {version} is not active"),
                ));
            }
            let alias_now = Alias {
                version,
                weights,
                revision: known.map_or(1, |known| known.revision + 1),
            };
            function.aliases.insert(alias.clone(), alias_now.clone());
            Ok((described_alias(&alias, &alias_now), vec![]))
        }
        "Invoke" => {
            if function.polls > 0 {
                return Err(busy());
            }
            function
                .invoked
                .push(String::from_utf8_lossy(&request.body).into_owned());
            let own = if function.arch == "x86_64" {
                "amd64"
            } else {
                "arm64"
            };
            if running_arch.is_some_and(|arch| arch != own) {
                let text = "RequestId: 1 Error: fork/exec /lambda-entrypoint.sh: exec format error";
                let body =
                    json!({ "errorType": "Runtime.InvalidEntrypoint", "errorMessage": text });
                return Ok((body, vec![("x-amz-function-error", "Unhandled".to_owned())]));
            }
            if let Some((arch, digest)) = rules.hijack {
                (function.arch, function.digest) = (arch, digest);
                function.revision += 1;
                return Ok((
                    json!({ "errorMessage": "it broke" }),
                    vec![("x-amz-function-error", "Unhandled".to_owned())],
                ));
            }
            if rules.crashes.contains(&function.digest) {
                return Ok((
                    json!({ "errorMessage": "it broke" }),
                    vec![("x-amz-function-error", "Unhandled".to_owned())],
                ));
            }
            let machine = if function.arch == "x86_64" {
                "x86_64"
            } else {
                "aarch64"
            };
            Ok((
                json!({ "statusCode": 200, "body": json!({ "architecture": machine }).to_string() }),
                vec![],
            ))
        }
        other => Err((
            400,
            "UnknownOperationException",
            format!("the double does not know {other}"),
        )),
    }
}

/// Makes a function, which takes its time.
fn create(state: &mut State, name: &str, digest: &str, body: &Value) -> Result<Value, Refused> {
    if state.functions.contains_key(name) {
        let text = format!("Function already exist: {name}");
        return Err((409, "ResourceConflictException", text));
    }
    let arch = body["Architectures"][0].as_str().unwrap_or("x86_64");
    let function = Function {
        polls: SLOW,
        ..Function::new(arch, digest)
    };
    state.functions.insert(name.to_owned(), function);
    Ok(json!({ "FunctionName": name, "Architectures": [arch], "State": "Pending" }))
}

fn described(
    name: &str,
    arch: &str,
    image: &str,
    revision: &str,
    state: &str,
    status: &str,
    reason: &str,
) -> Value {
    json!({
        "Configuration": {
            "FunctionName": name,
            "FunctionArn": format!("arn:aws:lambda:eu-west-1:111122223333:function:{name}"),
            "PackageType": "Image",
            "Architectures": [arch],
            "RevisionId": revision,
            "State": state,
            "LastUpdateStatus": status,
            "LastUpdateStatusReason": reason,
        },
        "Code": { "RepositoryType": "ECR", "ResolvedImageUri": image },
    })
}

/// The same of a function whose image Lambda does not tell.
fn untold(mut told: Value) -> Value {
    told["Code"] = json!({ "RepositoryType": "ECR" });
    told
}

/// All functions, with their versions where that is asked for, fifty on a page.
fn list(state: &State, path: &str) -> Value {
    const PAGE: usize = 50;
    let asks_for_versions = path.contains("FunctionVersion=ALL") && !state.lambda.lists_no_versions;
    let entry = |name: &String, function: &Function, version: &str, revision: String| {
        let arn = format!("arn:aws:lambda:eu-west-1:111122223333:function:{name}:{version}");
        json!({ "FunctionName": name, "FunctionArn": arn, "Version": version, "RevisionId": revision,
                "PackageType": if function.is_zip { "Zip" } else { "Image" } })
    };
    let mut all = Vec::new();
    for (name, function) in &state.functions {
        all.push(entry(
            name,
            function,
            "$LATEST",
            format!("r{}", function.revision),
        ));
        for version in function.versions.iter().filter(|_| asks_for_versions) {
            all.push(entry(
                name,
                function,
                &version.0.to_string(),
                "v".to_owned(),
            ));
        }
    }
    let marker = path
        .split_once("Marker=")
        .map(|(_, rest)| rest.split('&').next());
    let start = marker
        .flatten()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let page: Vec<_> = all.iter().skip(start).take(PAGE).collect();
    let mut answer = json!({ "Functions": page });
    if start + PAGE < all.len() {
        answer["NextMarker"] = json!((start + PAGE).to_string());
    }
    answer
}

fn described_alias(name: &str, alias: &Alias) -> Value {
    let mut value = json!({ "Name": name, "FunctionVersion": alias.version, "RevisionId": format!("r{}", alias.revision) });
    if !alias.weights.is_empty() {
        value["RoutingConfig"] = json!({ "AdditionalVersionWeights": alias.weights });
    }
    value
}

/// What CloudWatch answers, in CBOR: one sum of errors.
pub(super) fn metric(errors: f64) -> Answer {
    let text = |text: &str| {
        [
            vec![0x60 + u8::try_from(text.len()).unwrap()],
            text.as_bytes().to_vec(),
        ]
        .concat()
    };
    let mut body = vec![0xa1];
    body.extend(text("Datapoints"));
    body.extend([0x81, 0xa1]);
    body.extend(text("Sum"));
    body.push(0xfb);
    body.extend(errors.to_be_bytes());
    let headers = vec![
        ("content-type", "application/cbor".to_owned()),
        ("smithy-protocol", "rpc-v2-cbor".to_owned()),
    ];
    (200, headers, body)
}

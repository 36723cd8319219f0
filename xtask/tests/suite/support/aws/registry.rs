//! The registry protocol.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;

use super::{Answer, Repository, Request, State, digest, ecr::store};

/// What a registry does with what belongs to an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Referrers {
    /// It keeps a list, as the OCI distribution specification's version 1.1 has it.
    #[default]
    Listed,
    /// It knows no list: it is of an earlier version.
    Unlisted,
    /// It takes no manifest that has a subject.
    Refused,
}

/// The registry protocol, as far as a push and a read of a blob need it.
pub(super) fn registry(state: &mut State, request: &Request) -> Answer {
    let login = format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("AWS:{}", state.password))
    );
    let is_known = request.header("authorization") == Some(login.as_str());
    if request.path.starts_with("/token") {
        let may = is_known && request.path.contains("scope=repository");
        return if may {
            (200, vec![], br#"{"token":"a-token"}"#.to_vec())
        } else {
            (401, vec![], vec![])
        };
    }
    // Docker's double takes no tokens: it is known by the password, and by the name that it does not give.
    let is_docker = is_known && request.header("user-agent").is_none();
    let has_token = request.header("authorization") == Some("Bearer a-token");
    if state.hands_out_tokens && !has_token && !is_docker {
        let host = request.header("host").unwrap_or_default();
        return (
            401,
            vec![(
                "www-authenticate",
                format!("Bearer realm=\"http://{host}/token\",service=\"x\""),
            )],
            vec![],
        );
    }
    if !state.hands_out_tokens && !is_known {
        return (
            401,
            vec![("www-authenticate", "Basic realm=\"ecr\"".to_owned())],
            vec![],
        );
    }
    if let Some((end, status, times)) = &mut state.fails_to_write
        && request.method == "PUT"
        && request.path.ends_with(*end)
        && *times > 0
    {
        *times -= 1;
        return (*status, vec![], vec![]);
    }
    if has_ended(state) {
        return denied("Your authorization token has expired. Reauthenticate and try again.");
    }
    make_repository(state, request);
    let (path, query) = request
        .path
        .trim_start_matches("/v2/")
        .split_once('?')
        .unwrap_or((request.path.trim_start_matches("/v2/"), ""));
    let field = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
            .map(|v| v.replace("%3A", ":"))
    };
    if let Some((name, id)) = path.split_once("/blobs/uploads/") {
        return upload(
            state,
            request,
            name,
            id,
            field("mount"),
            field("from"),
            field("digest"),
        );
    }
    let Some((rest, reference)) = path.rsplit_once('/') else {
        return (200, vec![], b"{}".to_vec());
    };
    let Some((name, kind)) = rest.rsplit_once('/') else {
        return (404, vec![], vec![]);
    };
    let Some(repository) = state.repositories.get_mut(name) else {
        return (404, vec![], b"NAME_UNKNOWN".to_vec());
    };
    let call = format!("{} /v2/{name}/{kind}/{reference}", request.method);
    let kept = state.referrers;
    let has_referrers = kept == Referrers::Listed;
    let answer = match (request.method.as_str(), kind) {
        ("GET" | "HEAD", "blobs") => repository
            .blobs
            .get(reference)
            .map_or((404, vec![], vec![]), |bytes| (200, vec![], bytes.clone())),
        ("GET", "tags") => {
            // Two a page.
            let after = field("last").unwrap_or_default();
            let rest = repository.tags.keys().filter(|tag| **tag > after);
            let mut rest: Vec<_> = rest.cloned().collect();
            let is_last = rest.len() <= 2;
            rest.truncate(2);
            let last = rest.last().cloned().unwrap_or_default();
            let link = format!("</v2/{name}/tags/list?n=2&last={last}>; rel=\"next\"");
            let headers = if is_last {
                vec![]
            } else {
                vec![("link", link)]
            };
            let body = json!({ "name": name, "tags": rest });
            (200, headers, body.to_string().into_bytes())
        }
        ("GET", "referrers") if has_referrers => referrers(repository, name, reference, &field),
        ("GET", "referrers") => (404, vec![], b"404 page not found".to_vec()),
        ("GET", "manifests") => {
            let digest = repository
                .tags
                .get(reference)
                .map_or(reference, String::as_str);
            let found = repository.manifests.get(digest);
            found.map_or((404, vec![], vec![]), |(kind, bytes)| {
                (
                    200,
                    vec![("content-type", kind.clone())],
                    bytes.clone().into_bytes(),
                )
            })
        }
        ("PUT", "blobs") => {
            state.uploaded += request.body.len();
            repository
                .blobs
                .insert(reference.to_owned(), request.body.clone());
            (201, vec![], vec![])
        }
        ("PUT", "manifests") => {
            let bytes = String::from_utf8_lossy(&request.body).into_owned();
            if kept == Referrers::Refused && bytes.contains("\"subject\"") {
                return (403, vec![], b"DENIED".to_vec());
            }
            let is_digest = reference.starts_with("sha256:");
            if is_digest && digest(bytes.as_bytes()) != reference {
                return (400, vec![], b"DIGEST_INVALID".to_vec());
            }
            let tag = (!is_digest).then_some(reference);
            match store(
                repository,
                &bytes,
                request.header("content-type").unwrap_or_default(),
                tag,
            ) {
                Ok(()) => (201, subject_header(&bytes, has_referrers), vec![]),
                Err(("LimitExceededException", message)) => denied(&message),
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

/// Counts a request. Whether the token that it came with has ended.
fn has_ended(state: &mut State) -> bool {
    let Some(left) = &mut state.token_lasts else {
        return false;
    };
    let has_ended = *left == 0;
    *left = left.saturating_sub(1);
    has_ended
}

/// ECR's refusal. Source: RULES.md.
fn denied(message: &str) -> Answer {
    let body = json!({ "errors": [{ "code": "DENIED", "message": message }] });
    (403, vec![], body.to_string().into_bytes())
}

/// What a registry of version 1.1 says where it has entered a manifest into the list of its subject.
///
/// Source: the OCI distribution specification 1.1, "Pushing Manifests with Subject".
fn subject_header(bytes: &str, has_referrers: bool) -> Vec<(&'static str, String)> {
    let manifest: serde_json::Value = serde_json::from_str(bytes).unwrap_or_default();
    let subject = manifest["subject"]["digest"].as_str();
    let subject = subject.filter(|_| has_referrers);
    subject
        .map(|subject| ("oci-subject", subject.to_owned()))
        .into_iter()
        .collect()
}

/// The list of what belongs to an image, one entry a page.
///
/// Source: the OCI distribution specification 1.1, "Listing Referrers".
fn referrers(
    repository: &Repository,
    name: &str,
    subject: &str,
    field: &impl Fn(&str) -> Option<String>,
) -> Answer {
    let entry = |(digest, (kind, bytes)): (&String, &(String, String))| {
        let manifest: serde_json::Value = serde_json::from_str(bytes).unwrap_or_default();
        if manifest["subject"]["digest"] != subject {
            return None;
        }
        let config = &manifest["config"]["mediaType"];
        let said = Some(&manifest["artifactType"]).filter(|said| said.is_string());
        let mut entry = serde_json::json!({
            "mediaType": kind, "digest": digest, "size": bytes.len(), "artifactType": said.unwrap_or(config),
        });
        if manifest["annotations"].is_object() {
            entry["annotations"] = manifest["annotations"].clone();
        }
        Some(entry)
    };
    let all: Vec<_> = repository.manifests.iter().filter_map(entry).collect();
    let place: usize = field("last")
        .and_then(|last| last.parse().ok())
        .unwrap_or(0);
    let page: Vec<_> = all.iter().skip(place).take(1).collect();
    let kind = "application/vnd.oci.image.index.v1+json";
    let mut headers = vec![("content-type", kind.to_owned())];
    if place + 1 < all.len() {
        let next = format!(
            "</v2/{name}/referrers/{subject}?last={}>; rel=\"next\"",
            place + 1
        );
        headers.push(("link", next));
    }
    let body = serde_json::json!({ "schemaVersion": 2, "mediaType": kind, "manifests": page });
    (200, headers, body.to_string().into_bytes())
}

/// A registry other than ECR makes a repository when something is written to it.
fn make_repository(state: &mut State, request: &Request) {
    let path = request.path.trim_start_matches("/v2/");
    let name = ["/blobs/", "/manifests/"]
        .iter()
        .find_map(|kind| path.split_once(kind))
        .map(|(name, _)| name.to_owned());
    let writes = matches!(request.method.as_str(), "PUT" | "POST");
    if let Some(name) = name.filter(|_| state.makes_repositories && writes) {
        state
            .repositories
            .entry(name)
            .or_insert_with(|| Repository {
                mutability: "MUTABLE".to_owned(),
                ..Repository::default()
            });
    }
}

/// Uploads: begun with POST, filled with PATCH, ended with PUT; or mounted from another repository.
fn upload(
    state: &mut State,
    request: &Request,
    name: &str,
    id: &str,
    mount: Option<String>,
    from: Option<String>,
    said: Option<String>,
) -> Answer {
    if !state.repositories.contains_key(name) {
        return (404, vec![], b"NAME_UNKNOWN".to_vec());
    }
    match request.method.as_str() {
        "POST" => {
            if let (true, Some(mount), Some(from)) = (state.mounts_blobs, mount, from) {
                let known = state
                    .repositories
                    .get(&from)
                    .and_then(|from| from.blobs.get(&mount))
                    .cloned();
                if let Some(bytes) = known {
                    state.calls.push(format!("MOUNT /v2/{name}/blobs/{mount}"));
                    state
                        .repositories
                        .get_mut(name)
                        .unwrap()
                        .blobs
                        .insert(mount, bytes);
                    return (201, vec![], vec![]);
                }
            }
            // No id is given twice: uploads go on side by side.
            let id = format!("upload-{}", state.uploads_begun);
            state.uploads_begun += 1;
            state.uploads.insert(id.clone(), Vec::new());
            (
                202,
                vec![("location", format!("/v2/{name}/blobs/uploads/{id}"))],
                vec![],
            )
        }
        "GET" => {
            let arrived = state.uploads.get(id).map_or(0, Vec::len);
            let headers = vec![
                ("location", format!("/v2/{name}/blobs/uploads/{id}")),
                ("range", format!("0-{}", arrived.saturating_sub(1))),
            ];
            (204, headers, vec![])
        }
        "PATCH" => {
            let begins = request.header("content-range").map_or("0", |range| {
                range.split_once('-').map_or(range, |(first, _)| first)
            });
            let arrived = state.uploads.get(id).map_or(0, Vec::len);
            if begins != arrived.to_string() {
                return (416, vec![], vec![]);
            }
            state.uploaded += request.body.len();
            if request.header("content-length").is_none() {
                return (411, vec![], b"the length is missing".to_vec());
            }
            state
                .uploads
                .entry(id.to_owned())
                .or_default()
                .extend(&request.body);
            // As ECR does; the specification has 202.
            (
                201,
                vec![("location", format!("/v2/{name}/blobs/uploads/{id}"))],
                vec![],
            )
        }
        "PUT" => {
            state.uploaded += request.body.len();
            let mut bytes = state.uploads.remove(id).unwrap_or_default();
            bytes.extend(&request.body);
            let said = said.unwrap_or_default();
            if digest(&bytes) != said {
                return (400, vec![], b"DIGEST_INVALID".to_vec());
            }
            state.calls.push(format!("UPLOAD /v2/{name}/blobs/{said}"));
            state
                .repositories
                .get_mut(name)
                .unwrap()
                .blobs
                .insert(said, bytes);
            (201, vec![], vec![])
        }
        _ => (405, vec![], vec![]),
    }
}

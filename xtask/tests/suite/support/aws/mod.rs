//! An AWS that keeps the rules which the emulator drops: exclusion filters, digests that match their bytes, layers that are
//! there, errors for what is missing, and a registry that asks for its password. It can be told to fail.
//!
//! Each rule is one of AWS's documented errors; see the API reference of `PutImage`, `BatchGetImage`, `DescribeImages` and
//! `CreateRepository`.

mod apprunner;
mod authorization;
mod ecr;
mod ecr_images;
mod ecs;
mod lambda;
mod recording;
mod registry;
mod reply;
mod request;
pub(crate) mod scans;
mod starters;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use apprunner::apprunner;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use ecr::{describe, ecr};
use recording::Recording;
use registry::registry;
use reply::{Answer, Refusal, Reply, identity, refused, status_of};
use request::Request;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) use apprunner::{Service, operation_id};
pub(crate) use ecr::fits;
pub(crate) use ecs::{Breaker, EcsService};
pub(crate) use lambda::{Alias, Function};
pub(crate) use registry::Referrers;
pub(crate) use starters::Starter;

/// In place of a status: the other side waits for an answer without end.
pub(crate) const NO_ANSWER: u16 = 0;

/// A header that is none: the answer breaks off.
const HALF: &str = "x-half";

/// The registry's password: no test's output may contain it.
pub(crate) const PASSWORD: &str = "canary-registry-password-5b1f";

/// A running double.
#[derive(Clone)]
pub(crate) struct Aws {
    state: Arc<Mutex<State>>,
    /// What it holds in other regions.
    regions: Arc<Mutex<BTreeMap<String, State>>>,
    /// `http://127.0.0.1:PORT`.
    pub endpoint: String,
    /// `127.0.0.1:PORT`.
    pub registry: String,
    recording: Recording,
}

/// What the double holds.
#[derive(Clone, Default)]
pub(crate) struct State {
    /// The account that STS answers with.
    pub account: String,
    /// The registry's password.
    pub password: String,
    /// Repositories by name.
    pub repositories: BTreeMap<String, Repository>,
    /// Whether the registry takes tokens alone, which it hands out at `/token` for the password.
    pub hands_out_tokens: bool,
    /// After how many requests of the registry protocol a token has ended, for tokens still to be given out, the next one last.
    pub tokens: Vec<u32>,
    /// How many requests are left of the token that was given out, where it ends.
    pub token_lasts: Option<u32>,
    /// Whether a blob can be mounted from another repository: in ECR where somebody has said so.
    pub mounts_blobs: bool,
    /// Whether a push makes a missing repository, as registries other than ECR do.
    pub makes_repositories: bool,
    /// What the registry does with what belongs to an image.
    pub referrers: Referrers,
    /// What of the registry protocol fails: the end of a path that is written to, with which status ([`NO_ANSWER`] for none at
    /// all), and how often.
    pub fails_to_write: Option<(&'static str, u16, u32)>,
    /// Whether `PutImage` is taken ten times in a second and no more, as by ECR. When those of the last second were taken.
    pub throttled: Option<Vec<Instant>>,
    /// The accounts whose repositories were asked for.
    pub registry_ids: BTreeSet<String>,
    /// Functions by name.
    pub functions: BTreeMap<String, Function>,
    /// What is done to functions.
    pub lambda: lambda::Rules,
    /// App Runner services by name.
    pub services: BTreeMap<String, Service>,
    /// What starts tasks besides services.
    pub starters: Vec<Starter>,
    /// ECS.
    pub ecs: ecs::Ecs,
    /// A process that is killed as soon as this many calls have been carried out, before it hears of the last.
    pub kill: Option<(u32, u32)>,
    /// ECR's scans.
    pub scanning: scans::Scanning,
    /// Bytes of blobs that were sent.
    pub uploaded: usize,
    /// Uploads that have begun, by id.
    pub uploads: BTreeMap<String, Vec<u8>>,
    /// How many have begun.
    pub uploads_begun: usize,
    /// Node groups of the cluster `main`: machine image type and instance type.
    pub node_groups: BTreeMap<String, (String, String)>,
    /// Every API call, in order: `PutImage backend:tag`.
    pub calls: Vec<String>,
    /// Every request of any kind, in order, by what it is for: `PutImage`, `HEAD blob`.
    pub requests: Vec<String>,
    /// Every IAM action that they took, and on what.
    pub asked: BTreeSet<authorization::Asked>,
    /// What goes wrong with one of these requests, by its place.
    pub fault_at: Option<(usize, Fault)>,
    /// What goes wrong with every request from then on.
    lasting: Option<Lasting>,
    /// A process that gets an interrupt with the request of this place.
    pub interrupt: Option<(u32, usize)>,
    /// The first answer to each request, where somebody wants them.
    first_answers: Option<BTreeMap<Vec<u8>, Answer>>,
    /// What somebody else does right before an operation's call of this number is carried out.
    pub meanwhile: Option<(&'static str, u32, Meanwhile)>,
    /// Faults to play: an operation's name, how many times, and what to do.
    pub faults: Vec<(String, u32, Fault)>,
}

impl State {
    /// Nothing goes wrong any more.
    pub(crate) fn heal(&mut self) {
        self.fault_at = None;
        self.lasting = None;
        self.interrupt = None;
        self.first_answers = None;
    }

    /// The config of an image.
    pub(crate) fn image_config(&self, digest: &str) -> Option<Value> {
        let of = |repository: &Repository| {
            let (_, manifest) = repository.manifests.get(digest)?;
            let manifest: Value = serde_json::from_str(manifest).ok()?;
            let config = manifest["config"]["digest"].as_str()?;
            serde_json::from_slice(repository.blobs.get(config)?).ok()
        };
        self.repositories.values().find_map(of)
    }

    /// The CPU that the config of an image says.
    pub(crate) fn image_arch(&self, digest: &str) -> Option<String> {
        let config = self.image_config(digest)?;
        Some(config["architecture"].as_str()?.to_owned())
    }
}

/// What goes wrong with requests from some moment on.
#[derive(Clone)]
enum Lasting {
    /// Every one for the same is answered with this status.
    Status(String, u16),
    /// None is answered.
    Silence,
}

/// What somebody else does.
pub(crate) type Meanwhile = Arc<dyn Fn(&mut State) + Send + Sync>;

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// An answer with this status and an empty body.
    Status(u16),
    /// The connection is closed without an answer.
    Cut,
    /// The call is carried out, and its answer is lost.
    Lost,
    /// An error with a status and AWS's code.
    Error(u16, &'static str),
    /// This status from then on, for every request for the same.
    Always(u16),
    /// 429, and a word on when to come back.
    Throttled,
    /// The answer breaks off in the middle.
    Half,
    /// An answer that is none, as of a proxy that wants a login.
    Garbage,
    /// The first answer that the same request had: what was written since is not seen.
    Stale,
    /// The answer takes its time.
    Slow,
    /// The request is taken, and never answered.
    Hang,
    /// Nothing is answered from then on.
    Gone,
}

/// A repository.
#[derive(Clone)]
pub(crate) struct Repository {
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
    /// Digest to the second of its push.
    pub pushed: BTreeMap<String, i64>,
    /// The lifecycle policy, as it was put.
    pub policy: Option<String>,
}

impl Default for Repository {
    /// One that was made without a word of its settings, as ECR makes it.
    fn default() -> Self {
        Self {
            mutability: "MUTABLE".to_owned(),
            exclusions: vec![],
            scan_on_push: false,
            manifests: BTreeMap::new(),
            tags: BTreeMap::new(),
            blobs: BTreeMap::new(),
            pushed: BTreeMap::new(),
            policy: None,
        }
    }
}

impl Aws {
    /// Starts on a free port. It ends with the test's process.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let registry = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State {
            account: "111122223333".to_owned(),
            password: PASSWORD.to_owned(),
            ..State::default()
        }));
        let aws = Self {
            state,
            regions: Arc::default(),
            endpoint: format!("http://{registry}"),
            recording: Recording::of(&registry),
            registry,
        };
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
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Makes a region of its own: its registry is told by its password.
    pub(crate) fn add_region(&self, region: &str) {
        let state = State {
            account: "111122223333".to_owned(),
            password: format!("{PASSWORD}-{region}"),
            ..State::default()
        };
        self.regions
            .lock()
            .unwrap()
            .insert(region.to_owned(), state);
    }

    /// What a region holds, to look at or to change.
    pub(crate) fn in_region<T>(&self, region: &str, look: impl FnOnce(&mut State) -> T) -> T {
        look(self.regions.lock().unwrap().get_mut(region).unwrap())
    }

    /// Makes an operation fail this many times.
    pub(crate) fn fail(&self, operation: &str, times: u32, fault: Fault) {
        self.state()
            .faults
            .push((operation.to_owned(), times, fault));
    }

    fn serve(&self, stream: TcpStream) {
        // An answer is written in two parts, of which the second would wait for word of the first: 40 ms.
        stream.set_nodelay(true).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        while let Some(request) = Request::read(&mut reader) {
            let reply = self.answer(&request);
            self.recording.keep(&request, &reply);
            if self.kills() {
                return;
            }
            let Some((status, headers, body)) = reply.answer else {
                return;
            };
            if status == NO_ANSWER {
                // The connection stays open until the other side has enough.
                let _ = reader.read_to_end(&mut Vec::new());
                return;
            }
            let mut head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nx-amzn-requestid: request-7\r\n",
                body.len()
            );
            let body = if request.method == "HEAD" {
                Vec::new()
            } else {
                body
            };
            let is_cut = headers.iter().any(|(name, _)| *name == HALF);
            for (name, value) in headers {
                head.extend([name, ": ", value.as_str(), "\r\n"]);
            }
            let sent = if is_cut {
                &body[..body.len() / 2]
            } else {
                &body
            };
            let written = stream
                .write_all(format!("{head}\r\n").as_bytes())
                .and_then(|()| stream.write_all(sent));
            if written.is_err() || is_cut {
                return;
            }
        }
    }

    /// Whether the caller was killed by this call.
    fn kills(&self) -> bool {
        let mut state = self.state();
        let Some((process, left)) = state.kill.as_mut() else {
            return false;
        };
        *left = left.saturating_sub(1);
        if *left > 0 {
            return false;
        }
        let process = *process;
        state.kill = None;
        send("-KILL", process);
        true
    }

    /// The answer of a fault that is to be played, or what `act` answers.
    fn played(
        state: &mut State,
        request: &Request,
        operation: &str,
        act: impl FnOnce(&mut State) -> Answer,
    ) -> Reply {
        if let Some((of, left, act)) = state.meanwhile.clone().filter(|one| one.0 == operation) {
            state.meanwhile = (left > 1).then(|| (of, left - 1, act.clone()));
            if left == 1 {
                act(state);
            }
        }
        // A fault is of an operation, or of one call as it is written down.
        let call = state.calls.last().cloned().unwrap_or_default();
        let Some(fault) = state
            .faults
            .iter_mut()
            .find(|fault| (fault.0 == operation || fault.0 == call) && fault.1 > 0)
        else {
            return act(state).into();
        };
        fault.1 -= 1;
        match fault.2 {
            Fault::Status(status) | Fault::Always(status) => {
                Reply::injected(Some((status, vec![], vec![])))
            }
            Fault::Throttled
            | Fault::Half
            | Fault::Garbage
            | Fault::Stale
            | Fault::Cut
            | Fault::Slow
            | Fault::Hang
            | Fault::Gone => Reply::injected(None),
            Fault::Lost => {
                act(state);
                Reply::injected(None)
            }
            // AWS may answer this at any time, so it is held against its models like any other answer.
            Fault::Error(status, code) => refused(request, status, code, "it was told to").into(),
        }
    }

    fn answer(&self, request: &Request) -> Reply {
        let fault = {
            let mut state = self.state();
            let place = state.requests.len();
            let purpose = request.purpose();
            state.requests.push(purpose.clone());
            state.asked.extend(authorization::of(request));
            if let Some((process, _)) = state.interrupt.filter(|(_, at)| *at == place) {
                send("-INT", process);
            }
            let fault = state.fault_at.filter(|(at, _)| *at == place);
            match fault {
                Some((_, Fault::Gone)) => state.lasting = Some(Lasting::Silence),
                Some((_, Fault::Always(status))) => {
                    state.lasting = Some(Lasting::Status(purpose.clone(), status));
                }
                _ => {}
            }
            match &state.lasting {
                Some(Lasting::Silence) => return Reply::injected(None),
                Some(Lasting::Status(of, status)) if *of == purpose => {
                    return Reply::injected(Some((*status, vec![], vec![])));
                }
                _ => {}
            }
            if let Some((_, Fault::Stale)) = state.fault_at {
                state.first_answers.get_or_insert_default();
            }
            fault.map(|(_, fault)| fault)
        };
        let Some(fault) = fault else {
            let reply = self.answer_in_its_region(request);
            if let (Some(known), Some(answer)) = (&mut self.state().first_answers, &reply.answer) {
                known.entry(request.key()).or_insert_with(|| answer.clone());
            }
            return reply;
        };
        Reply::injected(self.faulty(fault, request))
    }

    /// What comes of a request with which something goes wrong.
    fn faulty(&self, fault: Fault, request: &Request) -> Option<Answer> {
        match fault {
            Fault::Cut | Fault::Gone => None,
            Fault::Hang => Some((NO_ANSWER, vec![], vec![])),
            Fault::Slow => {
                const LONG: Duration = Duration::from_millis(700);
                std::thread::sleep(LONG);
                self.answer_in_its_region(request).answer
            }
            Fault::Status(status) | Fault::Error(status, _) | Fault::Always(status) => {
                Some((status, vec![], vec![]))
            }
            Fault::Throttled => Some((429, vec![("retry-after", "1".to_owned())], vec![])),
            Fault::Garbage => {
                let kind = vec![("content-type", "text/html".to_owned())];
                let page = b"<html>Log in to the guest network</html>";
                Some((200, kind, page.to_vec()))
            }
            Fault::Lost => {
                self.answer_in_its_region(request);
                None
            }
            Fault::Half => {
                let (status, mut headers, body) = self.answer_in_its_region(request).answer?;
                headers.push((HALF, String::new()));
                Some((status, headers, body))
            }
            Fault::Stale => {
                let known = self
                    .state()
                    .first_answers
                    .as_ref()?
                    .get(&request.key())
                    .cloned();
                known.or_else(|| self.answer_in_its_region(request).answer)
            }
        }
    }

    fn answer_in_its_region(&self, request: &Request) -> Reply {
        let mut regions = self.regions.lock().unwrap();
        let said = request.header("authorization").unwrap_or_default();
        let is_its = |(region, state): &(&String, &mut State)| {
            let login = BASE64_STANDARD.encode(format!("AWS:{}", state.password));
            said.contains(&format!("/{region}/")) || said == format!("Basic {login}")
        };
        if let Some((_, state)) = regions.iter_mut().find(is_its) {
            return Self::answer_in(state, request);
        }
        drop(regions);
        Self::answer_in(&mut self.state(), request)
    }

    fn answer_in(state: &mut State, request: &Request) -> Reply {
        if request.is_of_the_registry() {
            return registry(state, request).into();
        }
        if let Some((operation, name)) = lambda::operation(request) {
            state
                .calls
                .push(format!("{operation} {name}").trim_end().to_owned());
            return Self::played(state, request, &operation, |state| {
                lambda::answer(state, &operation, &name, request)
            });
        }
        if request.path.ends_with("/operation/GetMetricStatistics") {
            state.calls.push("GetMetricStatistics".to_owned());
            return lambda::metric(state.lambda.errors).into();
        }
        if let Some(answer) = starters::scheduler(state, &request.path) {
            state.calls.push("Scheduler".to_owned());
            return answer.into();
        }
        if let Some(rest) = request.path.strip_prefix("/clusters/main/node-groups") {
            let body = match rest.trim_start_matches('/').split('?').next() {
                Some("") | None => {
                    json!({ "nodegroups": state.node_groups.keys().collect::<Vec<_>>() })
                }
                Some(name) => {
                    let (ami, kind) = state.node_groups.get(name).cloned().unwrap_or_default();
                    json!({ "nodegroup": { "nodegroupName": name, "amiType": ami, "instanceTypes": [kind] } })
                }
            };
            return reply::rest(&body).into();
        }
        let form = String::from_utf8_lossy(&request.body).into_owned();
        let operation = match request.header("x-amz-target") {
            Some(target) => target.rsplit('.').next().unwrap_or_default().to_owned(),
            None if form.contains("Action=GetCallerIdentity") => "GetCallerIdentity".to_owned(),
            None => return (404, vec![], vec![]).into(),
        };
        let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        state.calls.push(describe(&operation, &body));
        let target = request.header("x-amz-target").unwrap_or_default();
        let service = target.split('.').next().unwrap_or_default().to_owned();
        Self::played(state, request, &operation, |state| {
            if operation == "GetCallerIdentity" {
                return identity(&state.account);
            }
            let outcome = match service.as_str() {
                "AWSEvents" => starters::events(state, &operation, &body),
                "AppRunner" => apprunner(state, &operation, &body),
                "AmazonEC2ContainerServiceV20141113" => ecs::ecs(state, &operation, &body),
                _ => ecr(state, &operation, &body),
            };
            match outcome {
                Ok(value) => reply::json(&value),
                Err((code, message)) => refused(request, status_of(code), code, &message),
            }
        })
    }
}

/// Sends a signal to a process.
fn send(signal: &str, process: u32) {
    let process = process.to_string();
    let mut kill = std::process::Command::new("kill");
    kill.args([signal, &process]).status().unwrap();
}

/// `sha256:…`
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold("sha256:".to_owned(), |text, byte| {
            text + &format!("{byte:02x}")
        })
}

//! Uploads to registries that are hard to get along with.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use image_oci::{Descriptor, digest_of};

use super::{upload::BlobUpload, *};

/// A request, as far as a test looks at it.
struct Asked {
    /// `PATCH /v2/a/blobs/uploads/1`
    line: String,
    headers: Vec<String>,
    /// How many bytes came with it.
    bytes: usize,
}

impl Asked {
    fn is(&self, method: &str, part: &str) -> bool {
        self.line.starts_with(method) && self.line.contains(part)
    }

    fn has(&self, header: &str) -> bool {
        self.headers
            .iter()
            .any(|one| one.eq_ignore_ascii_case(header))
    }
}

/// A status line, headers, and nothing more.
type Answer = String;

fn answer(status: &str, headers: &[&str]) -> Answer {
    let headers = [headers, &["content-length: 0", "", ""]].concat();
    format!("HTTP/1.1 {status}\r\n{}", headers.join("\r\n"))
}

/// Serves connections until the test ends. Returns the host, and the lines of all requests.
fn serve(
    act: impl Fn(&str, &Asked) -> Answer + Send + Sync + 'static,
) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let (act, name, log) = (Arc::new(act), host.clone(), Arc::clone(&lines));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (act, name, log) = (Arc::clone(&act), name.clone(), Arc::clone(&log));
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while let Some(asked) = read(&mut reader) {
                    log.lock().unwrap().push(asked.line.clone());
                    let said = act(&name, &asked);
                    if (&stream).write_all(said.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (host, lines)
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader
        .read_line(&mut line)
        .ok()
        .filter(|length| *length > 0)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        match header.trim_end() {
            "" => break,
            header => headers.push(header.to_owned()),
        }
    }
    let length = headers.iter().find_map(|header| {
        let (name, value) = header.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    Some(Asked {
        line,
        headers,
        bytes: body.len(),
    })
}

/// Zeros, as many as there are.
struct Zeros(u64);

impl BlobSource for Zeros {
    fn open(&self, _: &str, from: u64) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(
            std::io::repeat(0).take(self.0.saturating_sub(from)),
        ))
    }
}

const SIZE: usize = 2 << 20;

fn blob() -> Descriptor {
    let digest = digest_of(&vec![0; SIZE]);
    serde_json::from_str(&format!(r#"{{"digest":"{digest}","size":{SIZE}}}"#)).unwrap()
}

fn put(host: &str, mount: Option<&str>) -> Result<BlobUpload> {
    let registry = Registry::with_docker_login(host, Actions::Push);
    registry.put_blob("a", &blob(), &Zeros(SIZE as u64), mount)
}

fn count(lines: &Arc<Mutex<Vec<String>>>, part: &str) -> usize {
    let lines = lines.lock().unwrap();
    lines.iter().filter(|line| line.contains(part)).count()
}

#[test]
fn a_token_that_runs_out_while_a_layer_is_sent_is_renewed_and_the_layer_not_sent_again() {
    // A token is good until a layer has been sent with it.
    let valid = Mutex::new(0);
    let (host, lines) = serve(move |host, asked| {
        let mut valid = valid.lock().unwrap();
        let challenge = format!("www-authenticate: Bearer realm=\"http://{host}/token\"");
        if asked.line.contains("/token") {
            *valid += 1;
            let body = format!(r#"{{"token":"t{valid}"}}"#);
            return format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
        if !asked.has(&format!("authorization: Bearer t{valid}")) {
            return answer("401 Unauthorized", &[&challenge]);
        }
        match &asked.line {
            _ if asked.is("HEAD", "/blobs/") => answer("404 Not Found", &[]),
            _ if asked.is("POST", "/uploads/") => answer(
                "202 Accepted",
                &["location: /v2/a/blobs/uploads/1?_state=0"],
            ),
            _ if asked.is("PATCH", "_state=0") => {
                *valid += 1;
                answer(
                    "202 Accepted",
                    &["location: /v2/a/blobs/uploads/1?_state=1"],
                )
            }
            _ if asked.is("PUT", "_state=1&digest=") => answer("201 Created", &[]),
            _ => answer("400 Bad Request", &[]),
        }
    });
    assert_eq!(put(&host, None).unwrap(), BlobUpload::Sent);
    assert_eq!(count(&lines, "PATCH"), 1);
}

#[test]
fn an_upload_that_has_arrived_whole_is_only_ended() {
    let (host, lines) = serve(|_, asked| match &asked.line {
        _ if asked.is("HEAD", "/blobs/") => answer("404 Not Found", &[]),
        // One answer in a hundred names a place by words of its own.
        _ if asked.is("POST", "/uploads/") => answer("202 Accepted", &["location: 1"]),
        _ if asked.is("PATCH", "/uploads/1") && asked.bytes == SIZE => {
            answer("504 Gateway Timeout", &[])
        }
        _ if asked.is("GET", "/uploads/1") => {
            let range = format!("range: 0-{}", SIZE - 1);
            answer(
                "204 No Content",
                &["location: /v2/a/blobs/uploads/1", &range],
            )
        }
        _ if asked.is("PUT", "/uploads/1?digest=") => answer("201 Created", &[]),
        _ => answer("400 Bad Request", &[]),
    });
    assert_eq!(put(&host, None).unwrap(), BlobUpload::Sent);
    assert_eq!(count(&lines, "PATCH"), 1);
}

#[test]
fn a_resumed_upload_that_the_registry_does_not_take_begins_anew() {
    let attempts = Mutex::new(0);
    let (host, lines) = serve(move |_, asked| match &asked.line {
        _ if asked.is("HEAD", "/blobs/") => answer("404 Not Found", &[]),
        _ if asked.is("POST", "/uploads/") => {
            answer("202 Accepted", &["location: /v2/a/blobs/uploads/1"])
        }
        _ if asked.is("GET", "/uploads/1") => answer(
            "204 No Content",
            &["location: /v2/a/blobs/uploads/1", "range: 0-99"],
        ),
        _ if asked.is("PATCH", "/uploads/1") => {
            let mut attempts = attempts.lock().unwrap();
            *attempts += 1;
            match *attempts {
                1 => answer("500 Internal Server Error", &[]),
                2 => answer("416 Range Not Satisfiable", &[]),
                _ => answer("202 Accepted", &["location: /v2/a/blobs/uploads/1"]),
            }
        }
        _ if asked.is("PUT", "/uploads/1?digest=") => answer("201 Created", &[]),
        _ => answer("400 Bad Request", &[]),
    });
    assert_eq!(put(&host, None).unwrap(), BlobUpload::Sent);
    assert_eq!((count(&lines, "POST"), count(&lines, "PATCH")), (2, 3));
}

#[test]
fn a_registry_that_asks_for_a_login_at_the_first_write_alone_gets_one() {
    let (host, lines) = serve(|host, asked| {
        if asked.line.contains("/token") {
            let body = r#"{"token":"t"}"#;
            return format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
        let may_write = asked.has("authorization: Bearer t");
        match &asked.line {
            _ if asked.is("GET", "/v2/") => answer("200 OK", &[]),
            _ if asked.is("HEAD", "/blobs/") => answer("404 Not Found", &[]),
            _ if !may_write => {
                let realm = format!("www-authenticate: Bearer realm=\"http://{host}/token\"");
                answer("401 Unauthorized", &[&realm])
            }
            _ if asked.is("POST", "/uploads/") || asked.is("PATCH", "/uploads/") => {
                answer("202 Accepted", &["location: /v2/a/blobs/uploads/1"])
            }
            _ => answer("201 Created", &[]),
        }
    });
    assert_eq!(put(&host, None).unwrap(), BlobUpload::Sent);
    assert_eq!(count(&lines, "/token"), 1);
}

#[test]
fn a_mount_that_is_refused_becomes_an_upload() {
    for status in ["401 Unauthorized", "403 Forbidden", "404 Not Found"] {
        let (host, _) = serve(move |_, asked| match &asked.line {
            _ if asked.is("GET", "/v2/") => answer("200 OK", &[]),
            _ if asked.is("HEAD", "/blobs/") => answer("404 Not Found", &[]),
            _ if asked.is("POST", "mount=") => answer(status, &[]),
            _ if asked.is("PUT", "digest=") => answer("201 Created", &[]),
            _ => answer("202 Accepted", &["location: /v2/a/blobs/uploads/1"]),
        });
        assert_eq!(put(&host, Some("b")).unwrap(), BlobUpload::Sent, "{status}");
    }
}

#[test]
fn a_blob_that_ends_early_is_damaged_and_nothing_hangs() {
    let (host, _) = serve(|_, asked| match &asked.line {
        _ if asked.is("GET", "/v2/") => answer("200 OK", &[]),
        _ if asked.is("HEAD", "/blobs/") => answer("404 Not Found", &[]),
        _ => answer("202 Accepted", &["location: /v2/a/blobs/uploads/1"]),
    });
    let registry = Registry::with_docker_login(&host, Actions::Push).impatient();
    let error = registry.put_blob("a", &blob(), &Zeros(SIZE as u64 / 2), None);
    let error = error.unwrap_err();
    assert!(error.downcast_ref::<Damaged>().is_some(), "{error:#}");
}

#[test]
fn uploads_go_on_at_this_registry_alone() {
    let elsewhere = [
        "http://127.0.0.2/v2/a/blobs/uploads/1",
        "https://HOST/v2/a/blobs/uploads/1",
        "http://HOST@127.0.0.2/v2/a/blobs/uploads/1",
        "//127.0.0.2/v2/a",
    ];
    for location in elsewhere {
        let (host, _) = serve(move |host, asked| match &asked.line {
            _ if asked.is("GET", "/v2/") => answer("200 OK", &[]),
            _ if asked.is("HEAD", "/blobs/") => answer("404 Not Found", &[]),
            _ => {
                let location = format!("location: {}", location.replace("HOST", host));
                answer("202 Accepted", &[&location])
            }
        });
        let registry = Registry::with_docker_login(&host, Actions::Push).impatient();
        let outcome = registry.put_blob("a", &blob(), &Zeros(SIZE as u64), None);
        let error = format!("{:#}", outcome.unwrap_err());
        assert!(
            error.contains("sends uploads elsewhere"),
            "{location}: {error}"
        );
    }
}

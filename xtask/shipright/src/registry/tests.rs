//! Registries that are hard to get along with.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::{upload::Upload, *};

static TOKENS: AtomicUsize = AtomicUsize::new(0);

/// How many of the next requests are refused for the moment, beginning with the first look at the registry.
static FAULTS: AtomicUsize = AtomicUsize::new(2);

/// A registry whose tokens live for one call.
fn answer(stream: &mut TcpStream, host: &str, valid: &AtomicUsize) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?)
        .lines()
        .map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let headers: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    let token = valid.load(Ordering::SeqCst);
    let has_token = headers
        .iter()
        .any(|line| line.eq_ignore_ascii_case(&format!("authorization: bearer t{token}")));
    let (status, more, body) = if FAULTS
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        })
        .is_ok()
    {
        ("503 Service Unavailable", String::new(), String::new())
    } else if first.contains("/token?") {
        let new = TOKENS.fetch_add(1, Ordering::SeqCst) + 1;
        valid.store(new, Ordering::SeqCst);
        (
            "200 OK",
            String::new(),
            format!(r#"{{"token":"t{new}","access_token":"t{new}"}}"#),
        )
    } else if has_token && token > 0 && first.contains("/manifests/") {
        valid.store(0, Ordering::SeqCst);
        ("200 OK", String::new(), "{}".to_owned())
    } else {
        let challenge =
            format!("www-authenticate: Bearer realm=\"http://{host}/token\",service=\"s\"\r\n");
        (
            "401 Unauthorized",
            challenge,
            r#"{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}"#.to_owned(),
        )
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn a_token_that_has_run_out_is_renewed_once_a_call() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let server = host.clone();
    std::thread::spawn(move || {
        let valid = AtomicUsize::new(0);
        for mut stream in listener.incoming().flatten() {
            let _ = answer(&mut stream, &server, &valid);
        }
    });
    let registry = Registry::open(&host, &["a"], Actions::Pull).unwrap();
    assert_eq!(registry.manifest("a", "x").unwrap(), b"{}");
    assert_eq!(
        registry.manifest("a", "x").unwrap(),
        b"{}",
        "the first token is used up"
    );
    assert_eq!(TOKENS.load(Ordering::SeqCst), 2);
    let error = format!("{:#}", registry.blob("a", &digest_of(b""), 1).unwrap_err());
    assert!(
        error.contains("HTTP 401: no; it is not there, or wants a login: docker login 127.0.0.1:"),
        "{error}"
    );
}

/// A registry that takes connections, and neither reads nor answers.
fn silent_registry() -> Registry {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let held: Vec<_> = listener.incoming().collect();
        drop(held);
    });
    Registry {
        agent: new_agent(Duration::from_millis(50), true),
        ..Registry::new(&host, None)
    }
}

/// As many bytes as one asks for.
struct Endless;

impl BlobSource for Endless {
    fn open(&self, _: &str, _: u64) -> Result<Box<dyn Read + Send>> {
        Ok(Box::new(std::io::repeat(0)))
    }
}

#[test]
fn a_registry_that_goes_silent_is_given_up_by_the_name_of_what_was_wanted() {
    let registry = silent_registry();
    let said = |outcome: Result<()>| format!("{:#}", outcome.unwrap_err());
    let read = said(registry.manifest("a", "x").map(drop));
    assert!(
        read.contains("failed to read manifest `x` of `a`"),
        "{read}"
    );
    assert!(read.contains("silent"), "{read}");
    let location = format!("{}/a/blobs/uploads/1", registry.base);
    let blob = format!(r#"{{"digest":"{}","size":67108864}}"#, digest_of(b"x"));
    let blob = serde_json::from_str(&blob).unwrap();
    let write = registry.send_rest(&blob, &Endless, &location, 0, &mut Upload::New);
    let write = said(
        write
            .map(drop)
            .map_err(|failure| failure.told("x".to_owned())),
    );
    assert!(write.contains("silent"), "{write}");
}

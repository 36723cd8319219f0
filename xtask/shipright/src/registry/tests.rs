//! A registry whose tokens live for one call.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;

static TOKENS: AtomicUsize = AtomicUsize::new(0);

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
    let (status, more, body) = if first.contains("/token?") {
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

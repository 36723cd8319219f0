//! An HTTP request, as far as it is read here.

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpStream,
};

use super::lambda;

pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn is_of_the_registry(&self) -> bool {
        self.path.starts_with("/v2/") || self.path.starts_with("/token")
    }

    /// What makes two requests the same.
    pub(super) fn key(&self) -> Vec<u8> {
        let mut key = format!("{} {} ", self.method, self.path).into_bytes();
        key.extend(self.header("x-amz-target").unwrap_or_default().bytes());
        key.extend(&self.body);
        key
    }

    /// What it is for, in two words at most.
    pub(super) fn purpose(&self) -> String {
        if let Some(rest) = self.path.strip_prefix("/v2/") {
            let kinds = [
                ("/blobs/uploads/", "upload"),
                ("/blobs/", "blob"),
                ("/manifests/", "manifest"),
                ("/tags/", "tags"),
                ("/referrers/", "referrers"),
            ];
            let kind = kinds.iter().find(|(part, _)| rest.contains(part));
            return format!(
                "{} {}",
                self.method,
                kind.map_or("registry", |(_, kind)| kind)
            );
        }
        if let Some((operation, _)) = lambda::operation(self) {
            return operation;
        }
        match self.header("x-amz-target") {
            Some(target) => target.rsplit('.').next().unwrap_or_default().to_owned(),
            None if self.body.starts_with(b"Action=") => "GetCallerIdentity".to_owned(),
            None => self.path.clone(),
        }
    }

    pub(super) fn read(reader: &mut BufReader<TcpStream>) -> Option<Self> {
        let mut line = String::new();
        reader
            .read_line(&mut line)
            .ok()
            .filter(|length| *length > 0)?;
        let mut words = line.split_whitespace();
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader
                .read_line(&mut line)
                .ok()
                .filter(|length| *length > 0)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self {
            method,
            path,
            headers,
            body: Vec::new(),
        };
        if request
            .header("transfer-encoding")
            .is_some_and(|coding| coding.contains("chunked"))
        {
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).ok()?;
                let length = usize::from_str_radix(line.trim().split(';').next()?, 16).ok()?;
                let mut chunk = vec![0; length + 2];
                reader.read_exact(&mut chunk).ok()?;
                request.body.extend(&chunk[..length]);
                if length == 0 {
                    return Some(request);
                }
            }
        }
        let length = request
            .header("content-length")
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        request.body = vec![0; length];
        reader.read_exact(&mut request.body).ok()?;
        Some(request)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

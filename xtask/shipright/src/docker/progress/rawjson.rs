//! BuildKit's events as `--progress=rawjson` prints them, with the lines of text that stand between them.
//!
//! Source: `SolveStatus` in moby/buildkit, `client/graph.go`. buildx 0.13 prints each event over several lines, later ones in one.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};

/// One event.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Event {
    #[serde(default, deserialize_with = "nullable")]
    pub vertexes: Vec<Vertex>,
    #[serde(default, deserialize_with = "nullable")]
    pub statuses: Vec<Status>,
    #[serde(default, deserialize_with = "nullable")]
    pub logs: Vec<Log>,
}

/// A step.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Vertex {
    pub digest: String,
    #[serde(default)]
    pub name: String,
    pub started: Option<DateTime<Utc>>,
    pub completed: Option<DateTime<Utc>>,
    #[serde(default)]
    pub cached: bool,
    #[serde(default)]
    pub error: String,
}

/// How far a part of a step is: a layer that is fetched, a context that is sent.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Status {
    pub id: String,
    pub vertex: String,
    /// Bytes; 0 where nobody knows.
    #[serde(default)]
    pub total: i64,
    /// Bytes.
    #[serde(default)]
    pub current: i64,
    pub completed: Option<DateTime<Utc>>,
}

/// What a step has printed.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Log {
    pub vertex: String,
    #[serde(default, deserialize_with = "bytes")]
    pub data: Vec<u8>,
    pub timestamp: Option<DateTime<Utc>>,
}

fn nullable<'d, D: Deserializer<'d>, T: Deserialize<'d>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Bytes in base64, as Go writes them.
fn bytes<'d, D: Deserializer<'d>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text: Option<String> = Option::deserialize(from)?;
    Ok(BASE64_STANDARD
        .decode(text.unwrap_or_default())
        .unwrap_or_default())
}

/// What was printed.
#[derive(Debug)]
pub(super) enum Piece {
    Event(Event),
    Text(String),
}

/// Puts lines together to events.
#[derive(Debug, Default)]
pub(super) struct Reader {
    begun: String,
}

impl Reader {
    /// Reads one line. An event that is not complete yet is nothing.
    pub(super) fn read(&mut self, line: &str) -> Vec<Piece> {
        /// No event is longer; what is, is none.
        const LONGEST: usize = 8 * 1024 * 1024;
        if self.begun.is_empty() {
            if !line.starts_with('{') {
                return vec![Piece::Text(line.to_owned())];
            }
            if let Ok(event) = serde_json::from_str(line) {
                return vec![Piece::Event(event)];
            }
        }
        self.begun.push_str(line);
        self.begun.push('\n');
        // The end of an event that is spread over lines stands alone; what does not become one was text.
        if line == "}" || self.begun.len() > LONGEST {
            return self.end();
        }
        Vec::new()
    }

    /// What is left at the end.
    pub(super) fn end(&mut self) -> Vec<Piece> {
        let text = std::mem::take(&mut self.begun);
        match serde_json::from_str(&text) {
            Ok(event) => vec![Piece::Event(event)],
            Err(_) => text
                .lines()
                .map(|line| Piece::Text(line.to_owned()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Vec<Piece> {
        let mut reader = Reader::default();
        let mut pieces: Vec<_> = lines.lines().flat_map(|line| reader.read(line)).collect();
        pieces.extend(reader.end());
        pieces
    }

    #[test]
    fn events_of_one_line_and_of_many_are_read_with_the_text_between_them() {
        let log = r#"{"logs":[{"vertex":"a","stream":1,"data":"aGkK","timestamp":"2026-11-26T03:20:50.685688303Z"}]}"#;
        let lines = format!(
            "before\n{{\n  \"vertexes\": [\n    {{ \"digest\": \"a\" }}\n  ]\n}}\n{log}\nERROR: no\n"
        );
        let pieces = read(&lines);
        let [
            Piece::Text(before),
            Piece::Event(many),
            Piece::Event(one),
            Piece::Text(after),
        ] = pieces.as_slice()
        else {
            panic!("{pieces:?}")
        };
        assert_eq!((before.as_str(), after.as_str()), ("before", "ERROR: no"));
        assert_eq!(many.vertexes[0].digest, "a");
        assert_eq!(one.logs[0].data, b"hi\n");
    }

    #[test]
    fn what_is_no_event_is_text() {
        for odd in ["{", "{ not json", "{\"vertexes\": 3}\n}", "}"] {
            let pieces = read(odd);
            let said: Vec<_> = pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.as_str(),
                    Piece::Event(_) => panic!("{odd}: {pieces:?}"),
                })
                .collect();
            assert_eq!(said.join("\n"), odd);
        }
        assert!(matches!(
            &read("{\"vertexes\":null}")[..],
            [Piece::Event(_)]
        ));
    }
}

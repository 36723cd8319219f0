//! What can be wrong with an image's bytes.

use std::fmt;

/// Bytes that are not what they have to be, or cannot be read.
#[derive(Debug)]
pub struct Error {
    message: String,
    source: Option<std::io::Error>,
}

impl Error {
    /// Bytes that are not what they have to be.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }

    /// The same with what it was about in front.
    #[must_use]
    pub fn about(self, what: impl fmt::Display) -> Self {
        Self {
            message: format!("{what}: {}", self.message),
            ..self
        }
    }

    /// Whether reading failed, and not what was read.
    pub fn is_io(&self) -> bool {
        self.source.is_some()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl From<std::io::Error> for Error {
    fn from(source: std::io::Error) -> Self {
        use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        // Decoders report bad data as I/O errors; for us that is the data's fault.
        match source.kind() {
            UnexpectedEof => Self::new("the data ends too early"),
            InvalidData | InvalidInput => Self::new(format!("the data is damaged: {source}")),
            _ => Self {
                message: format!("failed to read: {source}"),
                source: Some(source),
            },
        }
    }
}

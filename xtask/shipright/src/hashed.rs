//! A stream whose digest is known at its end.

use std::io::{Read, Result, Write};

use image_oci::hexadecimal;
use sha2::{Digest as _, Sha256};

/// Counts and hashes what is read from another stream, or written to it.
pub(crate) struct Hashed<S> {
    inner: S,
    hash: Sha256,
    size: u64,
}

impl<S> Hashed<S> {
    /// Starts.
    pub(crate) fn new(inner: S) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            size: 0,
        }
    }

    /// The stream, and the digest and the number of the bytes that have passed.
    pub(crate) fn finish(self) -> (S, String, u64) {
        let digest = format!("sha256:{}", hexadecimal(&self.hash.finalize()));
        (self.inner, digest, self.size)
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
    }
}

impl<S: Read> Read for Hashed<S> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.inner.read(buffer)?;
        self.pass(&buffer[..count]);
        Ok(count)
    }
}

impl<S: Write> Write for Hashed<S> {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        let count = self.inner.write(buffer)?;
        self.pass(&buffer[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }
}

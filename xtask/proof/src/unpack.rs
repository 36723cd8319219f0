//! Compressed bytes to an archive's bytes, with the digests of both on the way.

use std::{
    io::{BufRead, BufReader, Read},
    sync::mpsc::{self, Receiver, SyncSender},
};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use image_oci::hexadecimal;

use crate::error::Error;

/// The largest window that a zstd stream may ask for, as a power of two: 32 MiB.
const ZSTD_WINDOW: u32 = 25;

/// Counts and hashes what passes through.
pub(crate) struct Hashed<R> {
    inner: R,
    hash: Sha256,
    size: u64,
}

impl<R: Read> Hashed<R> {
    /// Starts counting.
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            size: 0,
        }
    }

    /// The digest and the number of all bytes that passed.
    pub(crate) fn finish(self) -> (String, u64) {
        (
            format!("sha256:{}", hexadecimal(&self.hash.finalize())),
            self.size,
        )
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.size += count as u64;
        Ok(count)
    }
}

/// What a layer is compressed with. The bytes decide; a media type may lie.
enum Decoder<R: BufRead> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<R>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, R>>),
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(inner) => inner.read(buffer),
            Self::Gzip(inner) => inner.read(buffer),
            Self::Zstd(inner) => inner.read(buffer),
        }
    }
}

/// The digests of a layer: of the bytes as they are stored, and of the archive inside.
pub(crate) struct Digests {
    /// Of the stored bytes.
    pub stored: String,
    /// How many there are.
    pub size: u64,
    /// Of the archive: what an image's config lists as `diff_ids`.
    pub archive: String,
}

/// How many bytes go from the unpacking thread to the reading one at a time, and how many such chunks may wait.
const CHUNK: usize = 256 * 1024;
const WAITING: usize = 8;

/// The most bytes that a layer may unpack to. ECR takes layers of up to 52 GB.
const LARGEST: u64 = 100 * 1024 * 1024 * 1024;

/// Hands the archive inside to `work`, and reads on to the end, so that the digests are those of all bytes. Unpacking goes
/// on in a thread of its own while `work` reads what is unpacked.
///
/// # Errors
/// Bytes that cannot be read or unpacked, and whatever `work` finds.
pub(crate) fn unpack<T>(
    stored: impl Read + Send,
    work: impl FnOnce(&mut (dyn Read + Send)) -> Result<T, Error>,
) -> Result<(T, Digests), Error> {
    std::thread::scope(|scope| {
        let (sender, chunks) = mpsc::sync_channel(WAITING);
        let unpacking = scope.spawn(move || send_unpacked(stored, &sender));
        let mut archive = Hashed::new(Chunks {
            chunks,
            current: Vec::new(),
            at: 0,
        });
        let outcome = work(&mut archive).and_then(|result| {
            std::io::copy(&mut archive, &mut std::io::sink())?;
            Ok((result, archive))
        });
        // On an error this drops the receiver, and the other thread ends at its next chunk.
        let (result, archive) = outcome?;
        let (archive, _) = archive.finish();
        let joined = unpacking
            .join()
            .unwrap_or_else(|_| Err(std::io::Error::other("unpacking broke off")));
        let (stored, size) = joined?;
        Ok((
            result,
            Digests {
                stored,
                size,
                archive,
            },
        ))
    })
}

/// Hands out what is in some bytes that may be compressed.
///
/// # Errors
/// Bytes that cannot be read or unpacked, and whatever `work` finds.
pub fn unpacked<T>(
    stored: impl Read + Send,
    work: impl FnOnce(&mut (dyn Read + Send)) -> Result<T, Error>,
) -> Result<T, Error> {
    unpack(stored, work).map(|(result, _)| result)
}

/// Unpacks everything and returns the digest and size of the stored bytes. A receiver that has gone away ends it early.
fn send_unpacked(
    stored: impl Read,
    sender: &SyncSender<std::io::Result<Vec<u8>>>,
) -> std::io::Result<(String, u64)> {
    let mut stored = BufReader::with_capacity(CHUNK, Hashed::new(stored));
    let mut decoder = match decoder(&mut stored) {
        Ok(decoder) => decoder,
        Err(error) => {
            let _ = sender.send(Err(error));
            return Ok((String::new(), 0));
        }
    };
    let mut unpacked = 0;
    loop {
        unpacked += CHUNK as u64;
        if unpacked > LARGEST {
            let _ = sender.send(Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "it unpacks to more than 100 GiB",
            )));
            break;
        }
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = decoder.by_ref().take(CHUNK as u64).read_to_end(&mut chunk);
        let ended = read.is_err() || chunk.is_empty();
        if !chunk.is_empty() && sender.send(Ok(chunk)).is_err() {
            return Ok((String::new(), 0));
        }
        if let Err(error) = read {
            let _ = sender.send(Err(error));
        }
        if ended {
            break;
        }
    }
    drop(decoder);
    std::io::copy(&mut stored, &mut std::io::sink())?;
    Ok(stored.into_inner().finish())
}

fn decoder<R: BufRead>(mut stored: R) -> std::io::Result<Decoder<R>> {
    let start = stored.fill_buf()?;
    if start.starts_with(&[0x1f, 0x8b]) {
        return Ok(Decoder::Gzip(Box::new(MultiGzDecoder::new(stored))));
    }
    // A frame of zstd, or one that its readers skip: 0x184D2A50 to 0x184D2A5F.
    let is_skippable =
        start.len() >= 4 && start[0] & 0xf0 == 0x50 && start[1..4] == [0x2a, 0x4d, 0x18];
    if is_skippable || start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(stored)?;
        decoder.window_log_max(ZSTD_WINDOW)?;
        return Ok(Decoder::Zstd(Box::new(decoder)));
    }
    Ok(Decoder::Plain(stored))
}

/// What the unpacking thread sends, as one stream.
struct Chunks {
    chunks: Receiver<std::io::Result<Vec<u8>>>,
    current: Vec<u8>,
    at: usize,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.at == self.current.len() {
            match self.chunks.recv() {
                Ok(chunk) => (self.current, self.at) = (chunk?, 0),
                Err(_) => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len() - self.at);
        buffer[..count].copy_from_slice(&self.current[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

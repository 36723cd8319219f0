//! Tar archives, as a stream: names, kinds and sizes of what is in them.
//!
//! Source: POSIX.1-2024 `pax`, and GNU tar's manual, "Basic Tar Format", "Storing Sparse Files". Written by hand because an
//! archive here may be hostile: whatever a header claims, no more than [`NAME_LIMIT`] bytes of it are kept.

use std::io::Read;

use crate::error::Error;

const BLOCK: usize = 512;

/// The most bytes of a name, a link's target, or a PAX header. Linux takes no path of more than 4096 bytes.
const NAME_LIMIT: u64 = 1024 * 1024;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file with content.
    File,
    /// Another name for a file that came before, perhaps in an earlier layer.
    HardLink,
    /// A symbolic link.
    SymbolicLink,
    /// A directory.
    Directory,
    /// A device or a pipe.
    Special,
}

/// One thing in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, as it stands there.
    pub name: Vec<u8>,
    /// What a link leads to, as it stands there.
    pub target: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permissions.
    pub mode: u32,
    /// How many bytes of content follow.
    pub size: u64,
    /// Whether the content is a map of a sparse file's parts before the parts themselves, and how long the map is.
    sparse_map: bool,
    /// The parts of a sparse file in GNU's old format: where each lies in the file.
    parts: Vec<(u64, u64)>,
}

/// Reads an archive entry by entry.
pub struct Reader<R> {
    inner: R,
    /// Bytes of the current entry's content that have not been read, and of the padding after it.
    left: u64,
    padding: u64,
}

/// What extended headers say about the next entry.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
    sparse_name: Option<Vec<u8>>,
    sparse_map: bool,
    has_first_hole: Option<bool>,
}

impl<R: Read> Reader<R> {
    /// Reads from the start of an archive.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            left: 0,
            padding: 0,
        }
    }

    /// The next entry, after what is left of the current one. `None` at the end of the archive.
    ///
    /// # Errors
    /// Bytes that are no archive, and an archive that ends in the middle.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        let mut extended = Extended::default();
        let mut long = Extended::default();
        loop {
            self.skip()?;
            let Some(header) = self.header()? else {
                return Ok(None);
            };
            let size =
                number(&header[124..136]).ok_or_else(|| Error::new("a header has no size"))?;
            match header[156] {
                b'L' => long.name = Some(trimmed(self.short(size)?)),
                b'K' => long.target = Some(trimmed(self.short(size)?)),
                // As Go's reader does, which unpacks images: a later header takes the place of an earlier one.
                b'x' => {
                    extended = Extended::default();
                    pax(&self.short(size)?, &mut extended)?;
                }
                // Global headers and volume labels say nothing about a file.
                b'g' | b'V' => {
                    (extended, long) = (Extended::default(), Extended::default());
                    self.start(size);
                }
                _ => {
                    extended.name = extended.name.or(long.name);
                    extended.target = extended.target.or(long.target);
                    return self.entry(&header, size, extended).map(Some);
                }
            }
        }
    }

    /// The first bytes of the current entry's content, at most `limit`.
    ///
    /// # Errors
    /// An archive that ends in the middle.
    pub fn head(&mut self, entry: &Entry, limit: usize) -> Result<Vec<u8>, Error> {
        let skipped = if entry.sparse_map {
            self.skip_sparse_map()?
        } else {
            false
        };
        // A file whose first part is not at its start begins with zeros, whatever is stored first.
        let zeros = entry.parts.first().is_some_and(|(offset, _)| *offset > 0);
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(limit);
        let mut bytes = vec![0; length];
        self.inner.read_exact(&mut bytes)?;
        self.left -= length as u64;
        Ok(if zeros || skipped { Vec::new() } else { bytes })
    }

    /// Takes a header apart.
    fn entry(
        &mut self,
        header: &[u8; BLOCK],
        size: u64,
        extended: Extended,
    ) -> Result<Entry, Error> {
        let size = extended.size.unwrap_or(size);
        let kind = match header[156] {
            b'1' => Kind::HardLink,
            b'2' => Kind::SymbolicLink,
            b'3' | b'4' | b'6' => Kind::Special,
            b'5' => Kind::Directory,
            // Whatever else there is, POSIX says to take it for a file.
            _ => Kind::File,
        };
        let own_name = || {
            let is_posix = &header[257..263] == b"ustar\0";
            let prefix = if is_posix {
                trimmed(header[345..500].to_vec())
            } else {
                Vec::new()
            };
            let name = trimmed(header[..100].to_vec());
            if prefix.is_empty() {
                name
            } else {
                [prefix, b"/".to_vec(), name].concat()
            }
        };
        let name = extended
            .sparse_name
            .or(extended.name)
            .unwrap_or_else(own_name);
        // Before there was a type for directories, a slash said it. Their size counts all the same.
        let is_directory = kind == Kind::Directory || header[156] == 0 && name.ends_with(b"/");
        let parts = match (header[156], extended.has_first_hole) {
            (b'S', _) => self.old_sparse_parts(header)?,
            (_, Some(true)) => vec![(1, 1)],
            _ => Vec::new(),
        };
        // Links, directories and devices have no content, whatever their header says.
        let content = if kind == Kind::File { size } else { 0 };
        self.start(content);
        Ok(Entry {
            target: extended
                .target
                .unwrap_or_else(|| trimmed(header[157..257].to_vec())),
            kind: if is_directory { Kind::Directory } else { kind },
            mode: number(&header[100..108])
                .and_then(|mode| u32::try_from(mode).ok())
                .unwrap_or(0),
            size: content,
            sparse_map: extended.sparse_map,
            name,
            parts,
        })
    }

    /// The next header, or the end: two blocks of zeros, or nothing more.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>, Error> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.inner.read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(Error::new("the archive ends inside a header")),
                count => filled += count,
            }
        }
        if block.iter().all(|byte| *byte == 0) {
            let mut second = Vec::new();
            self.inner
                .by_ref()
                .take(BLOCK as u64)
                .read_to_end(&mut second)?;
            if second.iter().any(|byte| *byte != 0) {
                return Err(Error::new(
                    "a block of zeros stands in the middle of the archive",
                ));
            }
            return Ok(None);
        }
        let stored =
            number(&block[148..156]).ok_or_else(|| Error::new("the data is no tar archive"))?;
        // Old writers took bytes for signed numbers; GNU tar and Go read both.
        let rest = || block[..148].iter().chain(&[b' '; 8]).chain(&block[156..]);
        let unsigned: i64 = rest().map(|byte| i64::from(*byte)).sum();
        let signed: i64 = rest().map(|byte| i64::from(byte.cast_signed())).sum();
        if i64::try_from(stored).is_ok_and(|stored| stored != unsigned && stored != signed) {
            return Err(Error::new(
                "the data is no tar archive, or damaged: a header's checksum is wrong",
            ));
        }
        Ok(Some(block))
    }

    fn start(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    /// Reads what is left of the current entry.
    fn skip(&mut self) -> Result<(), Error> {
        let left = self
            .left
            .checked_add(self.padding)
            .ok_or_else(|| Error::new("an entry claims an impossible size"))?;
        let skipped = std::io::copy(&mut self.inner.by_ref().take(left), &mut std::io::sink())?;
        // The padding after the last entry may be missing.
        if skipped < self.left {
            return Err(Error::new(format!(
                "the archive ends {} bytes before an entry does",
                self.left - skipped
            )));
        }
        (self.left, self.padding) = (0, 0);
        Ok(())
    }

    /// A short text that is kept whole.
    fn short(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        if size > NAME_LIMIT {
            return Err(Error::new(format!(
                "a name or extended header claims {size} bytes"
            )));
        }
        self.start(size);
        let mut bytes = Vec::new();
        self.inner.by_ref().take(size).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != size {
            return Err(Error::new("the archive ends inside an extended header"));
        }
        self.left = 0;
        Ok(bytes)
    }

    /// GNU's old format: four parts in the header, more in blocks after it, before the content.
    fn old_sparse_parts(&mut self, header: &[u8; BLOCK]) -> Result<Vec<(u64, u64)>, Error> {
        const PART: usize = 24;
        let parts = |bytes: &[u8]| -> Vec<(u64, u64)> {
            bytes
                .chunks_exact(PART)
                .filter_map(|part| Some((number(&part[..12])?, number(&part[12..])?)))
                .filter(|part| part.1 > 0)
                .collect()
        };
        let found = parts(&header[386..386 + 4 * PART]);
        let mut more = header[482] != 0;
        while more {
            // Only the first part matters here; the others are read past.
            let mut block = [0; BLOCK];
            self.inner.read_exact(&mut block)?;
            more = block[504] != 0;
        }
        Ok(found)
    }

    /// PAX sparse files of format 1.0 have a map in front of their content: lines with numbers, padded to a block. Returns
    /// whether the file begins with a hole.
    fn skip_sparse_map(&mut self) -> Result<bool, Error> {
        const LONGEST: u64 = 64 * 1024 * 1024;
        let mut reader = Lines {
            reader: self,
            taken: 0,
        };
        let count = reader.number()?;
        let mut first = 0;
        for index in 0..count.saturating_mul(2) {
            let number = reader.number()?;
            if index == 0 {
                first = number;
            }
            if reader.taken > LONGEST {
                return Err(Error::new("a sparse file's map has no end"));
            }
        }
        let rest = (BLOCK as u64 - reader.taken % BLOCK as u64) % BLOCK as u64;
        let rest = rest.min(self.left);
        std::io::copy(&mut self.inner.by_ref().take(rest), &mut std::io::sink())?;
        self.left -= rest;
        Ok(first > 0)
    }
}

struct Lines<'r, R> {
    reader: &'r mut Reader<R>,
    taken: u64,
}

impl<R: Read> Lines<'_, R> {
    fn number(&mut self) -> Result<u64, Error> {
        let mut number: u64 = 0;
        loop {
            if self.reader.left == 0 {
                return Err(Error::new("a sparse file ends inside its map"));
            }
            let mut byte = [0];
            self.reader.inner.read_exact(&mut byte)?;
            self.reader.left -= 1;
            self.taken += 1;
            match byte[0] {
                b'\n' => return Ok(number),
                digit @ b'0'..=b'9' => {
                    let next = number
                        .checked_mul(10)
                        .and_then(|number| number.checked_add(u64::from(digit - b'0')));
                    number = next.ok_or_else(|| {
                        Error::new("a sparse file's map has an impossible number")
                    })?;
                }
                _ => return Err(Error::new("a sparse file's map is damaged")),
            }
        }
    }
}

/// The bytes of an entry's content that have not been read yet.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let count = self.inner.read(&mut buffer[..length])?;
        if count == 0 && length > 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// A number: octal digits, or GNU's binary form with the high bit set.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let mut bytes = field.iter().copied();
        let first = u64::from(bytes.next()? & 0x7f);
        return bytes.try_fold(first, |number, byte| {
            Some(number.checked_mul(256)? + u64::from(byte))
        });
    }
    let text = field
        .iter()
        .copied()
        .skip_while(|byte| matches!(byte, b' ' | 0))
        .take_while(|byte| !matches!(byte, b' ' | 0));
    text.into_iter().try_fold(0_u64, |number, byte| match byte {
        b'0'..=b'7' => number
            .checked_mul(8)
            .map(|number| number + u64::from(byte - b'0')),
        _ => None,
    })
}

/// The bytes before the first zero.
fn trimmed(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// Records of the form `LENGTH KEY=VALUE\n`.
fn pax(mut bytes: &[u8], extended: &mut Extended) -> Result<(), Error> {
    let damaged = || Error::new("an extended header is damaged");
    while !bytes.is_empty() {
        let space = bytes
            .iter()
            .position(|byte| *byte == b' ')
            .ok_or_else(damaged)?;
        let length: usize = std::str::from_utf8(&bytes[..space])
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(damaged)?;
        if length <= space + 1 || length > bytes.len() {
            return Err(damaged());
        }
        let record = bytes[space + 1..length]
            .strip_suffix(b"\n")
            .ok_or_else(damaged)?;
        let equals = record
            .iter()
            .position(|byte| *byte == b'=')
            .ok_or_else(damaged)?;
        let (key, value) = (&record[..equals], record[equals + 1..].to_vec());
        match key {
            b"path" => extended.name = Some(value).filter(|name| !name.is_empty()),
            b"linkpath" => extended.target = Some(value).filter(|name| !name.is_empty()),
            b"size" => {
                let text = String::from_utf8_lossy(&value).into_owned();
                extended.size = Some(text.parse().map_err(|_| damaged())?);
            }
            b"GNU.sparse.name" => extended.sparse_name = Some(value),
            // Formats 0.0 and 0.1: only whether the file begins with a hole matters here.
            b"GNU.sparse.offset" | b"GNU.sparse.map" => {
                let first = value.split(|byte| *byte == b',').next().unwrap_or_default();
                extended.has_first_hole = extended
                    .has_first_hole
                    .or(Some(first.iter().any(|digit| *digit != b'0')));
            }
            b"GNU.sparse.major" => extended.sparse_map = value == b"1",
            _ => {}
        }
        bytes = &bytes[length..];
    }
    Ok(())
}

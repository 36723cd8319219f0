//! One layer, summarised: what matters of each file in it, and what it hides of the layers below.
//!
//! Source: the OCI image specification, "Filesystem Layers": a file `.wh.NAME` removes NAME of the layers below, and
//! `.wh..wh..opq` removes everything that they have in its directory.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::Read,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    elf::{self, Elf},
    error::Error,
    inventory::{Database, Databases},
    packages::{self, List, Package, Wheel},
    path, script,
    tar::{Entry, Kind, Reader},
    unpack,
};

/// Changes whenever a summary says something else about the same layer: kept summaries of another number are of no use.
pub const FORMAT: u32 = 7;

/// The most entries that a layer may have.
const ENTRIES: usize = 700_000;

/// The most bytes of names that a summary keeps.
const NAMES: usize = 24 * 1024 * 1024;

/// What a layer has and hides.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Layer {
    /// The digest of the stored bytes.
    pub digest: String,
    /// How many stored bytes there are.
    pub size: u64,
    /// The digest of the archive inside.
    pub diff_id: String,
    /// Machine code and scripts, by path.
    pub(crate) files: BTreeMap<String, File>,
    /// Symbolic links, by path.
    pub(crate) links: BTreeMap<String, String>,
    /// Hard links to files of layers below.
    pub(crate) hard_links: BTreeMap<String, String>,
    /// Paths that are removed of the layers below.
    pub(crate) whiteouts: BTreeSet<String>,
    /// Directories whose first entry comes after entries that are in them: these were written to where a link below may have led.
    pub(crate) late_directories: BTreeSet<String>,
    /// Directories of which everything is removed of the layers below.
    pub(crate) opaque: BTreeSet<String>,
    /// Python packages with machine code or names of CPUs, by their directory `….dist-info`.
    pub(crate) wheels: BTreeMap<String, Wheel>,
    /// What package managers have written down.
    pub(crate) databases: Databases,
    /// Directories that the files of `/etc/ld.so.conf` name.
    pub(crate) loader_directories: BTreeSet<String>,
    /// Libraries that `/etc/ld.so.preload` names.
    pub(crate) preloaded: BTreeSet<String>,
    /// Directories.
    pub(crate) directories: Marks,
    /// Everything that is no directory.
    pub(crate) others: Marks,
}

/// What matters of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct File {
    pub(crate) content: Content,
    /// The package that it came with.
    pub(crate) package: Option<Package>,
}

/// What a file's first bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Content {
    /// Machine code.
    Elf(Elf),
    /// Something that begins like machine code.
    Damaged(String),
    /// A script and the words of its first line.
    Script(Vec<String>),
}

/// A set of paths, as short as it can be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Marks(Vec<u128>);

impl Marks {
    pub(crate) fn contains(&self, path: &str) -> bool {
        self.0.binary_search(&path::mark(path)).is_ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Marks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|mark| mark.to_be_bytes()).collect();
        serializer.serialize_str(&image_oci::hexadecimal(&bytes))
    }
}

impl<'de> Deserialize<'de> for Marks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mark = |digits: &[u8]| {
            std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| u128::from_str_radix(digits, 16).ok())
        };
        let marks: Option<Vec<u128>> = text.as_bytes().chunks(32).map(mark).collect();
        marks
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("marks are hexadecimal digits"))
    }
}

/// Reads a layer to its end.
///
/// # Errors
/// Bytes that are no layer, that end too early, or that claim more than any real layer has.
pub fn read(stored: impl Read + Send) -> Result<Layer, Error> {
    let (layer, digests) = unpack::unpack(stored, |archive| Reading::default().read(archive))?;
    Ok(Layer {
        digest: digests.stored,
        size: digests.size,
        diff_id: digests.archive,
        ..layer
    })
}

#[derive(Default)]
struct Reading {
    layer: Layer,
    /// Every path and whether it is a directory, in the archive's order.
    marks: Vec<(u128, bool)>,
    /// The numbers of the first and the last entry of each path.
    seen: HashMap<u128, (usize, usize)>,
    /// Files of layers below that entries of this one link to.
    linked: BTreeSet<String>,
    entries: usize,
    names: usize,
    /// By the path of each.
    lists: BTreeMap<String, (List, String)>,
    list_bytes: usize,
}

impl Reading {
    fn read(mut self, archive: &mut (dyn Read + Send)) -> Result<Layer, Error> {
        let mut reader = Reader::new(archive);
        while let Some(entry) = reader.next_entry()? {
            let name = String::from_utf8_lossy(&entry.name).into_owned();
            self.enter(&entry, &mut reader)
                .map_err(|error| error.about(format!("`{}`", shown(&name))))?;
        }
        self.own()?;
        // The last entry of a name says what it is: a stable sort keeps their order.
        self.marks.sort_by_key(|(mark, _)| *mark);
        for (place, (mark, is_directory)) in self.marks.iter().enumerate() {
            let is_last = self
                .marks
                .get(place + 1)
                .is_none_or(|(next, _)| next != mark);
            match (is_last, is_directory) {
                (true, true) => self.layer.directories.0.push(*mark),
                (true, false) => self.layer.others.0.push(*mark),
                (false, _) => {}
            }
        }
        Ok(self.layer)
    }

    fn enter(
        &mut self,
        entry: &Entry,
        reader: &mut Reader<&mut (dyn Read + Send)>,
    ) -> Result<(), Error> {
        self.entries += 1;
        if self.entries > ENTRIES {
            return Err(Error::new(format!(
                "the layer has more than {ENTRIES} entries"
            )));
        }
        let path = path::normal(&entry.name).map_err(Error::new)?;
        let (directory, name) = path::split(&path);
        if name == ".wh..wh..opq" {
            self.keep(directory.len())?;
            self.layer.opaque.insert(directory.to_owned());
            return Ok(());
        }
        if let Some(gone) = name.strip_prefix(".wh.") {
            // Names that begin with `.wh..wh.` are the storage's own.
            if !gone.starts_with(".wh.") && !gone.is_empty() {
                self.keep(path.len())?;
                self.layer.whiteouts.insert(if directory.is_empty() {
                    gone.to_owned()
                } else {
                    format!("{directory}/{gone}")
                });
            }
            return Ok(());
        }
        self.refuse_if_written_elsewhere(&path)?;
        let number = self.entries;
        let seen = self.seen.entry(path::mark(&path));
        let is_new = seen
            .and_modify(|(_, last)| *last = number)
            .or_insert((number, number))
            .0
            == number;
        // Within a layer the last entry of a name counts.
        self.layer.files.remove(&path);
        self.lists.remove(&path);
        let was_link = self.layer.links.remove(&path).is_some();
        self.layer.hard_links.remove(&path);
        self.layer.databases.forget(&path);
        self.refuse_if_linked(&path, entry.kind)?;
        if entry.kind != Kind::Directory || was_link {
            self.refuse_if_filled(&path)?;
        }
        self.marks
            .push((path::mark(&path), entry.kind == Kind::Directory));
        match entry.kind {
            Kind::File => self.file(path, entry, reader),
            Kind::HardLink => self.hard_link(path, entry),
            Kind::SymbolicLink => {
                self.keep(path.len() + entry.target.len())?;
                if entry.target.len() > path::LONGEST {
                    return Err(Error::new("a link leads to a name of more than 4096 bytes"));
                }
                self.layer.links.insert(path, path::text(&entry.target));
                Ok(())
            }
            Kind::Directory if is_new && self.has_below(&path) => {
                self.keep(path.len())?;
                self.layer.late_directories.insert(path);
                Ok(())
            }
            Kind::Directory | Kind::Special => Ok(()),
        }
    }

    /// What takes a directory's place takes away what was in it, and what takes a link's place does not: names below it stay where it
    /// has led. Which of them it was cannot be told of one layer alone, and every builder writes a name once.
    fn refuse_if_filled(&self, path: &str) -> Result<(), Error> {
        let is_filled = self.has_below(path) || self.layer.databases.any_below(&format!("{path}/"));
        if is_filled {
            return Err(Error::new(
                "it takes the place of a directory that the layer has put files into: no builder makes such a layer",
            ));
        }
        Ok(())
    }

    /// Whether the layer has put programs or links into a directory.
    fn has_below(&self, path: &str) -> bool {
        let start = format!("{path}/");
        let layer = &self.layer;
        path::any_below(&layer.files, &start)
            || path::any_below(&layer.links, &start)
            || path::any_below(&layer.hard_links, &start)
    }

    /// A hard link keeps what it leads to, whatever takes the name of that later on: a program of a layer below would go on to be in the image
    /// under the link's name, and this layer would have something else under its own.
    fn refuse_if_linked(&self, path: &str, kind: Kind) -> Result<(), Error> {
        let start = format!("{path}/");
        let is_inside = || {
            let next = self.linked.range(start.clone()..).next();
            kind != Kind::Directory && next.is_some_and(|target| target.starts_with(&start))
        };
        if self.linked.contains(path) || is_inside() {
            return Err(Error::new(
                "it takes the place of what an earlier entry links to: no builder makes such a layer",
            ));
        }
        Ok(())
    }

    /// A program is written to where its directory leads, and that may be a link of a layer below. Where the layer then makes a directory of it
    /// and writes the same name again, the first one stays where the link has led.
    fn refuse_if_written_elsewhere(&self, path: &str) -> Result<(), Error> {
        let layer = &self.layer;
        if !layer.files.contains_key(path) && !layer.hard_links.contains_key(path) {
            return Ok(());
        }
        let Some((_, written)) = self.seen.get(&path::mark(path)) else {
            return Ok(());
        };
        let is_later = |above: &str| {
            let made = self.seen.get(&path::mark(above));
            made.is_some_and(|(first, _)| first > written)
        };
        if path::ancestors(path).any(is_later) {
            return Err(Error::new(
                "the layer writes it twice, and makes its directory in between: no builder makes such a layer",
            ));
        }
        Ok(())
    }

    fn file(
        &mut self,
        path: String,
        entry: &Entry,
        reader: &mut Reader<&mut (dyn Read + Send)>,
    ) -> Result<(), Error> {
        let head = reader.head(entry, elf::HEAD)?;
        let content = match elf::parse(&head) {
            Ok(Some(elf)) => Some(Content::Elf(elf)),
            Err(reason) => Some(Content::Damaged(reason.to_owned())),
            Ok(None) => script::interpreter(&head).map(Content::Script),
        };
        if let Some(content) = content {
            self.keep(path.len() + 64)?;
            self.layer.files.insert(
                path,
                File {
                    content,
                    package: None,
                },
            );
        } else if let Some(list) = List::of(&path) {
            self.list(path, list, head, entry, reader)?;
        } else if let Some(about) = path
            .strip_suffix("/WHEEL")
            .filter(|about| about.ends_with(".dist-info"))
        {
            let is_for_any = Wheel::says_any(&String::from_utf8_lossy(&head));
            if let Some(known) = self.layer.wheels.get_mut(about) {
                known.is_for_any = is_for_any;
            } else if is_for_any {
                self.keep(about.len() + 64)?;
                let wheel = self.layer.wheels.entry(about.to_owned()).or_default();
                wheel.is_for_any = true;
            }
        } else if let Some(database) = Database::of(&path) {
            self.layer
                .databases
                .read(path, database, (head, entry.size), reader)?;
        } else if is_loader_list(&path) {
            let text = String::from_utf8_lossy(&head);
            let lines = text
                .lines()
                .map(|line| line.split('#').next().unwrap_or_default());
            // Separated by white space, commas and colons, and by colons and newlines for musl.
            let words = lines
                .flat_map(|line| line.split(|c: char| c.is_whitespace() || matches!(c, ',' | ':')));
            for place in words.filter_map(|place| place.strip_prefix('/')) {
                self.keep(place.len())?;
                let place = place.trim_end_matches('/').to_owned();
                if path == "etc/ld.so.preload" {
                    &mut self.layer.preloaded
                } else {
                    &mut self.layer.loader_directories
                }
                .insert(place);
            }
        }
        Ok(())
    }

    fn list(
        &mut self,
        path: String,
        list: List,
        head: Vec<u8>,
        entry: &Entry,
        reader: &mut Reader<&mut (dyn Read + Send)>,
    ) -> Result<(), Error> {
        let room = packages::LIMIT.saturating_sub(self.list_bytes);
        if entry.size > room as u64 {
            return Ok(());
        }
        let mut bytes = head;
        reader.take(room as u64).read_to_end(&mut bytes)?;
        self.list_bytes += bytes.len();
        self.keep(path.len())?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        self.lists.insert(path, (list, text));
        Ok(())
    }

    fn hard_link(&mut self, path: String, entry: &Entry) -> Result<(), Error> {
        let target = path::normal(&entry.target).map_err(Error::new)?;
        // uv links what is the same in its cache: the list is read there.
        let about = |path: &str| path.strip_suffix("/WHEEL").map(str::to_owned);
        if let (Some(about), Some(linked)) = (about(&path), about(&target))
            && self
                .layer
                .wheels
                .get(&linked)
                .is_some_and(|wheel| wheel.is_for_any)
        {
            self.keep(about.len() + 64)?;
            self.layer.wheels.entry(about).or_default().is_for_any = true;
        }
        if let Some(file) = self.layer.files.get(&target).cloned() {
            self.keep(path.len() + 64)?;
            self.layer.files.insert(path, file);
        } else if let Some(link) = self.layer.links.get(&target).cloned() {
            self.keep(path.len() + link.len())?;
            self.layer.links.insert(path, link);
        } else {
            self.keep(path.len() + target.len())?;
            let further = self.layer.hard_links.get(&target).cloned();
            if further.is_none() && !self.seen.contains_key(&path::mark(&target)) {
                self.linked.insert(target.clone());
            }
            self.layer
                .hard_links
                .insert(path, further.unwrap_or(target));
        }
        Ok(())
    }

    /// Finds the packages of machine code: lists come before or after the files that they list.
    fn own(&mut self) -> Result<(), Error> {
        let mut owners: BTreeMap<String, Option<Package>> = self
            .layer
            .files
            .keys()
            .map(|path| (path.clone(), None))
            .collect();
        for (list, text) in std::mem::take(&mut self.lists).into_values() {
            list.enter(&text, &mut owners);
            let files = list.files_for_a_cpu(&text);
            if let Some(about) = list.package().about.filter(|_| !files.is_empty()) {
                self.keep(files.iter().map(String::len).sum())?;
                self.layer.wheels.entry(about).or_default().files = files;
            }
        }
        for (path, owner) in owners {
            if let (Some(file), Some(owner)) = (self.layer.files.get_mut(&path), owner) {
                file.package = Some(owner);
            }
        }
        Ok(())
    }

    fn keep(&mut self, bytes: usize) -> Result<(), Error> {
        self.names += bytes;
        if self.names > NAMES {
            return Err(Error::new(
                "the layer has more names of programs and links than any real one",
            ));
        }
        Ok(())
    }
}

/// Whether a file tells the loader where else to look for libraries.
/// Source: ldconfig(8); musl's manual, "Path searching".
fn is_loader_list(path: &str) -> bool {
    let (directory, name) = path::split(path);
    match directory {
        "etc" => {
            name == "ld.so.conf"
                || name == "ld.so.preload"
                || name.starts_with("ld-musl-") && name.split('.').next_back() == Some("path")
        }
        "etc/ld.so.conf.d" => name.split('.').next_back() == Some("conf"),
        _ => false,
    }
}

/// A name as it may stand in a message.
fn shown(name: &str) -> String {
    let short: String = name.chars().take(120).collect();
    short.escape_debug().to_string()
}

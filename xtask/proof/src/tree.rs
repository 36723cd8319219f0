//! All layers of an image, one on top of the other: which files are there in the end.

use std::collections::{BTreeMap, HashMap};

use crate::{
    layer::{Content, File, Layer},
    packages::Wheel,
    path,
};

/// A file that is in the image, and the layer that put it there.
#[derive(Debug, Clone)]
pub(crate) struct Present {
    /// The file.
    pub(crate) file: File,
    /// The layer's place from the bottom.
    pub(crate) layer: usize,
}

/// The files of an image.
pub(crate) struct Tree<'l> {
    layers: &'l [Layer],
    /// Machine code and scripts.
    pub(crate) files: BTreeMap<String, Present>,
    links: BTreeMap<String, String>,
}

/// What a path leads to.
pub(crate) enum Found<'t> {
    /// Machine code or a script, at its real path.
    File(String, &'t File),
    /// Something else that is there: a file of another kind.
    Other,
    /// Nothing.
    Missing,
}

/// As many symbolic links as Linux follows.
const LINKS: usize = 40;

impl<'l> Tree<'l> {
    /// Puts the layers on each other, bottom first.
    pub(crate) fn new(layers: &'l [Layer]) -> Self {
        let mut tree = Self {
            layers,
            files: BTreeMap::new(),
            links: BTreeMap::new(),
        };
        for (place, layer) in layers.iter().enumerate() {
            tree.add(place, layer);
        }
        tree
    }

    fn add(&mut self, place: usize, layer: &Layer) {
        // Hard links reach down: what they lead to is looked up before the layer hides it.
        let below = |target: &String| {
            self.files
                .get(target)
                .or_else(|| self.files.get(&self.resolve(target)?))
                .map(|present| present.file.clone())
        };
        let linked: Vec<_> = layer
            .hard_links
            .iter()
            .map(|(path, target)| (path, target, below(target)))
            .collect();
        let elsewhere = self.written_elsewhere(layer);
        if place > 0 {
            self.files.retain(|path, _| !hides(layer, path));
            self.links.retain(|path, _| !hides(layer, path));
        }
        self.links.extend(
            layer
                .links
                .iter()
                .map(|(path, target)| (path.clone(), target.clone())),
        );
        let mut directories: HashMap<String, Option<String>> = HashMap::new();
        for (path, file) in &layer.files {
            let path = self.real_name(path, &mut directories);
            self.files.insert(
                path,
                Present {
                    file: file.clone(),
                    layer: place,
                },
            );
        }
        for (path, file) in elsewhere {
            let present = Present { file, layer: place };
            self.files.entry(path).or_insert(present);
        }
        for (path, target, below) in linked {
            // What the layer itself has under the name, perhaps through a linked directory, comes first.
            let own = self
                .resolve(target)
                .and_then(|real| self.files.get(&real))
                .filter(|present| present.layer == place);
            let own = own.map(|present| present.file.clone());
            let is_own_text = layer.others.contains(target) && own.is_none();
            if let (Some(own), Some(below)) = (&own, &below)
                && own != below
            {
                // Another spelling of the name: which of the two it is follows from the order in the layer. Both are judged.
                let path = self.real_name(path, &mut directories);
                let present = Present {
                    file: below.clone(),
                    layer: place,
                };
                self.files
                    .insert(format!("{path} (of a layer below)"), present);
            }
            if let Some(file) = own.or(below).filter(|_| !is_own_text) {
                let path = self.real_name(path, &mut directories);
                self.files.insert(path, Present { file, layer: place });
            }
        }
    }

    /// Programs that a layer has written through a link, before it made a directory of that: they are where the link led, and perhaps nowhere
    /// else.
    fn written_elsewhere(&self, layer: &Layer) -> Vec<(String, File)> {
        let mut found = Vec::new();
        for directory in &layer.late_directories {
            let Some(real) = self.resolve(directory).filter(|real| real != directory) else {
                continue;
            };
            let start = format!("{directory}/");
            let inside = layer.files.range(start.clone()..);
            let inside = inside.take_while(|(path, _)| path.starts_with(&start));
            let moved = inside.map(|(path, file)| {
                let name = &path[start.len()..];
                (path::below(&real, name), file.clone())
            });
            found.extend(moved);
        }
        found
    }

    /// A layer may name a file by a directory that is a link below: `lib/x` where `lib` leads to `usr/lib`.
    fn real_name(&self, path: &str, directories: &mut HashMap<String, Option<String>>) -> String {
        let (directory, name) = path::split(path);
        if directory.is_empty() {
            return path.to_owned();
        }
        let real = directories
            .entry(directory.to_owned())
            .or_insert_with(|| self.resolve(directory));
        real.as_ref()
            .map_or_else(|| path.to_owned(), |real| path::below(real, name))
    }

    /// What is at a path, all links followed.
    pub(crate) fn find(&self, path: &str) -> Found<'_> {
        let Some(real) = self.resolve(path) else {
            return Found::Missing;
        };
        match self.files.get(&real) {
            Some(present) => Found::File(real, &present.file),
            None if self.is_other(&real) => Found::Other,
            None => Found::Missing,
        }
    }

    /// Whether anything that is no directory is at a path.
    pub(crate) fn has(&self, path: &str) -> bool {
        !matches!(self.find(path), Found::Missing)
    }

    /// What a Python package says of itself, by its directory `….dist-info`, in all layers together.
    pub(crate) fn wheel(&self, about: &str) -> Option<Wheel> {
        let said = self
            .layers
            .iter()
            .filter_map(|layer| layer.wheels.get(about));
        said.cloned().reduce(|all, one| Wheel {
            is_for_any: all.is_for_any || one.is_for_any,
            files: [all.files, one.files].concat(),
        })
    }

    /// The paths of all links.
    pub(crate) fn links(&self) -> impl Iterator<Item = &str> {
        self.links.keys().map(String::as_str)
    }

    /// Libraries that every program is started with.
    pub(crate) fn preloaded(&self) -> impl Iterator<Item = &str> {
        self.layers
            .iter()
            .flat_map(|layer| &layer.preloaded)
            .map(String::as_str)
    }

    /// Directories that the loader's own lists name.
    pub(crate) fn loader_directories(&self) -> impl Iterator<Item = &str> {
        self.layers
            .iter()
            .flat_map(|layer| &layer.loader_directories)
            .map(String::as_str)
    }

    /// Whether something that is neither machine code nor script is at a real path.
    fn is_other(&self, path: &str) -> bool {
        for layer in self.layers.iter().rev() {
            if layer.others.contains(path) {
                return true;
            }
            if layer.directories.contains(path) || hides(layer, path) {
                return false;
            }
        }
        false
    }

    /// The path without any links in it. `None` when the links go round in a circle, or out of the image.
    pub(crate) fn resolve(&self, path: &str) -> Option<String> {
        let mut followed = 0;
        let mut rest: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut real = String::new();
        while let Some(part) = rest.pop() {
            let above = real.rfind('/').unwrap_or(0);
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    real.truncate(above);
                    continue;
                }
                _ => {}
            }
            let above = real.len();
            if above > 0 {
                real.push('/');
            }
            real.push_str(&part);
            let Some(target) = self.links.get(&real) else {
                continue;
            };
            followed += 1;
            if followed > LINKS {
                return None;
            }
            real.truncate(if target.starts_with('/') { 0 } else { above });
            rest.extend(target.split('/').rev().map(str::to_owned));
        }
        Some(real)
    }
}

/// Whether a layer hides a path of the layers below.
pub(crate) fn hides(layer: &Layer, path: &str) -> bool {
    if layer.whiteouts.contains(path)
        || layer.others.contains(path)
        || layer.directories.contains(path)
    {
        return true;
    }
    if layer.opaque.contains("") {
        return true;
    }
    let through =
        !layer.whiteouts.is_empty() || !layer.opaque.is_empty() || !layer.others.is_empty();
    through
        && path::ancestors(path).any(|above| {
            layer.whiteouts.contains(above)
                || layer.opaque.contains(above)
                || layer.others.contains(above)
        })
}

impl Present {
    /// The machine code's header.
    pub(crate) fn content(&self) -> &Content {
        &self.file.content
    }
}

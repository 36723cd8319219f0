//! The pages, and what is in them: blocks, pieces of code in a line, links and headings.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A page.
pub(super) struct Page {
    /// Its path from the root of the repository.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// A block of code.
pub(super) struct Block {
    /// `docs/push.md:12`.
    pub place: String,
    /// What it says it is written in.
    pub language: String,
    /// What else it says of itself: a file's name.
    pub file: String,
    /// What is in it, without the indentation of the whole.
    pub text: String,
}

/// The root of the repository.
pub(super) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.join("..").canonicalize().unwrap()
}

/// Every page that people read.
pub(super) fn pages() -> Vec<Page> {
    let root = root();
    let of_docs = fs::read_dir(root.join("docs")).unwrap();
    let of_docs = of_docs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let of_docs = of_docs.filter(|name| Path::new(name).extension().is_some_and(|end| end == "md"));
    let mut names: Vec<_> = of_docs.map(|name| format!("docs/{name}")).collect();
    names.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(str::to_owned));
    names.sort();
    let read = |name: String| Page {
        text: fs::read_to_string(root.join(&name)).unwrap_or_else(|e| panic!("{name}: {e}")),
        name,
    };
    names.into_iter().map(read).collect()
}

impl Page {
    /// Its blocks, in their order.
    pub(super) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<(Block, usize)> = None;
        for (number, line) in self.text.lines().enumerate() {
            let fence = line.trim_start().strip_prefix("```");
            match (&mut open, fence) {
                (None, Some(about)) => {
                    let (language, file) = about.split_once(' ').unwrap_or((about, ""));
                    let block = Block {
                        place: format!("{}:{}", self.name, number + 1),
                        language: language.to_owned(),
                        file: file.to_owned(),
                        text: String::new(),
                    };
                    open = Some((block, line.len() - line.trim_start().len()));
                }
                (Some(_), Some(_)) => blocks.extend(open.take().map(|(block, _)| block)),
                (Some((block, indentation)), None) => {
                    block.text += line.get(*indentation..).unwrap_or_default();
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block does not end", self.name);
        blocks
    }

    /// The page without its blocks.
    pub(super) fn prose(&self) -> String {
        let mut is_code = false;
        let lines = self.text.lines().filter(|line| {
            let is_fence = line.trim_start().starts_with("```");
            is_code ^= is_fence;
            !is_code && !is_fence
        });
        lines.fold(String::new(), |text, line| text + line + "\n")
    }

    /// Pieces of code in its lines.
    pub(super) fn pieces(&self) -> Vec<String> {
        let prose = self.prose().replace("\\|", "|");
        let pieces = prose.split('`').skip(1).step_by(2);
        pieces.map(str::to_owned).collect()
    }

    /// What it links to, and the titles of these links.
    pub(super) fn links(&self) -> Vec<(String, Option<String>)> {
        let prose = self.prose();
        let links = prose.split("](").skip(1);
        let links = links.filter_map(|rest| rest.split_once(')'));
        let of = |(link, _): (&str, &str)| match link.split_once(" \"") {
            Some((link, title)) => (
                link.to_owned(),
                Some(title.trim_end_matches('"').to_owned()),
            ),
            None => (link.to_owned(), None),
        };
        links.map(of).collect()
    }

    /// Its headings, as links name them. Source: GitHub's "Section links".
    pub(super) fn anchors(&self) -> Vec<String> {
        let prose = self.prose();
        let headings = prose.lines().filter(|line| line.starts_with('#'));
        let anchor = |line: &str| -> String {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        };
        headings.map(anchor).collect()
    }
}

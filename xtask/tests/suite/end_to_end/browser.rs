//! Pages as a person sees them: in a real browser, for a phone and for a desk, by day and by night.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::support::project::fixture;

/// The least contrast of a text with its ground. Source: WCAG 2.2, success criterion 1.4.3.
const CONTRAST: f64 = 4.5;

/// A headless Chromium.
pub(super) struct Browser {
    program: PathBuf,
    directory: PathBuf,
}

impl Browser {
    /// The machine's browser, or Debian's; none where this is not Debian and no browser is there.
    pub(super) fn find() -> Option<Self> {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
        let output = Command::new(fixture("browser"))
            .arg(&directory)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "no browser: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let program = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
        fs::create_dir_all(&directory).unwrap();
        (program != Path::new("")).then_some(Self { program, directory })
    }

    /// Lays a page out in four ways, leaves a picture of them, and returns what can be said of every one: the text of its
    /// heading, of its state, and the sizes of its pictures.
    pub(super) fn look(&self, name: &str, page: &str) -> (String, String, Value) {
        fs::write(self.directory.join(format!("{name}.html")), page).unwrap();
        fs::copy(fixture("pages.html"), self.directory.join("pages.html")).unwrap();
        let address = format!(
            "file://{}?{name}.html",
            self.directory.join("pages.html").display()
        );
        let picture = self.directory.join(format!("{name}.png"));
        self.open(&[
            "--window-size=3400,1500",
            &format!("--screenshot={}", picture.display()),
            &address,
        ]);
        println!("a picture of the page: {}", picture.display());
        let document = self.open(&["--dump-dom", &address]);
        let title = document
            .split_once("<title>")
            .and_then(|(_, rest)| rest.split_once("</title>"))
            .unwrap()
            .0;
        let seen: Vec<Value> = serde_json::from_str(&title.replace("&amp;", "&"))
            .unwrap_or_else(|_| panic!("{document}"));
        assert_eq!(seen.len(), 4);
        for one in &seen {
            assert_eq!(one["fits"], true, "{name} is wider than its window: {one}");
            assert!(
                one["contrast"].as_f64().unwrap() >= CONTRAST,
                "{name} cannot be read: {one}"
            );
            for key in ["heading", "state", "pictures", "alert"] {
                assert_eq!(one[key], seen[0][key], "{name} is not the same everywhere");
            }
        }
        assert_ne!(
            seen[0]["ground"], seen[1]["ground"],
            "{name} is the same by day and by night"
        );
        let text = |key: &str| seen[0][key].as_str().unwrap().to_owned();
        (text("heading"), text("state"), seen[0]["pictures"].clone())
    }

    fn open(&self, words: &[&str]) -> String {
        let always = [
            "--headless",
            "--no-sandbox",
            "--allow-file-access-from-files",
            "--virtual-time-budget=10000",
            "--hide-scrollbars",
        ];
        let output = Command::new(&self.program)
            .args(always)
            .args(words)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

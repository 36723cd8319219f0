//! Rules of this repository that no compiler knows.
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every file that git knows or would add.
fn files() -> Vec<String> {
    let words = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let listed = Command::new("git")
        .current_dir(root())
        .args(words)
        .output()
        .unwrap();
    String::from_utf8(listed.stdout)
        .unwrap()
        .lines()
        .filter(|name| root().join(name).is_file())
        .map(str::to_owned)
        .collect()
}

fn sources() -> impl Iterator<Item = (String, String)> {
    let is_source = |name: &String| {
        name.starts_with("xtask/")
            && name.contains("/src/")
            && Path::new(name).extension().is_some_and(|end| end == "rs")
    };
    files().into_iter().filter(is_source).map(|name| {
        let text = read(&name);
        (name, text)
    })
}

#[test]
fn every_source_file_says_what_it_is_for() {
    for (name, text) in sources() {
        assert!(text.starts_with("//! "), "{name} lacks its first sentence");
        assert!(
            text.lines().count() < 500,
            "{name} is long enough to be two files"
        );
    }
}

#[test]
fn no_file_is_a_drawer_for_odds_and_ends() {
    for name in files() {
        let stem = Path::new(&name)
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        assert!(
            !["utils", "util", "common", "helpers", "misc"].contains(&stem.as_str()),
            "{name} needs a name that says what is in it"
        );
    }
}

/// Crates that do I/O are kept out of these two by their `Cargo.toml`; what the standard library could do is looked for here.
#[test]
fn model_and_plan_do_nothing_but_decide() {
    let forbidden = [
        "std::fs",
        "std::env",
        "std::net",
        "std::process",
        "Utc::now",
        "SystemTime",
        "println!",
    ];
    let rooms = ["xtask/model/src/", "xtask/plan/src/"];
    let decide = |name: &str| rooms.iter().any(|room| name.starts_with(room));
    for (name, text) in sources().filter(|(name, _)| decide(name)) {
        let code = text.split("#[cfg(test)]").next().unwrap();
        for word in forbidden {
            assert!(!code.contains(word), "{name} uses {word}");
        }
    }
    let may = [
        "anyhow",
        "chrono",
        "humantime",
        "image-arch",
        "image-oci",
        "serde",
        "serde_json",
        "shipright-model",
        "shlex",
        "strsim",
    ];
    for room in ["xtask/model", "xtask/plan"] {
        let manifest = read(&format!("{room}/Cargo.toml"));
        let (_, rest) = manifest.split_once("[dependencies]").unwrap();
        let needs = rest.split("\n[").next().unwrap();
        for name in needs
            .lines()
            .filter_map(|line| line.split_once('.'))
            .map(|(name, _)| name)
        {
            assert!(
                may.contains(&name),
                "{room} depends on {name}: does it read files, start programs or speak to a network?"
            );
        }
    }
}

#[test]
fn a_new_target_is_named_by_the_compiler_wherever_it_matters() {
    for (name, text) in sources().filter(|(name, _)| !name.starts_with("xtask/model/src/target.rs"))
    {
        let code = text.split("#[cfg(test)]").next().unwrap();
        for word in ["== Target::", "!= Target::", "matches!(target"] {
            assert!(
                !code.contains(word),
                "{name} has `{word}`: ask the target in model/src/target.rs, with a `match` over all"
            );
        }
    }
}

#[test]
fn cpu_names_are_spelled_in_one_file() {
    let spellings = ["\"amd64\"", "\"arm64\"", "\"x86_64\"", "\"aarch64\""];
    for (name, text) in sources().filter(|(name, _)| {
        // The proof knows every machine that an ELF header can name.
        name != "xtask/arch/src/lib.rs"
            && !name.starts_with("xtask/proof/")
            && !name.ends_with("tests.rs")
            && !name.contains("/tests/")
    }) {
        let code: String = text
            .split("#[cfg(test)]")
            .next()
            .unwrap()
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        for spelling in spellings {
            assert!(!code.contains(spelling), "{name} spells {spelling}");
        }
    }
}

#[test]
fn no_file_names_a_package_registry() {
    let hosts = ["pypi", "crates", "npmjs", "debian"].map(|name| [name, "."].concat());
    let ends = ["org/", "io/", "org\"", "io\""];
    for name in files().into_iter().filter(|name| name != "Cargo.lock") {
        let Ok(text) = fs::read_to_string(root().join(&name)) else {
            continue;
        };
        for address in hosts
            .iter()
            .flat_map(|host| ends.iter().map(move |end| format!("{host}{end}")))
        {
            assert!(!text.contains(&address), "{name} names {address}");
        }
    }
}

#[test]
fn the_readme_opens_with_the_two_commands_and_ci_runs_the_second() {
    let readme = read("README.md");
    let commands: Vec<_> = readme
        .lines()
        .filter(|line| line.starts_with("cargo xtask"))
        .collect();
    assert!(
        commands[0].starts_with("cargo xtask push-dev --sandbox")
            && commands[1].starts_with("cargo xtask ci"),
        "{commands:?}"
    );
    assert!(
        read(".ci/run")
            .lines()
            .last()
            .unwrap()
            .ends_with("cargo xtask ci")
    );
}

#[test]
fn the_readme_is_two_screens_long() {
    let lines = read("README.md").lines().count();
    assert!(
        lines <= 120,
        "{lines} lines: what is more belongs into docs/"
    );
}

#[test]
fn the_readme_s_table_is_the_policy_s() {
    let readme = read("README.md");
    let policy = read("xtask/model/src/target.rs");
    let rows: Vec<_> = readme
        .lines()
        .filter(|line| line.starts_with("| A") && line.contains("64 |"))
        .collect();
    assert_eq!(rows.len(), 4, "{rows:?}");
    for row in rows {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        assert!(
            policy.contains(&format!("\"{}\"", cells[1]))
                && policy.contains(&format!("\"{}\"", cells[4])),
            "{row}"
        );
    }
}

/// Words of ours that stand for a term of the OCI and Docker documentation, or for plain English.
const INVENTED: [&str; 10] = [
    "list of images",
    "lists of images",
    "list of manifests",
    "gone on with",
    "put back",
    "puts back",
    "folder ",
    "folders ",
    "way back",
    "keep their steps",
];

#[test]
fn what_people_read_has_the_field_s_words() {
    let help = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .current_dir(root())
            .args(words)
            .arg("--help")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let whole = help(&[]);
    let commands: Vec<_> = whole
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .collect();
    let of_commands = commands
        .iter()
        .filter(|name| !name.is_empty() && !name.starts_with('-'))
        .map(|name| help(&[name]));
    let is_page = |name: &String| Path::new(name).extension().is_some_and(|end| end == "md");
    let pages = files().into_iter().filter(is_page).map(|name| read(&name));
    let texts: Vec<String> = of_commands
        .chain([whole.clone(), read("deploy.schema.json")])
        .chain(pages)
        .collect();
    assert!(texts.len() > 20, "{commands:?}");
    for text in texts {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in INVENTED {
            assert!(
                !text.contains(word),
                "`{word}` is a word of our own; it is in: {text}"
            );
        }
    }
}

#[test]
fn deploy_toml_explains_every_key_that_there_is() {
    let deploy = read("deploy.toml");
    let schema: serde_json::Value = serde_json::from_str(&read("deploy.schema.json")).unwrap();
    let definitions = schema["$defs"]
        .as_object()
        .unwrap()
        .values()
        .chain([&schema]);
    let keys = definitions
        .filter_map(|definition| definition["properties"].as_object())
        .flat_map(|properties| properties.keys());
    for key in keys.filter(|key| *key != "target") {
        assert!(
            deploy.contains(key.as_str()),
            "deploy.toml does not show `{key}`"
        );
    }
    assert!(
        deploy.contains("`target = "),
        "deploy.toml does not show `target`"
    );
}

#[test]
fn every_dockerfile_of_the_backend_is_in_deploy_toml() {
    let deploy = read("deploy.toml");
    for name in files()
        .iter()
        .filter_map(|name| name.strip_prefix("backend/"))
        .filter(|name| name.starts_with("Dockerfile"))
    {
        assert!(
            deploy.contains(&format!("\"{name}\"")),
            "{name} is in no image"
        );
    }
}

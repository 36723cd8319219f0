//! README.md, docs/ and the other pages taken at their word: what can be typed is typed, what belongs into deploy.toml is read, and what
//! is linked to is there.

mod pages;
mod permissions;
mod project;

use std::{collections::BTreeSet, fs, path::Path, process::Command, sync::OnceLock};

use pages::{Block, Page, pages, root};
use project::Documented;
use shipright::plan::trouble;
use toml::{Table, Value};

use crate::support::project::Project;

/// The languages of blocks. What is in the last two is shown, and read by nobody.
const LANGUAGES: [&str; 5] = ["console", "toml", "rust", "yaml", "text"];

#[test]
fn every_block_of_commands_does_what_its_page_says() {
    let project = Documented::new();
    let (mut count, mut failures) = (0, Vec::new());
    for page in pages() {
        let blocks = page.blocks().into_iter();
        let blocks: Vec<_> = blocks.filter(|block| block.language == "console").collect();
        if !blocks.is_empty() {
            project.settle();
        }
        count += blocks.len();
        failures.extend(blocks.iter().filter_map(|block| failure(&project, block)));
    }
    assert!(count > 30, "{count}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Runs a block as a script, and says what came of one that fails. `SHOW_DOCS=1` prints what each says.
fn failure(project: &Documented, block: &Block) -> Option<String> {
    let output = project.bash(&block.text);
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let said = format!(
        "{}:\n{}{}{}",
        block.place,
        block.text,
        text(&output.stdout),
        text(&output.stderr)
    );
    if std::env::var_os("SHOW_DOCS").is_some() {
        println!("--- {said}");
    }
    (!output.status.success()).then_some(said)
}

#[test]
fn every_block_of_deploy_toml_is_read_and_can_be_planned() {
    let all = pages();
    let blocks = all.iter().flat_map(Page::blocks);
    let blocks: Vec<_> = blocks.filter(|block| block.language == "toml").collect();
    assert!(blocks.len() > 10, "{}", blocks.len());
    for block in blocks {
        if block.file == "Cargo.toml" {
            block.text.parse::<Table>().unwrap();
        } else {
            plan(&block);
        }
    }
}

/// What a block is added to.
const BASE: &str = r#"
[project]
name = "backend"
context = "backend"

[environments.dev]
account = "111122223333"
region = "eu-west-1"
create-repository = true

[services.api]
images = [{ dockerfile = "Dockerfile.lambda" }]

[services.worker]
images = [{ dockerfile = "Dockerfile.lambda" }]
"#;

/// What a plan would ask of somebody who is not there: then the block is only read.
const ELSEWHERE: [&str; 3] = ["[builders]", "registry = \"ghcr.io", "registry = \"4444"];

fn plan(block: &Block) {
    let mut deploy: Table = BASE.parse().unwrap();
    merge(
        &mut deploy,
        block
            .text
            .parse()
            .unwrap_or_else(|e| panic!("{}: {e}", block.place)),
    );
    let project = Project::with_deploy(&deploy.to_string());
    let install = |name: &str, text: &str| {
        fs::create_dir_all(project.path(name).parent().unwrap()).unwrap();
        project.write(name, text);
    };
    install(
        "src/cart/Dockerfile",
        "FROM scratch AS api\nFROM scratch AS worker\n",
    );
    install("src/cart/Dockerfile.lambda", "FROM scratch\n");
    install("protos/x", "");
    install("home/.npmrc", "");
    install(
        "Cargo.toml",
        "[package]\nname = \"x\"\nversion = \"1.2.3\"\n",
    );
    project.install_scanner("trivy");
    project.install_signer("cosign");
    project.aws.add_region("us-east-1");
    project.commit();
    let said = |line: &str| {
        let run = project.run(line);
        assert_eq!(run.code, 0, "{}: `{line}`: {}", block.place, run.stderr);
    };
    let names = |key: &str| {
        let table = deploy[key].as_table().unwrap();
        table.keys().cloned().collect::<Vec<_>>()
    };
    for service in names("services") {
        said(&format!("explain {service}"));
    }
    if ELSEWHERE.iter().any(|word| block.text.contains(word)) {
        return;
    }
    for environment in names("environments") {
        said(&format!("push {environment} --dry-run"));
    }
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => {
                // One region, or several.
                if key == "regions" {
                    into.remove("region");
                }
                into.insert(key, value);
            }
        }
    }
}

#[test]
fn every_command_in_a_line_is_one() {
    let mut count = 0;
    for page in pages() {
        for piece in page.pieces() {
            let typed = piece.replace('…', " ");
            let typed = typed.split(['<', '>', '|']).next().unwrap_or_default();
            let words = ["cargo xtask", "shipright"];
            // A command that a variable comes before is one as well.
            let Some((_, rest)) = words.iter().find_map(|start| {
                let (before, rest) = typed.split_once(start)?;
                let is_command = before.is_empty() || before.ends_with("amd64 ");
                (is_command && rest.starts_with(' ')).then_some((before, rest))
            }) else {
                continue;
            };
            count += 1;
            let output = xtask(rest.split_whitespace().chain(["--help"]));
            assert!(
                output.1,
                "{}: `{piece}` is no command: {}",
                page.name, output.0
            );
        }
    }
    assert!(count > 50, "{count}");
}

/// What the program says, and whether it ended well.
fn xtask<'w>(words: impl IntoIterator<Item = &'w str>) -> (String, bool) {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .current_dir(root())
        .args(words)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.success())
}

/// Every command with its own options, as help tells them.
fn commands() -> &'static [(String, Vec<String>)] {
    static FOUND: OnceLock<Vec<(String, Vec<String>)>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut found = Vec::new();
        let mut open = vec![String::new()];
        while let Some(command) = open.pop() {
            let (help, _) = xtask(command.split_whitespace().chain(["--help"]));
            let inner = help.lines().filter_map(|line| line.strip_prefix("  "));
            let inner = inner.filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
            // Examples are lines of the same kind.
            let inner = inner.take_while(|line| !line.starts_with("cargo"));
            let inner = inner.filter_map(|line| line.split_whitespace().next());
            let has_commands = help.contains("COMMAND");
            let inner = inner.filter(|name| has_commands && *name != "help");
            open.extend(inner.map(|name| format!("{command} {name}").trim().to_owned()));
            let own = help.split("Global options:").next().unwrap_or_default();
            let options = own
                .lines()
                .filter_map(|line| line.trim_start().split_once("--"));
            let options =
                options.filter(|(before, _)| before.is_empty() || before.starts_with('-'));
            let options = options.filter_map(|(_, rest)| rest.split([' ', '>']).next());
            let options = options.filter(|name| !["help", "version"].contains(name));
            found.push((command, options.map(|name| format!("--{name}")).collect()));
        }
        found
    })
}

#[test]
fn every_command_and_every_option_is_told_somewhere() {
    let all: String = pages().into_iter().map(|page| page.text).collect();
    assert!(commands().len() > 50, "{}", commands().len());
    let has = |text: &str| all.contains(text);
    for (command, options) in commands().iter().filter(|(command, _)| !command.is_empty()) {
        let starts = ["cargo xtask ", "shipright ", "`"];
        assert!(
            starts.iter().any(|start| has(&format!("{start}{command}"))),
            "no page tells of `{command}`"
        );
        for option in options {
            assert!(has(option), "no page tells of `{option}` of `{command}`");
        }
    }
}

#[test]
fn every_link_leads_somewhere_and_every_page_is_linked_to() {
    let all = pages();
    let mut known = BTreeSet::new();
    for page in &all {
        let directory = Path::new(&page.name).parent().unwrap();
        let links = page.links().into_iter().map(|(link, _)| link);
        for link in links.filter(|link| !link.starts_with("https://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link.as_str(), ""));
            let path = if file.is_empty() {
                root().join(&page.name)
            } else {
                root().join(directory).join(file)
            };
            let path = path
                .canonicalize()
                .unwrap_or_else(|e| panic!("{}: {link}: {e}", page.name));
            let name = path
                .strip_prefix(root())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            if !anchor.is_empty() {
                let other = all.iter().find(|other| other.name == name);
                let other = other.unwrap_or_else(|| panic!("{}: {link} is no page", page.name));
                assert!(
                    other.anchors().iter().any(|one| one == anchor),
                    "{}: {link}: {:?}",
                    page.name,
                    other.anchors()
                );
            }
            if page.name == "README.md" {
                known.insert(name);
            }
        }
    }
    for page in all.iter().filter(|page| page.name != "README.md") {
        assert!(
            known.contains(&page.name),
            "README.md does not lead to {}",
            page.name
        );
    }
}

#[test]
fn every_block_says_what_it_is_written_in() {
    for block in pages().iter().flat_map(Page::blocks) {
        let language = &block.language;
        let is_known = LANGUAGES.contains(&language.as_str());
        assert!(is_known, "{}: `{language}`", block.place);
    }
}

#[test]
fn every_message_of_the_table_is_explained_as_it_says() {
    let pages = pages();
    let page = pages.iter().find(|page| page.name == "docs/trouble.md");
    let rows = page.unwrap().text.split("## Messages").nth(1).unwrap();
    let rows = rows.lines().filter(|line| line.starts_with("| `"));
    let mut told = BTreeSet::new();
    for row in rows {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [message, means] = [cells[1].replace('`', ""), cells[2].to_owned()];
        // The first words of a log that has the message in it.
        let text = match message.strip_suffix(" in a build") {
            Some(message) => {
                format!("{message}\nERROR: failed to solve: it did not complete successfully")
            }
            None => message,
        };
        let found = trouble::explain(&text);
        assert_eq!(
            found.first().map(|one| one.name),
            Some(means.as_str()),
            "{text}"
        );
        told.insert(means);
    }
    for one in &trouble::TROUBLES {
        assert!(
            told.contains(one.name),
            "docs/trouble.md does not tell of `{}`",
            one.name
        );
    }
}

#[test]
fn every_test_that_the_facts_name_is_in_its_file() {
    let mut count = 0;
    for page in pages() {
        for (link, title) in page.links() {
            let Some(name) = title else {
                continue;
            };
            count += 1;
            let file = root().join("docs").join(&link);
            let tests = fs::read_to_string(&file).unwrap();
            assert!(
                tests.contains(&format!("fn {name}(")),
                "{}: there is no test `{name}` in {link}",
                page.name
            );
        }
    }
    assert!(count > 25, "{count}");
}

#[test]
fn every_rule_for_dockerfiles_is_told() {
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    let rules = read("xtask/dockerfile/src/rules/mod.rs");
    let proof = read("docs/proof.md");
    let (_, table) = proof.split_once("## Rules for Dockerfiles").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let told: Vec<_> = rows.filter_map(|row| row.split('`').next()).collect();
    assert_eq!(told.len(), 11, "the pages say eleven");
    for rule in told {
        assert!(
            rules.contains(&format!("\"{rule}\"")),
            "there is no rule `{rule}`"
        );
    }
}

#[test]
fn every_row_of_a_table_has_as_many_cells_as_its_head() {
    for page in pages() {
        let mut cells = 0;
        for line in page.prose().lines() {
            if !line.starts_with('|') {
                cells = 0;
                continue;
            }
            let count = line.replace("\\|", "").matches('|').count();
            cells = if cells == 0 { count } else { cells };
            assert_eq!(count, cells, "{}: {line}", page.name);
        }
    }
}

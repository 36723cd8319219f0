//! One `docker build`, as it is typed.

use super::{last_name, named_context as directory, places, secret};
use crate::plan::init::FoundBuild;

/// Options without a value.
const FLAGS: [&str; 12] = [
    "--push",
    "--load",
    "--pull",
    "--no-cache",
    "--quiet",
    "-q",
    "--rm",
    "--force-rm",
    "--squash",
    "--check",
    "--debug",
    "-D",
];

/// Reads the words after `build` into a build. `bases` are the directories in which it may be typed, the likeliest first.
pub(super) fn read(found: &mut FoundBuild, bases: &[&str], words: &[String]) {
    let mut words = words.iter().map(String::as_str).peekable();
    let (mut context, mut dockerfile) = (None, None);
    while let Some(word) = words.next() {
        if !word.starts_with('-') || word == "-" {
            context = context.or(Some(word));
            continue;
        }
        if FLAGS.contains(&word) {
            found.ships |= word == "--push";
            continue;
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, value),
            None => (word, words.next().unwrap_or_default()),
        };
        match name {
            "-f" | "--file" => dockerfile = Some(value),
            "-t" | "--tag" => {
                found.repository = found.repository.take().or_else(|| last_name(value));
            }
            "--target" => found.stage = Some(value.to_owned()).filter(|stage| !stage.contains('$')),
            "--platform" => found.platforms.extend(value.split(',').map(str::to_owned)),
            "--build-arg" => argument(found, value),
            "--build-context" => named_context(found, bases, value),
            "--secret" => found.secrets.extend(secret(value)),
            "--ssh" => found.ssh = true,
            _ => {}
        }
    }
    let Some(context) = context else {
        return;
    };
    found.places = places(bases, context, dockerfile, false);
    if found.places.is_empty() {
        found.leave_out(
            "the context or the Dockerfile",
            &format!("{context} {}", dockerfile.unwrap_or_default()),
        );
    }
}

fn argument(found: &mut FoundBuild, text: &str) {
    match text.split_once('=') {
        Some((name, value)) if !value.contains(['$', '`']) => {
            found.args.insert(name.to_owned(), value.to_owned());
        }
        Some((name, value)) => found.leave_out_arg("--build-arg", name, value),
        None => found.leave_out_arg("--build-arg", text, "a variable"),
    }
}

fn named_context(found: &mut FoundBuild, bases: &[&str], text: &str) {
    let Some((name, path)) = text.split_once('=') else {
        return;
    };
    match bases.first().and_then(|base| directory(base, path)) {
        Some(path) => drop(found.contexts.insert(name.to_owned(), path)),
        None => found.leave_out(&format!("--build-context {name}"), path),
    }
}

//! `completions`: what a shell needs to complete a command line.
//!
//! A shell completes a program by its name. `cargo xtask` is no program: its completions are made for one called `cargo_xtask`, and
//! those of cargo itself hand over to them after the word `xtask`.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap_complete::Shell;

use crate::{completing, report::document};

/// Prints a shell's completions of what is typed as `typed`, a program or two words.
///
/// # Errors
/// A place of this program that a script cannot name.
pub(crate) fn print(typed: &str, shell: Shell) -> Result<ExitCode> {
    let name = typed.replace(' ', "_");
    let text = completing::script(&shell.to_string(), &name);
    let mut text = text.context("this program lies where no script can name it")?;
    if let Some((program, word)) = typed.split_once(' ') {
        text += &handover(shell, program, word, &name);
    }
    document::text_line(&text);
    Ok(ExitCode::SUCCESS)
}

/// What completes `PROGRAM WORD …` as `NAME …`, and anything else as before.
fn handover(shell: Shell, program: &str, word: &str, name: &str) -> String {
    let text = match shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
        // These complete `cargo_xtask`, for which one can make an alias.
        _ => return String::new(),
    };
    text.replace("@program@", program)
        .replace("@word@", word)
        .replace("@name@", name)
}

const BASH: &str = r#"
# bash-completion loads those of @program@ when they are first wanted, which would take the place of these.
declare -F _completion_loader >/dev/null && _completion_loader @program@ 2>/dev/null
__@name@_before=$(complete -p @program@ 2>/dev/null | sed -n 's/.*-F \([^ ]*\) .*/\1/p')
__@name@_handover() {
    if [[ ${COMP_WORDS[1]} == @word@ && $COMP_CWORD -ge 2 ]]; then
        COMP_WORDS=(@name@ "${COMP_WORDS[@]:2}")
        COMP_CWORD=$((COMP_CWORD - 1))
        _clap_complete_@name@ @name@ "$2" "$3"
    elif [[ -n $__@name@_before ]]; then
        "$__@name@_before" "$@"
    fi
}
complete -F __@name@_handover -o bashdefault -o default @program@
"#;

const ZSH: &str = r#"
__@name@_before=${_comps[@program@]:-}
__@name@_handover() {
    if [[ ${words[2]} == @word@ ]] && (( CURRENT > 2 )); then
        words=(@name@ "${words[@]:2}")
        (( CURRENT -= 1 ))
        _clap_dynamic_completer_@name@
    elif [[ -n $__@name@_before ]]; then
        $__@name@_before "$@"
    fi
}
compdef __@name@_handover @program@
"#;

const FISH: &str = r#"
function __@name@_handover
    set -l typed (commandline -opc) (commandline -ct)
    complete -C "@name@ "(string join -- ' ' $typed[3..-1])
end
complete -c @program@ -n '__fish_seen_subcommand_from @word@' -f -a '(__@name@_handover)'
"#;

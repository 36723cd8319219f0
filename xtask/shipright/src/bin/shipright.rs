//! The commands as one program, for repositories without Rust: `shipright push dev` in any directory with a deploy.toml.

use std::process::ExitCode;

use shipright::Program;

fn main() -> ExitCode {
    Program::installed().run()
}

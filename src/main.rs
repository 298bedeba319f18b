//! The program: hands its arguments to the command and its result to the shell.

use std::process::ExitCode;

fn main() -> ExitCode {
    kraftlet::commands::main()
}

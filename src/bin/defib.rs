//! The command line: wiring only.

fn main() -> std::process::ExitCode {
    defib::cli::main()
}

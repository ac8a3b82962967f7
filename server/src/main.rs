//! `kokkiri`: one program for the server and what is needed around it.
//!
//! ```text
//! kokkiri [serve] [-D dir] [-p port] [-k socketdir] [-c name=value]...
//! kokkiri init -D dir [-U superuser] [--no-data-checksums]
//! kokkiri ctl start|stop|restart|reload|status -D dir [-m smart|fast|immediate]
//! ```
//!
//! `serve` is the postmaster ([`postmaster`]): a small parent that holds the listening sockets, the lock
//! files and the signals, and starts the server process ([`serve`]) that does everything else. Inside the
//! server process each connection is a task ([`connection`]) with a session of the engine.
//!
//! This crate forbids unsafe code and sees of the engine only its facade.
#![forbid(unsafe_code)]

mod arguments;
mod authentication;
mod cancel;
mod configuration;
mod connection;
mod control;
mod handover;
mod hba;
mod lock_file;
mod log;
mod passwords;
mod postmaster;
mod sample_files;
mod serve;
mod sink;
mod startup;
mod stream;
mod tls;

use std::process::ExitCode;

use arguments::Command;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = match arguments::parse() {
        Ok(command) => command,
        Err(message) => {
            eprintln!("kokkiri: {message}");
            eprintln!("Try \"kokkiri --help\" for more information.");
            return ExitCode::FAILURE;
        }
    };
    let outcome = match command {
        Command::Help => {
            print!("{}", arguments::HELP);
            Ok(())
        }
        Command::Version => {
            println!("kokkiri (Kokkiri) {}, PostgreSQL 18.4 compatible", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Command::Serve(options) => postmaster::run(&options),
        Command::ServerProcess(options) => serve::run(&options),
        Command::Init(options) => control::initialise(&options),
        Command::Control(request) => return control::run(&request),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::fatal(&error);
            ExitCode::FAILURE
        }
    }
}

//! The command line.

use std::path::PathBuf;

use lexopt::prelude::*;

pub const HELP: &str = "\
Kokkiri is PostgreSQL's architecture rebuilt in Rust.

Usage:
  kokkiri [serve] [-D DIR] [-p PORT] [-k SOCKETDIR] [-c NAME=VALUE]...
  kokkiri init -D DIR [-U SUPERUSER] [-A METHOD] [--pwfile FILE] [--no-data-checksums]
  kokkiri ctl start|stop|restart|reload|status -D DIR [-m smart|fast|immediate] [-l LOGFILE] [-- SERVE OPTIONS]

serve creates the data directory if it is empty, recovers if needed, and listens.
Options of serve:
  -D DIR         data directory (default: $PGDATA, else \"data\")
  -p PORT        port to listen on
  -k SOCKETDIR   directory of the Unix socket
  -h ADDRESSES   addresses to listen on
  -B BUFFERS     number of shared buffers
  -c NAME=VALUE  set a parameter
  --NAME=VALUE   the same
Other options:
  --help, --version
";

/// What the program is asked to do.
pub enum Command {
    Help,
    Version,
    Serve(ServeOptions),
    /// The server process under a postmaster; started by it, not by users.
    ServerProcess(ServeOptions),
    Init(InitOptions),
    Control(ControlRequest),
}

#[derive(Clone, Debug)]
pub struct ServeOptions {
    pub data_directory: PathBuf,
    /// Parameters from the command line, in order.
    pub settings: Vec<(String, String)>,
    /// The arguments as given, for postmaster.opts and to pass on.
    pub raw: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct InitOptions {
    pub data_directory: PathBuf,
    pub superuser: String,
    pub data_checksums: bool,
    /// Method of the lines in pg_hba.conf.
    pub authentication: String,
    /// The superuser's password.
    pub password: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlAction {
    Start,
    Stop,
    Restart,
    Reload,
    Status,
}

/// How to stop: PostgreSQL's shutdown modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownMode {
    Smart,
    Fast,
    Immediate,
}

#[derive(Clone, Debug)]
pub struct ControlRequest {
    pub action: ControlAction,
    pub data_directory: PathBuf,
    pub mode: ShutdownMode,
    /// Where the log of a started server goes; `None` for where this program's output goes.
    pub log_file: Option<PathBuf>,
    /// Options handed to `serve` by start and restart.
    pub serve_options: Vec<String>,
}

pub fn parse() -> Result<Command, String> {
    let raw: Vec<String> = std::env::args().skip(1).collect();
    parse_from(&raw)
}

fn parse_from(raw: &[String]) -> Result<Command, String> {
    if raw.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--help") {
        return Ok(Command::Help);
    }
    match raw.first().map(String::as_str) {
        Some("-?") => Ok(Command::Help),
        Some("--version" | "-V") => Ok(Command::Version),
        Some("init") => parse_init(&raw[1..]).map(Command::Init),
        Some("ctl") => parse_control(&raw[1..]).map(Command::Control),
        Some("serve") => parse_serve(&raw[1..]).map(Command::Serve),
        Some("server-process") => parse_serve(&raw[1..]).map(Command::ServerProcess),
        _ => parse_serve(raw).map(Command::Serve),
    }
}

fn default_data_directory() -> PathBuf {
    std::env::var_os("PGDATA").filter(|path| !path.is_empty()).map_or_else(|| "data".into(), PathBuf::from)
}

fn parse_serve(raw: &[String]) -> Result<ServeOptions, String> {
    let mut options =
        ServeOptions { data_directory: default_data_directory(), settings: Vec::new(), raw: raw.to_vec() };
    let mut parser = lexopt::Parser::from_args(raw);
    while let Some(argument) = parser.next().map_err(text)? {
        let short = match argument {
            Short('D') => {
                options.data_directory = parser.value().map_err(text)?.into();
                continue;
            }
            Short('c') => {
                let assignment = parser.value().map_err(text)?.string().map_err(text)?;
                let (name, value) =
                    assignment.split_once('=').ok_or_else(|| format!("-c {assignment} requires a value"))?;
                options.settings.push((name.to_owned(), value.to_owned()));
                continue;
            }
            Short('p') => "port",
            Short('k') => "unix_socket_directories",
            Short('h') => "listen_addresses",
            Short('B') => "shared_buffers",
            Long(name) => {
                let name = name.replace('-', "_");
                let value = parser.value().map_err(text)?.string().map_err(text)?;
                options.settings.push((name, value));
                continue;
            }
            other => return Err(other.unexpected().to_string()),
        };
        let value = parser.value().map_err(text)?.string().map_err(text)?;
        options.settings.push((short.to_owned(), value));
    }
    Ok(options)
}

fn parse_init(raw: &[String]) -> Result<InitOptions, String> {
    let mut directory = None;
    let mut superuser = "postgres".to_owned();
    let mut data_checksums = true;
    let mut authentication = "trust".to_owned();
    let mut password = None;
    let mut parser = lexopt::Parser::from_args(raw);
    while let Some(argument) = parser.next().map_err(text)? {
        match argument {
            Short('D') | Long("pgdata") => directory = Some(parser.value().map_err(text)?.into()),
            Short('U') | Long("username") => {
                superuser = parser.value().map_err(text)?.string().map_err(text)?;
            }
            Short('A') | Long("auth") => {
                authentication = parser.value().map_err(text)?.string().map_err(text)?;
                if !["trust", "reject", "scram-sha-256", "md5", "password"].contains(&authentication.as_str())
                {
                    return Err(format!("invalid authentication method \"{authentication}\""));
                }
            }
            Long("pwfile") => {
                let path = parser.value().map_err(text)?;
                let shown = path.to_string_lossy().into_owned();
                let file = std::fs::read_to_string(&path)
                    .map_err(|cause| format!("could not open file \"{shown}\" for reading: {cause}"))?;
                let first = file.lines().next().filter(|line| !line.is_empty());
                password =
                    Some(first.ok_or_else(|| format!("password file \"{shown}\" is empty"))?.to_owned());
            }
            Short('k') | Long("data-checksums") => data_checksums = true,
            Long("no-data-checksums") => data_checksums = false,
            Value(path) if directory.is_none() => directory = Some(path.into()),
            other => return Err(other.unexpected().to_string()),
        }
    }
    if superuser.starts_with("pg_") {
        return Err(format!(
            "superuser name \"{superuser}\" is disallowed; role names cannot begin with \"pg_\""
        ));
    }
    let data_directory = directory.or_else(|| std::env::var_os("PGDATA").map(PathBuf::from));
    let data_directory = data_directory.ok_or("no data directory specified")?;
    if matches!(authentication.as_str(), "scram-sha-256" | "md5" | "password") && password.is_none() {
        return Err("must specify a password for the superuser to enable password authentication".to_owned());
    }
    Ok(InitOptions { data_directory, superuser, data_checksums, authentication, password })
}

fn parse_control(raw: &[String]) -> Result<ControlRequest, String> {
    let mut action = None;
    let mut directory = None;
    let mut mode = ShutdownMode::Fast;
    let mut log_file = None;
    let split = raw.iter().position(|argument| argument == "--").unwrap_or(raw.len());
    let mut parser = lexopt::Parser::from_args(&raw[..split]);
    while let Some(argument) = parser.next().map_err(text)? {
        match argument {
            Short('D') => directory = Some(parser.value().map_err(text)?.into()),
            Short('l') => log_file = Some(parser.value().map_err(text)?.into()),
            Short('m') => {
                mode = match parser.value().map_err(text)?.string().map_err(text)?.as_str() {
                    "s" | "smart" => ShutdownMode::Smart,
                    "f" | "fast" => ShutdownMode::Fast,
                    "i" | "immediate" => ShutdownMode::Immediate,
                    other => return Err(format!("unrecognized shutdown mode \"{other}\"")),
                }
            }
            Value(word) if action.is_none() => {
                action = Some(match word.string().map_err(text)?.as_str() {
                    "start" => ControlAction::Start,
                    "stop" => ControlAction::Stop,
                    "restart" => ControlAction::Restart,
                    "reload" => ControlAction::Reload,
                    "status" => ControlAction::Status,
                    other => return Err(format!("unrecognized operation mode \"{other}\"")),
                });
            }
            other => return Err(other.unexpected().to_string()),
        }
    }
    Ok(ControlRequest {
        action: action.ok_or("no operation specified")?,
        data_directory: directory.unwrap_or_else(default_data_directory),
        mode,
        log_file,
        serve_options: raw.get(split + 1..).unwrap_or_default().to_vec(),
    })
}

fn text(error: lexopt::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn serve_takes_postgresqls_options() {
        let line = words("-D /d -p 6000 -k /run -c work_mem=1MB --shared-buffers=16MB");
        let Ok(Command::Serve(options)) = parse_from(&line) else { panic!("valid") };
        assert_eq!(options.data_directory, PathBuf::from("/d"));
        let names: Vec<_> = options.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            names,
            ["port=6000", "unix_socket_directories=/run", "work_mem=1MB", "shared_buffers=16MB"]
        );
        assert!(parse_from(&words("-c work_mem")).is_err());
        assert!(parse_from(&words("-Z")).is_err());
    }

    #[test]
    fn help_is_given_for_every_command() {
        for line in ["--help", "serve --help", "init -D d --help", "ctl start --help"] {
            assert!(matches!(parse_from(&words(line)), Ok(Command::Help)), "{line}");
        }
    }

    #[test]
    fn ctl_passes_on_what_stands_behind_two_dashes() {
        let Ok(Command::Control(request)) = parse_from(&words("ctl stop -D d -m immediate")) else {
            panic!("valid")
        };
        assert_eq!((request.action, request.mode), (ControlAction::Stop, ShutdownMode::Immediate));
        let Ok(Command::Control(request)) = parse_from(&words("ctl start -D d -l log -- -p 6000")) else {
            panic!("valid")
        };
        assert_eq!(request.serve_options, ["-p", "6000"]);
        assert_eq!(request.log_file, Some(PathBuf::from("log")));
        assert!(parse_from(&words("ctl stop -m slow")).is_err());
    }
}

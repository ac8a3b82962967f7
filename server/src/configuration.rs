//! Configuration files: postgresql.conf, what it includes, postgresql.auto.conf, and the command line.
//!
//! Realises: guc-file.l and `ProcessConfigFile`. A file is lines of `name [=] value`, comments from `#`;
//! values with other characters than PostgreSQL allows bare stand in single quotes. Later settings of a
//! name win. An error names file and line; on a reload it is logged and nothing changes.

use std::path::{Path, PathBuf};

use kokkiri_engine::settings::{Context, ServerSettings, Source, Stored, Value, find};
use kokkiri_engine::{Error, Result, SqlState};

/// How deep includes may nest: `CONF_FILE_MAX_DEPTH`.
const DEPTH_MAX: u32 = 10;

/// One assignment of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub name: String,
    pub value: String,
    pub file: PathBuf,
    pub line: u32,
}

/// Settings from the data directory's files and the command line.
///
/// # Errors
/// The first thing wrong in a file or on the command line, with file and line where there is one.
pub fn load(
    data_directory: &Path,
    command_line: &[(String, String)],
    mut settings: ServerSettings,
) -> Result<ServerSettings> {
    // PostgreSQL raises the built-in 100kB to this where the platform's stacks allow it; ours are made to fit.
    apply(&mut settings, "max_stack_depth", "2MB", Source::Default, None)?;
    let mut assignments = Vec::new();
    read_file(&data_directory.join("postgresql.conf"), 0, &mut assignments)?;
    let automatic = data_directory.join("postgresql.auto.conf");
    if automatic.exists() {
        read_file(&automatic, 0, &mut assignments)?;
    }
    for assignment in &assignments {
        let place = || format!("{}:{}", assignment.file.display(), assignment.line);
        let file = Some((assignment.file.display().to_string().into(), assignment.line));
        apply(&mut settings, &assignment.name, &assignment.value, Source::ConfigurationFile, file).map_err(
            |error| {
                Error::fatal(error.sqlstate(), error.message())
                    .detail(format!("configuration file {}", place()))
            },
        )?;
    }
    for (name, value) in command_line {
        apply(&mut settings, name, value, Source::CommandLine, None)
            .map_err(|error| Error::fatal(error.sqlstate(), error.message()))?;
    }
    let text = |path: &Path| Value::Text(path.display().to_string().into());
    let computed = [
        ("data_directory", text(data_directory)),
        ("config_file", text(&data_directory.join("postgresql.conf"))),
        ("hba_file", text(&data_directory.join("pg_hba.conf"))),
        ("ident_file", text(&data_directory.join("pg_ident.conf"))),
    ];
    for (name, value) in computed {
        let (index, _) = find(name).expect("PostgreSQL has the parameter");
        settings.store(index, Stored { value, source: Source::Override, file: None });
    }
    Ok(settings)
}

fn apply(
    settings: &mut ServerSettings,
    name: &str,
    value: &str,
    source: Source,
    file: Option<(std::sync::Arc<str>, u32)>,
) -> Result<()> {
    let Some((index, parameter)) = find(name) else {
        if name.contains('.') {
            settings.store_custom(name, Stored { value: Value::Text(value.into()), source, file });
            return Ok(());
        }
        return Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("unrecognized configuration parameter \"{name}\""),
        ));
    };
    if parameter.context == Context::Internal {
        return Err(Error::new(
            SqlState::CANT_CHANGE_RUNTIME_PARAM,
            format!("parameter \"{name}\" cannot be changed"),
        ));
    }
    let value = settings.parse(index, value)?;
    settings.store(index, Stored { value, source, file });
    Ok(())
}

/// Takes over what a reload may change; what only a restart can change keeps its value and is marked.
pub fn reload(running: &ServerSettings, mut fresh: ServerSettings) -> ServerSettings {
    let mut pending = Vec::new();
    for (index, parameter) in kokkiri_engine::settings::PARAMETERS.iter().enumerate() {
        let index = index as u16;
        // What the running server has found out itself no file says.
        if parameter.context == Context::Internal {
            fresh.store(index, running.stored(index).clone());
        }
        if parameter.context == Context::Postmaster
            && fresh.stored(index).value != running.stored(index).value
        {
            pending.push(index);
            let mut kept = running.stored(index).clone();
            kept.source = kept.source.max(fresh.stored(index).source);
            fresh.store(index, kept);
        }
    }
    fresh.set_pending_restart(pending);
    fresh
}

/// Reads one file and what it includes.
pub fn read_file(path: &Path, depth: u32, assignments: &mut Vec<Assignment>) -> Result<()> {
    if depth > DEPTH_MAX {
        return Err(config_error(format!(
            "could not open configuration file \"{}\": maximum nesting depth exceeded",
            path.display()
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|cause| {
        Error::file_access("open configuration file", path.display(), &cause)
            .with_severity(kokkiri_engine::Severity::Fatal)
    })?;
    for (number, line) in text.lines().enumerate() {
        let number = number as u32 + 1;
        let syntax = |near: &str| {
            config_error(match near {
                "" => format!("syntax error in file \"{}\" line {number}, near end of line", path.display()),
                near => format!(
                    "syntax error in file \"{}\" line {number}, near token \"{near}\"",
                    path.display()
                ),
            })
        };
        let Some((name, value)) = parse_line(line).map_err(|near| syntax(&near))? else { continue };
        let target = || path.parent().unwrap_or(Path::new(".")).join(&value);
        match name.to_ascii_lowercase().as_str() {
            "include" => read_file(&target(), depth + 1, assignments)?,
            "include_if_exists" if target().exists() => read_file(&target(), depth + 1, assignments)?,
            "include_if_exists" => {}
            "include_dir" => read_directory(&target(), depth, assignments)?,
            _ => assignments.push(Assignment { name, value, file: path.to_owned(), line: number }),
        }
    }
    Ok(())
}

/// Reads the files of a directory whose names end in `.conf`, in C order of their names.
fn read_directory(directory: &Path, depth: u32, assignments: &mut Vec<Assignment>) -> Result<()> {
    let failed = |cause: std::io::Error| {
        Error::file_access("open configuration directory", directory.display(), &cause)
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".conf") && !name.starts_with('.') {
            files.push(entry.path());
        }
    }
    files.sort();
    files.iter().try_for_each(|file| read_file(file, depth + 1, assignments))
}

/// Splits a line into name and value; `None` for a blank one.
///
/// # Errors
/// The token at which the line stops making sense; empty for its end.
fn parse_line(line: &str) -> std::result::Result<Option<(String, String)>, String> {
    let mut rest = line.trim_start();
    if rest.is_empty() || rest.starts_with('#') {
        return Ok(None);
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '.') || !c.is_ascii();
    let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
    let (name, tail) = rest.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(first_token(rest));
    }
    rest = tail.trim_start();
    rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    let (value, tail) = match rest.strip_prefix('\'') {
        Some(quoted) => quoted_value(quoted).ok_or_else(|| first_token(rest))?,
        None => {
            let is_value = |c: char| {
                c.is_ascii_alphanumeric()
                    || matches!(c, '_' | '$' | '.' | '-' | '+' | '/' | ':')
                    || !c.is_ascii()
            };
            let end = rest.find(|c| !is_value(c)).unwrap_or(rest.len());
            (rest[..end].to_owned(), &rest[end..])
        }
    };
    if value.is_empty() && !rest.starts_with('\'') {
        return Err(first_token(rest));
    }
    let tail = tail.trim_start();
    if tail.is_empty() || tail.starts_with('#') {
        Ok(Some((name.to_owned(), value)))
    } else {
        Err(first_token(tail))
    }
}

fn first_token(text: &str) -> String {
    let text = text.trim_start();
    if text.starts_with('#') {
        return String::new();
    }
    let end = text.find(|c: char| c.is_whitespace()).unwrap_or(text.len());
    text[..end].to_owned()
}

/// A value behind its opening quote: doubled quotes and backslash escapes undone.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                value.push('\'');
                chars.next();
            }
            '\'' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                'b' => value.push('\u{8}'),
                'f' => value.push('\u{c}'),
                digit @ '0'..='7' => {
                    let mut code = digit.to_digit(8)?;
                    for _ in 0..2 {
                        match chars.peek().and_then(|(_, c)| c.to_digit(8)) {
                            Some(next) => {
                                code = code * 8 + next;
                                chars.next();
                            }
                            None => break,
                        }
                    }
                    value.push(char::from(code as u8));
                }
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

fn config_error(message: String) -> Error {
    Error::fatal(SqlState::CONFIG_FILE_ERROR, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_postgresql_reads_them() {
        let read = |line| parse_line(line).map(|pair| pair.map(|(name, value)| format!("{name}|{value}")));
        assert_eq!(read("work_mem = 4MB # comment"), Ok(Some("work_mem|4MB".to_owned())));
        assert_eq!(read("  port 5433"), Ok(Some("port|5433".to_owned())));
        assert_eq!(read("a.b='it''s \\'x\\' \\061'"), Ok(Some("a.b|it's 'x' 1".to_owned())));
        assert_eq!(read("# nothing"), Ok(None));
        assert_eq!(read("search_path = ''"), Ok(Some("search_path|".to_owned())));
        assert_eq!(read("work_mem"), Err(String::new()));
        assert_eq!(read("work_mem = 1 2"), Err("2".to_owned()));
        assert_eq!(read("= 4"), Err("=".to_owned()));
        assert_eq!(read("a = 'open"), Err("'open".to_owned()));
    }
}

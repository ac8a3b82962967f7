//! The options of CREATE and ALTER ROLE, and passwords.
//!
//! Realises: the option loops of user.c, `encrypt_password` (crypt.c).

use kokkiri_parse::AtLocation;
use kokkiri_parse::tree::{DefArg, DefElem, RoleSpec};
use kokkiri_primitives::clock::TimestampTz;
use kokkiri_primitives::settings::parameters;
use kokkiri_primitives::{Error, Result, SqlState, error};
use kokkiri_types::datetime::parse;

use crate::context::CommandContext;

/// The options as they were given.
#[derive(Default)]
pub struct RoleOptions {
    pub password: Option<Option<String>>,
    pub superuser: Option<bool>,
    pub inherit: Option<bool>,
    pub create_role: Option<bool>,
    pub create_database: Option<bool>,
    pub can_login: Option<bool>,
    pub replication: Option<bool>,
    pub bypass_row_security: Option<bool>,
    pub connection_limit: Option<i32>,
    pub valid_until: Option<TimestampTz>,
    pub add_to: Option<Vec<RoleSpec>>,
    pub members: Option<Vec<RoleSpec>>,
    pub administrators: Option<Vec<RoleSpec>>,
}

impl RoleOptions {
    /// # Errors
    /// 42601 for an option given twice, and what is wrong with a value.
    pub fn read(context: &mut CommandContext<'_>, given: &[DefElem]) -> Result<Self> {
        let mut options = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for option in given {
            if option.name == "sysid" {
                context.notice(Error::notice("SYSID can no longer be specified"));
                continue;
            }
            if seen.contains(&option.name.as_str()) {
                return Err(
                    error!(SYNTAX_ERROR, "conflicting or redundant options").at_location(option.location)
                );
            }
            seen.push(&option.name);
            options.take(context, option)?;
        }
        Ok(options)
    }

    fn take(&mut self, context: &CommandContext<'_>, option: &DefElem) -> Result<()> {
        let flag = || crate::options::boolean(option).map(Some);
        match option.name.as_str() {
            "password" => {
                self.password = Some(option.arg.is_some().then(|| crate::options::text(option)).transpose()?);
            }
            "superuser" => self.superuser = flag()?,
            "inherit" => self.inherit = flag()?,
            "createrole" => self.create_role = flag()?,
            "createdb" => self.create_database = flag()?,
            "canlogin" => self.can_login = flag()?,
            "isreplication" => self.replication = flag()?,
            "bypassrls" => self.bypass_row_security = flag()?,
            "connectionlimit" => {
                let Some(DefArg::Integer(limit)) = option.arg else {
                    return Err(error!(SYNTAX_ERROR, "{} requires an integer value", option.name));
                };
                if limit < -1 {
                    return Err(error!(INVALID_PARAMETER_VALUE, "invalid connection limit: {limit}"));
                }
                self.connection_limit = Some(limit);
            }
            "validUntil" => {
                let text = crate::options::text(option)?;
                self.valid_until = Some(TimestampTz(parse::timestamptz(&text, -1, context.io)?));
            }
            "addroleto" => self.add_to = Some(roles(option)?),
            "rolemembers" => self.members = Some(roles(option)?),
            "adminmembers" => self.administrators = Some(roles(option)?),
            other => return Err(Error::internal(format!("option \"{other}\" not recognized"))),
        }
        Ok(())
    }
}

/// The roles of an option that lists them.
fn roles(option: &DefElem) -> Result<Vec<RoleSpec>> {
    let wrong = || Error::internal(format!("option \"{}\" is no list of roles", option.name));
    let Some(DefArg::List(items)) = &option.arg else { return Err(wrong()) };
    let role = |item: &DefArg| match item {
        DefArg::Role(spec) => Ok(spec.clone()),
        _ => Err(wrong()),
    };
    items.iter().map(role).collect()
}

/// What is stored of a password; `None` for one that nobody could log in with.
pub fn stored_password(
    context: &mut CommandContext<'_>,
    role: &str,
    password: &str,
) -> Result<Option<String>> {
    let scram = context.passwords.matches(password, "");
    let md5_of = |password: &str| {
        let digest = kokkiri_functions::digest::md5(format!("{password}{role}").as_bytes());
        format!("md5{}", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    };
    if password.is_empty() || scram == Some(true) || password == md5_of("") {
        context.notice(Error::notice("empty string is not a valid password, clearing password"));
        return Ok(None);
    }
    let settings = context.view.settings;
    let stored = if scram.is_some() || is_md5(password) {
        password.to_owned()
    } else if settings.get(parameters::PASSWORD_ENCRYPTION) == "md5" {
        md5_of(password)
    } else {
        context.passwords.make(password, settings.get(parameters::SCRAM_ITERATIONS) as u32)?
    };
    if is_md5(&stored) && settings.get(parameters::MD5_PASSWORD_WARNINGS) {
        context.notice(
            Error::warning(SqlState::WARNING_DEPRECATED_FEATURE, "setting an MD5-encrypted password")
                .detail(
                    "MD5 password support is deprecated and will be removed in a future release of PostgreSQL.",
                )
                .hint("Refer to the PostgreSQL documentation for details about migrating to another password type."),
        );
    }
    Ok(Some(stored))
}

/// True for the stored form of an MD5 password.
pub fn is_md5(stored: &str) -> bool {
    stored.len() == 35
        && stored
            .strip_prefix("md5")
            .is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)))
}

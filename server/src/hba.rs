//! pg_hba.conf: who may connect from where, and how they prove who they are.
//!
//! Realises: hba.c. Records are tried in order; the first that fits decides. A file that can't be read or
//! parsed keeps the server from starting; on a reload it is logged and the old records stay.

use std::net::IpAddr;
use std::path::Path;

use kokkiri_engine::{Error, Result, SqlState};

/// How a connection came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionType {
    Local,
    Host,
    HostSsl,
    HostNoSsl,
}

/// How a client is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Trust,
    Reject,
    ScramSha256,
    Md5,
    Password,
}

/// Which databases or roles a record is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    All,
    SameUser,
    /// The role must be a member of the role that is called like the database.
    SameRole,
    Replication,
    /// A member of this role.
    MemberOf(String),
    Name(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Address {
    All,
    SameHost,
    Network { base: IpAddr, prefix: u8 },
}

/// One line of the file.
#[derive(Clone, Debug)]
pub struct Record {
    connection: ConnectionType,
    databases: Vec<Pattern>,
    users: Vec<Pattern>,
    address: Address,
    pub method: Method,
    pub line: u32,
}

/// What a client asks for, as records look at it.
pub struct Request<'a> {
    /// `None` on a Unix socket.
    pub address: Option<IpAddr>,
    pub tls: bool,
    pub database: &'a str,
    pub user: &'a str,
    pub physical_replication: bool,
    /// Whether the user is a member of a role.
    pub is_member: &'a dyn Fn(&str) -> bool,
}

/// Reads the file.
///
/// # Errors
/// The first line that is wrong, in PostgreSQL's words with its place as context.
pub fn load(path: &Path) -> Result<Vec<Record>> {
    let text = std::fs::read_to_string(path)
        .map_err(|cause| Error::file_access("open file", path.display(), &cause))?;
    parse(&text).map_err(|error| {
        let line = error.fields().position.unwrap_or(0);
        let mut error = error.context(format!("line {line} of configuration file \"{}\"", path.display()));
        error.fields_mut().position = None;
        error
    })
}

/// The record for a request, if any fits.
pub fn find<'a>(records: &'a [Record], request: &Request<'_>) -> Option<&'a Record> {
    records.iter().find(|record| record.fits(request))
}

impl Record {
    fn fits(&self, request: &Request<'_>) -> bool {
        let connection = match (self.connection, request.address) {
            (ConnectionType::Local, address) => address.is_none(),
            (_, None) => false,
            (ConnectionType::Host, Some(_)) => true,
            (ConnectionType::HostSsl, Some(_)) => request.tls,
            (ConnectionType::HostNoSsl, Some(_)) => !request.tls,
        };
        connection
            && request.address.is_none_or(|address| self.address.contains(address))
            && self.databases.iter().any(|pattern| fits_database(pattern, request))
            && self.users.iter().any(|pattern| fits_user(pattern, request))
    }
}

fn fits_database(pattern: &Pattern, request: &Request<'_>) -> bool {
    match pattern {
        Pattern::Replication => request.physical_replication,
        _ if request.physical_replication => false,
        Pattern::All => true,
        Pattern::SameUser => request.database == request.user,
        Pattern::SameRole => (request.is_member)(request.database),
        Pattern::MemberOf(name) | Pattern::Name(name) => name == request.database,
    }
}

fn fits_user(pattern: &Pattern, request: &Request<'_>) -> bool {
    match pattern {
        Pattern::All => true,
        Pattern::MemberOf(role) => (request.is_member)(role),
        Pattern::Name(name) => name == request.user,
        Pattern::SameUser | Pattern::SameRole | Pattern::Replication => false,
    }
}

impl Address {
    fn contains(&self, address: IpAddr) -> bool {
        match self {
            Address::All => true,
            Address::SameHost => address.is_loopback(),
            Address::Network { base, prefix } => match (base, address.to_canonical()) {
                (IpAddr::V4(base), IpAddr::V4(address)) => {
                    let mask = u32::MAX.checked_shl(32 - u32::from(*prefix)).unwrap_or(0);
                    u32::from(*base) & mask == u32::from(address) & mask
                }
                (IpAddr::V6(base), IpAddr::V6(address)) => {
                    let mask = u128::MAX.checked_shl(128 - u32::from(*prefix)).unwrap_or(0);
                    u128::from(*base) & mask == u128::from(address) & mask
                }
                _ => false,
            },
        }
    }
}

/// A token of a line, and whether it was quoted (a quoted keyword is a name).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    text: String,
    quoted: bool,
}

fn parse(text: &str) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index as u32 + 1;
        let fields = tokenize(line);
        if fields.is_empty() {
            continue;
        }
        // The line number travels as the error's position until the caller has the file's name.
        records.push(
            parse_record(&fields, number)
                .map_err(|message| Error::new(SqlState::CONFIG_FILE_ERROR, message).at(number as usize))?,
        );
    }
    Ok(records)
}

/// Splits a line into fields, each a comma-separated list of tokens.
fn tokenize(line: &str) -> Vec<Vec<Token>> {
    let mut fields = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        if chars.peek().is_none_or(|c| *c == '#') {
            return fields;
        }
        let mut field = Vec::new();
        loop {
            let mut token = Token { text: String::new(), quoted: false };
            let mut inside = false;
            while let Some(&c) = chars.peek() {
                match c {
                    '"' => {
                        token.quoted = true;
                        inside = !inside;
                    }
                    c if !inside && (c.is_whitespace() || c == ',' || c == '#') => break,
                    c => token.text.push(c),
                }
                chars.next();
            }
            if !token.text.is_empty() || token.quoted {
                field.push(token);
            }
            if chars.next_if_eq(&',').is_none() {
                break;
            }
            while chars.next_if(|c| c.is_whitespace()).is_some() {}
        }
        fields.push(field);
    }
}

fn parse_record(fields: &[Vec<Token>], line: u32) -> std::result::Result<Record, String> {
    let single = |index: usize, what: &str| -> std::result::Result<String, String> {
        let field = fields.get(index).ok_or_else(|| format!("end-of-line before {what} specification"))?;
        match field.as_slice() {
            [token] => Ok(token.text.clone()),
            _ => Err(format!("multiple values specified for {what}")),
        }
    };
    let connection = match single(0, "connection type")?.as_str() {
        "local" => ConnectionType::Local,
        "host" | "hostnogssenc" => ConnectionType::Host,
        "hostssl" => ConnectionType::HostSsl,
        "hostnossl" => ConnectionType::HostNoSsl,
        other => return Err(format!("invalid connection type \"{other}\"")),
    };
    let databases = fields.get(1).ok_or("end-of-line before database specification")?;
    let users = fields.get(2).ok_or("end-of-line before role specification")?;
    let mut next = 3;
    let mut address = Address::All;
    if connection != ConnectionType::Local {
        let text = single(next, "IP address")?;
        next += 1;
        address = parse_address(&text)?;
        if let Address::Network { base, .. } = &address
            && !text.contains('/')
        {
            let mask = single(next, "netmask")?;
            next += 1;
            let prefix = netmask_prefix(&mask).ok_or_else(|| format!("invalid IP mask \"{mask}\""))?;
            address = Address::Network { base: *base, prefix };
        }
    }
    let method = match single(next, "authentication method")?.as_str() {
        "trust" => Method::Trust,
        "reject" => Method::Reject,
        "scram-sha-256" => Method::ScramSha256,
        "md5" => Method::Md5,
        "password" => Method::Password,
        other => return Err(format!("invalid authentication method \"{other}\"")),
    };
    if let Some(option) = fields.get(next + 1).and_then(|field| field.first()) {
        return Err(match option.text.split_once('=') {
            Some((name, _)) => format!("unrecognized authentication option name: \"{name}\""),
            None => format!("authentication option not in name=value format: {}", option.text),
        });
    }
    Ok(Record {
        connection,
        databases: databases.iter().map(|token| pattern(token, true)).collect(),
        users: users.iter().map(|token| pattern(token, false)).collect(),
        address,
        method,
        line,
    })
}

fn pattern(token: &Token, is_database: bool) -> Pattern {
    let text = token.text.clone();
    match text.as_str() {
        _ if token.quoted => Pattern::Name(text),
        "all" => Pattern::All,
        "sameuser" if is_database => Pattern::SameUser,
        "samerole" | "samegroup" if is_database => Pattern::SameRole,
        "replication" if is_database => Pattern::Replication,
        _ => match text.strip_prefix('+') {
            Some(role) if !is_database => Pattern::MemberOf(role.to_owned()),
            _ => Pattern::Name(text),
        },
    }
}

fn parse_address(text: &str) -> std::result::Result<Address, String> {
    match text {
        "all" => return Ok(Address::All),
        "samehost" => return Ok(Address::SameHost),
        _ => {}
    }
    let (base, prefix) = match text.split_once('/') {
        Some((base, prefix)) => (base, Some(prefix)),
        None => (text, None),
    };
    let base: IpAddr = base.parse().map_err(|_| format!("invalid IP address \"{base}\""))?;
    let widest = if base.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => widest,
        Some(prefix) => prefix
            .parse()
            .ok()
            .filter(|prefix| *prefix <= widest)
            .ok_or_else(|| format!("invalid CIDR mask in address \"{text}\""))?,
    };
    Ok(Address::Network { base, prefix })
}

fn netmask_prefix(mask: &str) -> Option<u8> {
    let (ones, contiguous) = match mask.parse().ok()? {
        IpAddr::V4(mask) => (u32::from(mask).count_ones(), u32::from(mask).leading_ones()),
        IpAddr::V6(mask) => (u128::from(mask).count_ones(), u128::from(mask).leading_ones()),
    };
    (ones == contiguous).then_some(ones as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method_for(
        file: &str,
        address: Option<&str>,
        database: &str,
        user: &str,
        tls: bool,
    ) -> Option<Method> {
        let records = parse(file).expect("a valid file");
        let request = Request {
            address: address.map(|text| text.parse().expect("an address")),
            tls,
            database,
            user,
            physical_replication: false,
            is_member: &|role| role == "staff" && user == "ann",
        };
        find(&records, &request).map(|record| record.method)
    }

    #[test]
    fn the_first_record_that_fits_decides() {
        let file = "\
            # comment\n\
            local   all             all                                     trust\n\
            host    \"all\"         all             127.0.0.1/32            reject\n\
            host    db1,db2         +staff          10.0.0.0  255.255.0.0   scram-sha-256\n\
            hostssl sameuser        all             ::1/128                 md5\n\
            host    all             bob             all                     trust\n";
        assert_eq!(method_for(file, None, "x", "y", false), Some(Method::Trust));
        assert_eq!(method_for(file, Some("127.0.0.1"), "all", "y", false), Some(Method::Reject));
        assert_eq!(method_for(file, Some("10.0.9.9"), "db2", "ann", false), Some(Method::ScramSha256));
        assert_eq!(method_for(file, Some("10.1.9.9"), "db2", "ann", false), None);
        assert_eq!(method_for(file, Some("::1"), "bob", "bob", true), Some(Method::Md5));
        assert_eq!(method_for(file, Some("::1"), "bob", "bob", false), Some(Method::Trust));
        assert_eq!(method_for(file, Some("1.2.3.4"), "x", "eve", false), None);
    }

    #[test]
    fn wrong_lines_are_named_as_postgresql_names_them() {
        let message = |line: &str| {
            let error = parse(&format!("\n{line}")).expect_err("wrong");
            assert_eq!(error.fields().position, Some(2), "line number of {line}");
            error.message().to_owned()
        };
        assert_eq!(message("lokal all all trust"), "invalid connection type \"lokal\"");
        assert_eq!(message("local all all kerberos"), "invalid authentication method \"kerberos\"");
        assert_eq!(message("host all all 1.2.3/32 trust"), "invalid IP address \"1.2.3\"");
        assert_eq!(message("host all all 1.2.3.4/33 trust"), "invalid CIDR mask in address \"1.2.3.4/33\"");
        assert_eq!(message("local all all"), "end-of-line before authentication method specification");
    }
}

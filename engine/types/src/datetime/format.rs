//! Text of dates, times and timestamps in each DateStyle.

use super::{
    DATE_BEGIN, DATE_END, DateOrder, DateStyle, DateTime, TIMESTAMP_BEGIN, TIMESTAMP_END, civil_from_days,
    day_of_week, timetz_from_fixed,
};
use crate::io::IoSettings;
use crate::number::write_padded;

pub const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
pub const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

fn two(value: i32, out: &mut Vec<u8>) {
    out.extend([b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8]);
}

/// The year as shown: 1 BC is 1.
fn shown_year(year: i32) -> u64 {
    u64::from(if year > 0 { year.unsigned_abs() } else { year.unsigned_abs() + 1 })
}

/// `.123`, without trailing zeros; nothing for zero.
pub fn write_fraction(micros: i32, out: &mut Vec<u8>) {
    if micros == 0 {
        return;
    }
    out.push(b'.');
    write_padded(u64::from(micros.unsigned_abs()), 6, out);
    while out.last() == Some(&b'0') {
        out.pop();
    }
}

fn write_time_of_day(point: &DateTime, out: &mut Vec<u8>) {
    two(point.hour, out);
    out.push(b':');
    two(point.minute, out);
    out.push(b':');
    two(point.second, out);
    write_fraction(point.micros, out);
}

/// `+05:30`; minutes and seconds only if there are any. Seconds east of UTC.
pub fn write_offset(seconds_east: i32, out: &mut Vec<u8>) {
    out.push(if seconds_east < 0 { b'-' } else { b'+' });
    let seconds = seconds_east.abs();
    two(seconds / 3600, out);
    if seconds % 3600 != 0 {
        out.push(b':');
        two(seconds / 60 % 60, out);
        if seconds % 60 != 0 {
            out.push(b':');
            two(seconds % 60, out);
        }
    }
}

fn write_bc(year: i32, out: &mut Vec<u8>) {
    if year <= 0 {
        out.extend_from_slice(b" BC");
    }
}

fn write_day_month(point: &DateTime, order: DateOrder, separator: u8, out: &mut Vec<u8>) {
    let (first, second) =
        if order == DateOrder::Dmy { (point.day, point.month) } else { (point.month, point.day) };
    two(first, out);
    out.push(separator);
    two(second, out);
}

/// `date_out`.
pub fn write_date(date: i32, settings: &IoSettings, out: &mut Vec<u8>) {
    match date {
        DATE_BEGIN => return out.extend_from_slice(b"-infinity"),
        DATE_END => return out.extend_from_slice(b"infinity"),
        _ => {}
    }
    let (year, month, day) = civil_from_days(date);
    let point = DateTime { year, month, day, ..DateTime::default() };
    write_date_part(
        &point,
        settings,
        if settings.date_style == DateStyle::Postgres { b'-' } else { b'/' },
        out,
    );
    write_bc(year, out);
}

/// The date in the styles that put it before the time.
fn write_date_part(point: &DateTime, settings: &IoSettings, separator: u8, out: &mut Vec<u8>) {
    match settings.date_style {
        DateStyle::Iso => {
            write_padded(shown_year(point.year), 4, out);
            out.push(b'-');
            two(point.month, out);
            out.push(b'-');
            two(point.day, out);
        }
        DateStyle::German => {
            two(point.day, out);
            out.push(b'.');
            two(point.month, out);
            out.push(b'.');
            write_padded(shown_year(point.year), 4, out);
        }
        DateStyle::Sql | DateStyle::Postgres => {
            write_day_month(point, settings.date_order, separator, out);
            out.push(separator);
            write_padded(shown_year(point.year), 4, out);
        }
    }
}

/// `time_out`.
pub fn write_time(time: i64, out: &mut Vec<u8>) {
    let mut point = DateTime::default();
    point.set_time(time);
    write_time_of_day(&point, out);
}

/// `timetz_out`.
pub fn write_timetz(bytes: &[u8; 16], out: &mut Vec<u8>) {
    let (time, west) = timetz_from_fixed(bytes);
    write_time(time, out);
    write_offset(-west, out);
}

/// `timestamp_out`.
pub fn write_timestamp(timestamp: i64, settings: &IoSettings, out: &mut Vec<u8>) {
    write_point(timestamp, None, settings, out);
}

/// `timestamptz_out`.
pub fn write_timestamptz(instant: i64, settings: &IoSettings, out: &mut Vec<u8>) {
    if super::is_infinite_timestamp(instant) {
        return write_point(instant, None, settings, out);
    }
    if settings.date_style == DateStyle::Iso {
        let offset = settings.time_zone.offset_at(instant);
        return write_point(
            instant + i64::from(offset) * super::SECOND_MICROS,
            Some((offset, "")),
            settings,
            out,
        );
    }
    let info = settings.time_zone.at(instant);
    let local = instant + i64::from(info.offset) * super::SECOND_MICROS;
    write_point(local, Some((info.offset, &info.abbreviation)), settings, out);
}

fn write_zone(zone: Option<(i32, &str)>, separator: &[u8], out: &mut Vec<u8>) {
    match zone {
        None => {}
        // Zones without letters for a name ("+03") show their offset.
        Some((offset, name)) if name.is_empty() || !name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            if !name.is_empty() {
                out.extend_from_slice(separator);
            }
            write_offset(offset, out);
        }
        Some((_, name)) => {
            out.push(b' ');
            out.extend_from_slice(name.as_bytes());
        }
    }
}

fn write_point(local: i64, zone: Option<(i32, &str)>, settings: &IoSettings, out: &mut Vec<u8>) {
    match local {
        TIMESTAMP_BEGIN => return out.extend_from_slice(b"-infinity"),
        TIMESTAMP_END => return out.extend_from_slice(b"infinity"),
        _ => {}
    }
    let point = DateTime::from_timestamp(local);
    if settings.date_style == DateStyle::Postgres {
        out.extend_from_slice(DAYS[day_of_week(point.date()) as usize].as_bytes());
        out.push(b' ');
        let month = MONTHS[(point.month - 1) as usize].as_bytes();
        if settings.date_order == DateOrder::Dmy {
            two(point.day, out);
            out.push(b' ');
            out.extend_from_slice(month);
        } else {
            out.extend_from_slice(month);
            out.push(b' ');
            two(point.day, out);
        }
        out.push(b' ');
        write_time_of_day(&point, out);
        out.push(b' ');
        write_padded(shown_year(point.year), 4, out);
        write_zone(zone, b" ", out);
    } else {
        write_date_part(&point, settings, b'/', out);
        out.push(b' ');
        write_time_of_day(&point, out);
        write_zone(zone, b" ", out);
    }
    write_bc(point.year, out);
}

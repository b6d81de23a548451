//! Who the command is: the answer is that of a simple reading of passwd(5) and group(5).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use step8::user::{self, User};

/// The input is what was asked for, in one line, then /etc/passwd and, after a line `--`, /etc/group.
pub fn check(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let Ok(wanted) = str::from_utf8(&input[..end]) else { return };
    let files = input.get(end + 1..).unwrap_or_default();
    let end = files.windows(4).position(|four| four == b"\n--\n");
    let (passwd, group) = end.map_or((files, &b""[..]), |end| (&files[..end], &files[end + 4..]));

    let found = user::parse(wanted, passwd, group);
    let expected = find(wanted, passwd, group);
    match &found {
        Ok(user) => assert!(![user.uid, user.gid].contains(&u32::MAX), "{user:?}"),
        Err(error) => crate::check_message(&error.to_string(), wanted.as_bytes()),
    }
    assert_eq!(found.ok(), expected);
}

/// A line of passwd or group that counts.
struct Line<'a> {
    name: &'a [u8],
    id: u32,
    /// All fields; one that is missing is empty.
    fields: Vec<&'a [u8]>,
}

impl Line<'_> {
    fn is(&self, wanted: &str) -> bool {
        self.name == wanted.as_bytes() || number(wanted.as_bytes()) == Some(self.id)
    }
}

fn lines(file: &[u8]) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    for line in file.split(|byte| *byte == b'\n') {
        let mut fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        fields.resize(fields.len().max(7), b"");
        match number(fields[2]) {
            Some(id) if !fields[0].is_empty() => lines.push(Line { name: fields[0], id, fields }),
            _ => {}
        }
    }
    lines
}

fn find(wanted: &str, passwd: &[u8], group: &[u8]) -> Option<User> {
    let (mut user, group_name) = match wanted.find(':') {
        Some(colon) => (&wanted[..colon], &wanted[colon + 1..]),
        None => (wanted, ""),
    };
    if user.is_empty() {
        user = "0";
    }
    let users = lines(passwd);
    let groups = lines(group);
    let line = users.iter().find(|line| line.is(user));
    let uid = line.map(|line| line.id).or(number(user.as_bytes()))?;
    let home = match line.map(|line| line.fields[5]) {
        Some(home) if !home.is_empty() && !home.contains(&0) => home.to_vec(),
        _ => b"/".to_vec(),
    };
    let home = OsString::from_vec(home);
    if !group_name.is_empty() {
        let line = groups.iter().find(|line| line.is(group_name));
        let gid = line.map(|line| line.id).or(number(group_name.as_bytes()))?;
        return Some(User { uid, gid, groups: vec![gid], home });
    }
    let gid = line.and_then(|line| number(line.fields[3])).unwrap_or(0);
    let mut all = vec![gid];
    for other in &groups {
        let mut members = other.fields[3].split(|byte| *byte == b',');
        let is_member = line.is_some_and(|line| members.any(|member| member == line.name));
        if is_member && !all.contains(&other.id) {
            all.push(other.id);
        }
    }
    Some(User { uid, gid, groups: all, home })
}

/// Digits of a number below 2³² - 1.
fn number(text: &[u8]) -> Option<u32> {
    let mut number = 0u64;
    for byte in text {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number = (number * 10 + u64::from(digit)).min(u64::from(u32::MAX));
    }
    (!text.is_empty() && number < u64::from(u32::MAX)).then_some(number as u32)
}

//! The grammar of the names of images (distribution/reference, `reference.go`).

use std::fmt::Display;
use std::net::Ipv6Addr;

use crate::Digest;

/// The most characters of a tag (OCI distribution specification, "Pulling manifests").
const LONGEST_TAG: usize = 128;

const NAME: &str = "lower-case letters and digits, with . _ __ or - between them";
const HOST: &str = "a registry's host has letters and digits, with . or - between them";
const PORT: &str = "a registry's port is a number from 1 to 65535; a tag stands at the end";
const TAG: &str = "a tag has letters, digits and _, and after the first of them . and -";

/// How far the text is read. What is behind is ASCII: so bytes are characters.
pub struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    pub fn new(text: &'a str) -> Parser<'a> {
        Parser { text, at: 0 }
    }

    /// The number of the character that comes next, from 1 on.
    pub fn number(&self) -> usize {
        self.at + 1
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Goes past `sign`, an ASCII character, if it comes next.
    pub fn skip(&mut self, sign: char) -> bool {
        let is_next = self.rest().starts_with(sign);
        self.at += usize::from(is_next);
        is_next
    }

    /// Goes past all ASCII characters that `are` so, and gives them.
    fn take(&mut self, are: fn(&u8) -> bool) -> &'a str {
        let rest = self.rest();
        let count = rest.bytes().take_while(are).count();
        self.at += count;
        &rest[..count]
    }

    pub fn error(&self, what: impl Display) -> String {
        format!("{:?} is no image name: {what}", self.text)
    }

    /// The error for the character that comes next, or for the end of the text.
    fn unexpected(&self, rule: &str) -> String {
        let number = self.number();
        self.error(match self.rest().chars().next() {
            None => format!("at character {number} more has to come ({rule})"),
            Some(character) => {
                format!("{character:?} at character {number} is not allowed there ({rule})")
            }
        })
    }

    /// Refuses what people give in place of a name.
    pub fn require_name(&self) -> Result<(), String> {
        if self.text.is_empty() {
            return Err(self.error("it is empty (give one as in alpine or ghcr.io/owner/app:v1)"));
        }
        if let Some((scheme, _)) = self.text.split_once("://") {
            let scheme = format!("{scheme}://");
            return Err(
                self.error(format!("at character 1 starts a scheme (leave {scheme:?} out)"))
            );
        }
        let hex = self.text.strip_prefix("sha256:").unwrap_or(self.text);
        if Digest::try_from(format!("sha256:{hex}")).is_ok() {
            return Err(self.error("at character 1 starts a digest (give NAME@sha256:…)"));
        }
        Ok(())
    }

    /// The registry, if the first part is one by Docker's rule. What comes after it is next.
    pub fn registry(&mut self) -> Result<Option<&'a str>, String> {
        let Some((first, _)) = self.text.split_once('/') else {
            return Ok(None);
        };
        let is_host = |byte| matches!(byte, b'.' | b':' | b'A'..=b'Z');
        if first != "localhost" && !first.bytes().any(is_host) {
            return Ok(None);
        }
        if self.skip('[') {
            self.ipv6_address()?
        } else {
            self.host_name()?
        }
        if self.skip(':') {
            self.port()?;
        }
        if self.skip('/') { Ok(Some(first)) } else { Err(self.unexpected(HOST)) }
    }

    fn host_name(&mut self) -> Result<(), String> {
        loop {
            if self.take(u8::is_ascii_alphanumeric).is_empty() {
                return Err(self.unexpected(HOST));
            }
            if !self.skip('.') && self.take(|byte| *byte == b'-').is_empty() {
                return Ok(());
            }
        }
    }

    fn ipv6_address(&mut self) -> Result<(), String> {
        let start = self.number();
        let address = self.take(|byte| byte.is_ascii_hexdigit() || *byte == b':');
        if !self.skip(']') {
            return Err(self.unexpected("an IPv6 address is in brackets, as in [::1]:5000/name"));
        }
        match address.parse::<Ipv6Addr>() {
            Ok(_) => Ok(()),
            Err(_) => Err(self.error(format!("at character {start} starts no IPv6 address"))),
        }
    }

    fn port(&mut self) -> Result<(), String> {
        let start = self.number();
        let digits = self.take(u8::is_ascii_digit);
        match digits.parse::<u16>() {
            _ if digits.is_empty() || !self.rest().starts_with('/') => Err(self.unexpected(PORT)),
            Ok(1..) => Ok(()),
            _ => Err(self.error(format!("{digits} at character {start} is out of range ({PORT})"))),
        }
    }

    pub fn repository(&mut self) -> Result<&'a str, String> {
        let start = self.at;
        loop {
            if self.take(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9')).is_empty() {
                return Err(self.wrong_name());
            }
            match self.rest().bytes().next() {
                None | Some(b':' | b'@') => return Ok(&self.text[start..self.at]),
                Some(b'/' | b'.') => self.at += 1,
                Some(b'_') => self.at += if self.rest().starts_with("__") { 2 } else { 1 },
                Some(b'-') => _ = self.take(|byte| *byte == b'-'),
                Some(_) => return Err(self.wrong_name()),
            }
        }
    }

    fn wrong_name(&self) -> String {
        match self.rest().bytes().next() {
            Some(b'A'..=b'Z') => self.unexpected("names are lower-case"),
            _ => self.unexpected(NAME),
        }
    }

    pub fn tag(&mut self) -> Result<&'a str, String> {
        if self.rest().starts_with(['.', '-']) {
            return Err(self.unexpected(TAG));
        }
        let start = self.number();
        let tag = self.take(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte));
        let is_over = self.rest().is_empty() || self.rest().starts_with('@');
        match tag.len() {
            _ if tag.is_empty() || !is_over => Err(self.unexpected(TAG)),
            ..=LONGEST_TAG => Ok(tag),
            length => Err(self.error(format!(
                "the tag that starts at character {start} has {length} characters, and \
                 {LONGEST_TAG} is the most"
            ))),
        }
    }

    pub fn digest(&mut self) -> Result<Digest, String> {
        let number = self.number();
        let digest = Digest::try_from(self.rest().to_string());
        digest.map_err(|error| self.error(format!("from character {number} on, {error}")))
    }
}

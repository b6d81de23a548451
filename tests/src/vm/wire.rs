//! What the runner and the guest say to each other, over one virtio-serial port.
//!
//! A frame is a byte for its kind, the length of its data as four bytes (little-endian), and the data. All the
//! streams of a command share the one port, so what it wrote arrives before the news that it ended.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// To the guest: run this command ([`Request`]).
    Run = b'R',
    /// To the guest: bytes for the command's standard input. No bytes: the input's end.
    Stdin = b'I',
    /// To the guest: the terminal's size is now this (rows and columns, two bytes each).
    Size = b'S',
    /// To the runner: the guest can be saved now (the initramfs's init says so).
    Held = b'H',
    /// To the runner: the guest is up.
    Ready = b'G',
    /// To the runner: bytes that the command wrote to its standard output, or to its terminal.
    Stdout = b'O',
    /// To the runner: bytes that the command wrote to its standard error.
    Stderr = b'E',
    /// To the runner: the command could not be started; the data says why.
    Failed = b'F',
    /// To the runner: the command ended; one byte, its exit status as a shell tells it.
    Ended = b'X',
}

const KINDS: [Kind; 9] = [
    Kind::Run,
    Kind::Stdin,
    Kind::Size,
    Kind::Held,
    Kind::Ready,
    Kind::Stdout,
    Kind::Stderr,
    Kind::Failed,
    Kind::Ended,
];

/// A frame as the bytes to send.
pub fn frame(kind: Kind, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).expect("a frame is far smaller than 4 GiB");
    let mut bytes = vec![kind as u8];
    bytes.extend(length.to_le_bytes());
    bytes.extend(data);
    bytes
}

/// Puts the frames together again out of bytes that arrive in pieces.
#[derive(Default)]
pub struct Frames {
    buffer: Vec<u8>,
}

impl Frames {
    /// Takes bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend(bytes);
    }

    /// The next frame that is complete.
    pub fn pop(&mut self) -> Option<(Kind, Vec<u8>)> {
        let (head, rest) = self.buffer.split_at_checked(5)?;
        let kind = KINDS.into_iter().find(|kind| *kind as u8 == head[0]);
        let kind = kind.expect("both ends come from the same build");
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let data = rest.get(..length)?.to_vec();
        self.buffer.drain(..5 + length);
        Some((kind, data))
    }
}

/// A command to run in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The user it runs as.
    pub user: OsString,
    /// The kind of terminal (`TERM`) and its size, if it runs on one.
    pub terminal: Option<(OsString, [u8; 4])>,
    /// The command and its arguments; none: the user's shell.
    pub command: Vec<OsString>,
}

impl Request {
    /// The data of a [`Kind::Run`] frame. No argument of a program holds a NUL byte, so that one ends each field.
    pub fn encode(&self) -> Vec<u8> {
        let (term, size) = self.terminal.clone().unwrap_or_default();
        let mut bytes = vec![u8::from(self.terminal.is_some())];
        bytes.extend(size);
        for field in [&self.user, &term].into_iter().chain(&self.command) {
            bytes.extend(field.as_bytes());
            bytes.push(0);
        }
        bytes
    }

    /// The opposite of [`Request::encode`].
    pub fn decode(bytes: &[u8]) -> Option<Request> {
        let (head, fields) = bytes.split_at_checked(5)?;
        let mut fields: Vec<OsString> = fields
            .split(|byte| *byte == 0)
            .map(|field| OsStr::from_bytes(field).to_owned())
            .collect();
        fields.pop(); // what follows the last NUL: nothing
        let mut fields = fields.into_iter();
        let (user, term) = (fields.next()?, fields.next()?);
        let terminal = (head[0] == 1).then(|| (term, [head[1], head[2], head[3], head[4]]));
        Some(Request { user, terminal, command: fields.collect() })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn frames_arrive_whole_however_they_are_cut() {
        let sent =
            [frame(Kind::Stdout, b"hello"), frame(Kind::Stdin, b""), frame(Kind::Ended, &[7])]
                .concat();
        for piece in 1..sent.len() {
            let mut frames = Frames::default();
            let mut got = Vec::new();
            for bytes in sent.chunks(piece) {
                frames.push(bytes);
                got.extend(std::iter::from_fn(|| frames.pop()));
            }
            let expected =
                [(Kind::Stdout, b"hello".to_vec()), (Kind::Stdin, vec![]), (Kind::Ended, vec![7])];
            assert_eq!(got, expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_request_keeps_its_arguments() {
        let command = vec![
            OsString::from("printf"),
            "".into(),
            "a b\nc".into(),
            OsString::from_vec(vec![0xff]),
        ];
        for terminal in [None, Some(("xterm".into(), [0, 24, 0, 80]))] {
            let request = Request { user: "ada".into(), terminal, command: command.clone() };
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
    }
}

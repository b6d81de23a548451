//! Orders to another process, and its replies: a line of JSON each, over a socket.
//!
//! One end gives an order and waits for the reply ([`Giver`]), the other follows one after the other ([`follow_all`]).
//! When one of them is gone the other sees the end of the stream.

use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::{Error, Explain};

/// The end that gives orders.
pub struct Giver {
    socket: BufReader<UnixStream>,
    /// Who follows them, for errors: `the unpacking process`.
    follower: &'static str,
}

impl Giver {
    /// Gives orders to `follower`, who has the other end of the socket.
    pub fn new(socket: UnixStream, follower: &'static str) -> Giver {
        Giver { socket: BufReader::new(socket), follower }
    }

    /// Gives an order, and waits for the reply.
    ///
    /// # Errors
    ///
    /// The one that the follower has replied with; or the follower is gone.
    pub fn give<R: DeserializeOwned>(&mut self, order: &impl Serialize) -> Result<R, Error> {
        let order = serde_json::to_string(order).expect("it is plain data") + "\n";
        let sent = self.socket.get_mut().write_all(order.as_bytes());
        // Also if it does not listen any more: then its last words say why.
        let mut reply = String::new();
        let follower = self.follower;
        self.socket.read_line(&mut reply).explain(format_args!("hear from {follower}"))?;
        match serde_json::from_str::<Result<R, String>>(&reply) {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(message)) => Err(Error::new(message)),
            Err(_) => {
                sent.explain(format_args!("ask {follower}"))?;
                Err(Error::new(format!("{follower} has died")))
            }
        }
    }

    /// Gives no more orders, and waits until the follower has ended.
    pub fn hang_up(&mut self) {
        let _ = self.socket.get_ref().shutdown(Shutdown::Write);
        let _ = io::copy(&mut self.socket, &mut io::sink());
    }
}

/// Follows orders until there are no more. An error of `follow` is a reply, too, and not the end.
///
/// # Errors
///
/// The socket can't be read or written.
pub fn follow_all<O: DeserializeOwned, R: Serialize>(
    socket: &UnixStream,
    mut follow: impl FnMut(O) -> Result<R, Error>,
) -> Result<(), Error> {
    for order in BufReader::new(socket).lines() {
        let order = order.explain("hear from the engine")?;
        let order = serde_json::from_str(&order).expect("the engine wrote it");
        reply(socket, &follow(order).map_err(|error| error.to_string()))?;
    }
    Ok(())
}

/// Replies to whatever the giver may ask that this is why it can't be done.
///
/// # Errors
///
/// The socket can't be written.
pub fn refuse(socket: &UnixStream, error: &Error) -> Result<(), Error> {
    reply(socket, &Err::<(), String>(error.to_string()))
}

fn reply<R: Serialize>(mut socket: &UnixStream, reply: &Result<R, String>) -> Result<(), Error> {
    let reply = serde_json::to_string(reply).expect("it is plain data") + "\n";
    socket.write_all(reply.as_bytes()).explain("reply to the engine")
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn each_order_has_its_reply_and_an_error_is_not_the_end() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let follower = thread::spawn(move || {
            follow_all(&theirs, |number: u32| match number {
                0 => Err(Error::new("zero\nis no number")),
                _ => Ok(number + 1),
            })
        });
        let mut giver = Giver::new(ours, "the thread");
        assert_eq!(giver.give::<u32>(&1).unwrap(), 2);
        assert_eq!(giver.give::<u32>(&0).unwrap_err().to_string(), "zero\nis no number");
        assert_eq!(giver.give::<u32>(&2).unwrap(), 3);
        giver.hang_up();
        follower.join().unwrap().unwrap();
    }

    #[test]
    fn last_words_are_heard_and_silence_is_an_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        refuse(&theirs, &Error::new("no room")).unwrap();
        drop(theirs);
        let mut giver = Giver::new(ours, "the process");
        assert_eq!(giver.give::<()>(&1).unwrap_err().to_string(), "no room");
        let error = giver.give::<()>(&1).unwrap_err().to_string();
        assert!(error.contains("ask the process"), "{error}");

        let (ours, theirs) = UnixStream::pair().unwrap();
        let silent = thread::spawn(move || BufReader::new(theirs).lines().next());
        let error = Giver::new(ours, "the process").give::<()>(&1).unwrap_err();
        assert_eq!(error.to_string(), "the process has died");
        silent.join().unwrap().unwrap().unwrap();
    }
}

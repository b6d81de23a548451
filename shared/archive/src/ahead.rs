//! Inflating on one core while another writes files.

use std::io::{self, Read};
use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope};

use shared::{Error, Explain};

use crate::AT_ONCE;

/// Pieces, of [`AT_ONCE`] bytes, that wait to be read.
const PIECES: usize = 4;

/// What another thread has read ahead.
pub struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    /// Pieces that can be used again.
    empty: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Ahead {
    /// Starts a thread that reads what `open` gives. It ends with the bytes, at an error, or when this
    /// is dropped.
    ///
    /// # Errors
    ///
    /// There is no room for another thread.
    pub fn start<'scope, R: Read>(
        scope: &'scope Scope<'scope, '_>,
        open: impl FnOnce() -> io::Result<R> + Send + 'scope,
    ) -> Result<Ahead, Error> {
        let (full, pieces) = sync_channel(PIECES);
        let (empty, used) = sync_channel(PIECES + 2);
        let inflate = move || {
            if let Err(error) = open().and_then(|reader| send(reader, &full, &used)) {
                let _ = full.send(Err(error));
            }
        };
        // Not thread::spawn, which panics where a limit on processes is reached.
        Builder::new().spawn_scoped(scope, inflate).explain("start a thread to inflate")?;
        Ok(Ahead { pieces, empty, piece: Vec::new(), at: 0 })
    }
}

/// Reads to the end, or until nobody listens any more.
fn send(
    mut reader: impl Read,
    full: &SyncSender<io::Result<Vec<u8>>>,
    used: &Receiver<Vec<u8>>,
) -> io::Result<()> {
    loop {
        let mut piece = used.try_recv().unwrap_or_default();
        piece.clear();
        reader.by_ref().take(AT_ONCE as u64).read_to_end(&mut piece)?;
        if piece.is_empty() || full.send(Ok(piece)).is_err() {
            return Ok(());
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            // Without a sender, all was read.
            let Ok(piece) = self.pieces.recv() else { return Ok(0) };
            let spent = mem::replace(&mut self.piece, piece?);
            self.at = 0;
            let _ = self.empty.try_send(spent);
        }
        let count = (&self.piece[self.at..]).read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

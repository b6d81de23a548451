//! The runner's own terminal while a command uses it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

/// The terminal in raw mode: each key goes to the guest, Ctrl-C too. As before again when this is dropped.
pub struct Raw<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Raw<'a> {
    /// Sets raw mode.
    pub fn set(terminal: BorrowedFd<'a>) -> nix::Result<Raw<'a>> {
        let before = tcgetattr(terminal)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(terminal, SetArg::TCSADRAIN, &raw)?;
        Ok(Raw { terminal, before })
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}

/// Rows and columns as [`set_size`] takes them; 24 × 80 if there is no telling.
pub fn size(terminal: BorrowedFd) -> [u8; 4] {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ fills a winsize, which this is.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    let (rows, columns) =
        if result == 0 && size.ws_row > 0 { (size.ws_row, size.ws_col) } else { (24, 80) };
    let ([a, b], [c, d]) = (rows.to_be_bytes(), columns.to_be_bytes());
    [a, b, c, d]
}

/// Gives the terminal a size; the kernel tells its foreground processes (SIGWINCH).
pub fn set_size(terminal: BorrowedFd, [a, b, c, d]: [u8; 4]) -> io::Result<()> {
    let (ws_row, ws_col) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let size = libc::winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads a winsize, which this is.
    match unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

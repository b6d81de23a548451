//! What a container would not do to its host.

use std::fs;
use std::io::{self, Read};
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

use nix::unistd::{ForkResult, chdir, chroot, fork, mkdir, pause};

/// Climbs out of a chroot, then reads a file: the second chroot leaves the working directory above
/// the new root, where ".." goes on to the real one (chroot(2), "this call does not change the
/// current working directory").
pub fn escape(path: &str) -> Result<String, Box<dyn std::error::Error>> {
    let _ = mkdir("/tmp/escape", nix::sys::stat::Mode::S_IRWXU);
    let result = (|| {
        chroot("/tmp/escape")?;
        for _ in 0..64 {
            chdir("..")?;
        }
        chroot(".")
    })();
    result?;
    let text = fs::read_to_string(path);
    Ok(text?)
}

/// Uses so many MiB of memory, until the end of input.
pub fn hold(mebibytes: usize) {
    let mut memory = vec![0u8; mebibytes << 20];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    println!("there");
    let _ = io::stdin().read_to_end(&mut Vec::new());
    std::hint::black_box(&memory);
}

/// Starts so many processes, which do nothing, and stays until the end of input.
pub fn fork_many(count: usize) -> nix::Result<()> {
    for _ in 0..count {
        // SAFETY: there is one thread only.
        if let ForkResult::Child = unsafe { fork() }? {
            pause();
        }
    }
    println!("there");
    let _ = io::stdin().read_to_end(&mut Vec::new());
    Ok(())
}

/// Connects to a port of 127.0.0.1, or to `@NAME`: a socket that has a name and no file.
pub fn connect(to: &str) -> io::Result<()> {
    match to.strip_prefix('@') {
        Some(name) => {
            let address = SocketAddr::from_abstract_name(name)?;
            UnixStream::connect_addr(&address).map(drop)
        }
        None => TcpStream::connect(to).map(drop),
    }
}

/// Puts a line into the input of the terminal, as if somebody had typed it.
pub fn type_in(line: &str) -> io::Result<()> {
    for key in line.bytes().chain([b'\n']) {
        // SAFETY: TIOCSTI reads one byte, which is there.
        if unsafe { libc::ioctl(0, libc::TIOCSTI, &key) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

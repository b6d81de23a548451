//! A recording: which calls a command makes. Its filter asks us about each, and we let it go on.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io::{self, IoSliceMut, Write};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{self, seccomp_notif, seccomp_notif_resp};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::unistd::{AccessFlags, access};
use shared::{ENGINE_FAILED, Error, Explain, note};

use crate::calls::Machine;
use crate::profile::Profile;
use crate::seccomp::Filter;

/// What is to be recorded: where it goes, and the profile that holds meanwhile.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    profile: Profile,
    machine: Machine,
}

/// A recording that runs: a thread answers the filter, and ends with the last process that has it.
pub struct Recording<'a> {
    record: &'a Record,
    numbers: JoinHandle<BTreeSet<u32>>,
}

impl Record {
    /// Fails if the file could not be written in the end.
    pub fn new(path: &Path, profile: Profile, machine: Machine) -> Result<Record, Error> {
        let refused = |cause| Err(Error::new(format!("cannot record to {path:?}: {cause}")));
        if path.is_dir() || path.as_os_str().as_bytes().ends_with(b"/") {
            return refused("it is a directory");
        }
        // It is to be replaced, and a device or a link is somebody's for a reason.
        if path.symlink_metadata().is_ok_and(|found| !found.is_file()) {
            return refused("it is no regular file");
        }
        if !profile.can_be_narrowed() {
            return refused("the profile names what it refuses, and has to name what it allows");
        }
        let writable = access(directory(path), AccessFlags::W_OK | AccessFlags::X_OK);
        writable.explain(format_args!("record to {path:?}"))?;
        Ok(Record { path: path.into(), profile, machine })
    }

    /// Begins when the child has sent the filter's other end; None if it failed before.
    pub fn begin(&self, lifeline: &UnixStream) -> Result<Option<Recording<'_>>, Error> {
        let Some(listener) = receive(lifeline)? else { return Ok(None) };
        Ok(Some(Recording { record: self, numbers: thread::spawn(move || answer_all(&listener)) }))
    }
}

impl Recording<'_> {
    /// Writes what came as a profile, in place of a file that is there, and gives the status on. With
    /// one of these nothing has run, or little: then a file that is there stays.
    pub fn end(self, status: u8) -> Result<u8, Error> {
        let Record { path, profile, machine } = self.record;
        let numbers = self.numbers.join().expect("it does not panic");
        if (ENGINE_FAILED..=ENGINE_FAILED + 2).contains(&status) {
            let why = format_args!("the command ended with {status}");
            note(format_args!("{}: nothing is recorded, because {why}", env!("CARGO_PKG_NAME")));
            return Ok(status);
        }
        let names = numbers.iter().filter_map(|number| machine.name(*number)).collect();
        let profile = profile.clone().narrowed(&names);
        let mut text = serde_json::to_vec_pretty(&profile).expect("a profile is JSON");
        text.push(b'\n');
        let write = || -> io::Result<()> {
            // As any new file's, and not its owner's alone; the umask counts.
            let permissions = Permissions::from_mode(0o666);
            let mut file =
                tempfile::Builder::new().permissions(permissions).tempfile_in(directory(path))?;
            file.write_all(&text)?;
            file.persist(path)?;
            Ok(())
        };
        write().explain(format_args!("write the recording {path:?}"))?;
        Ok(status)
    }
}

/// The directory that a file is in.
fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

/// A file number that a command is unlikely to use: the last of 1024, or of as many as it may have. A
/// message on it passes the filter unasked, as nobody could answer before the message is there.
pub fn unasked() -> Result<u32, Error> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).explain("getrlimit RLIMIT_NOFILE")?;
    Ok(soft.clamp(1, 1024) as u32 - 1)
}

/// The child loads a filter that asks, and sends the engine the end that answers.
pub fn load(filter: &Filter, lifeline: &UnixStream) -> Result<(), Error> {
    let number = unasked()? as RawFd;
    let copied = fcntl(lifeline, FcntlArg::F_DUPFD_CLOEXEC(number));
    let copy = copied.explain(format_args!("take the file number {number}"))?;
    // SAFETY: it is new, and nobody else has it.
    let lifeline = unsafe { OwnedFd::from_raw_fd(copy) };
    if copy != number {
        return Err(Error::new(format!("cannot take the file number {number}: it is in use")));
    }
    match filter.load()? {
        Some(listener) => send(&listener, &lifeline),
        None => Ok(()),
    }
}

/// The child sends the filter's other end. From the filter's load until here it makes no other call,
/// not even for memory, since nobody could answer: so all of the message is on the stack.
fn send(listener: &OwnedFd, lifeline: &OwnedFd) -> Result<(), Error> {
    let mut byte = *b"!";
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut space = [0_u64; 3];
    // SAFETY: all zero is a valid one.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    (message.msg_control, message.msg_controllen) =
        (space.as_mut_ptr().cast(), size_of_val(&space));
    // SAFETY: `space` is aligned, and has room for a header and one file (cmsg(3)).
    let sent = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as usize;
        libc::CMSG_DATA(header).cast::<RawFd>().write(listener.as_raw_fd());
        libc::sendmsg(lifeline.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL)
    };
    Errno::result(sent).explain("send the filter's other end").map(drop)
}

/// Takes what the child sends (unix(7), SCM_RIGHTS).
fn receive(lifeline: &UnixStream) -> Result<Option<OwnedFd>, Error> {
    let mut byte = [0];
    let mut bytes = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!(RawFd);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(lifeline.as_raw_fd(), &mut bytes, Some(&mut space), flags)
        .explain("receive the filter's other end")?;
    let mut parts = message.cmsgs().explain("receive the filter's other end")?;
    Ok(parts.find_map(|part| {
        let ControlMessageOwned::ScmRights(files) = part else { return None };
        // SAFETY: the kernel has made it for us.
        files.first().map(|file| unsafe { OwnedFd::from_raw_fd(*file) })
    }))
}

/// Lets every call go on (seccomp_unotify(2)), and gives the numbers of those that came.
fn answer_all(listener: &OwnedFd) -> BTreeSet<u32> {
    let mut numbers = BTreeSet::new();
    loop {
        let mut events = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        match poll(&mut events, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(_) => return numbers,
        }
        let came = events[0].revents().unwrap_or(PollFlags::empty());
        if !came.contains(PollFlags::POLLIN) {
            // POLLHUP: the last of them has ended.
            return numbers;
        }
        // SAFETY: all zero is a valid one, and the kernel asks for it.
        let mut call: seccomp_notif = unsafe { mem::zeroed() };
        // SAFETY: the kernel writes one into it.
        let received =
            unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &mut call) };
        match Errno::result(received) {
            Ok(_) => {}
            // ENOENT: who asked was killed meanwhile.
            Err(Errno::ENOENT | Errno::EINTR) => continue,
            Err(_) => return numbers,
        }
        numbers.insert(call.data.nr as u32);
        let flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
        let answer = seccomp_notif_resp { id: call.id, val: 0, error: 0, flags };
        // SAFETY: the kernel reads it. That who asked is killed before it is heard is no fault.
        let _ =
            unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &answer) };
    }
}

//! Stage 3: a root directory of its own, and the hole in it.

use std::process::Command;

use nix::errno::Errno;

use super::engine::{Engine, Outcome};
use super::failure::{Verdict, require};
use super::fixture::{ROOTFS, inside, outside};
use super::refusals;

promises! { stage 3:
    root_directory "/ is the root filesystem"
    no_way_up "/.. is / again"
    working_directory_is_root "the command starts in /"
    default_rootfs until 7 "the root filesystem is ./rootfs if --rootfs names no other"
    relative_rootfs until 7 "--rootfs may be relative, and may end in a slash"
    command_from_rootfs "the command is looked up in the root filesystem"
    command_not_from_host "the host's commands are not found"
    dynamic_command "a program whose loader is not in the root filesystem: status 127, and why"
    no_such_rootfs until 7 "no such root filesystem: status 125, and how to make one"
    rootfs_is_a_file until 7 "a file is no root filesystem: status 125"
    chroot_escape_works until 3 "a process of root climbs out of a chroot"
}

const WHERE: [&str; 2] = ["/bin/cat", "/fixture/where"];

fn root_directory(engine: &Engine) -> Verdict {
    let outcome = engine.run(["/bin/ls", "-a", "/"])?;
    let host = Outcome::of(host_command("ls -a rootfs"), b"")?;
    outcome.ends_with(0)?.prints(&host.stdout)?;
    engine.run(WHERE)?.ends_with(0)?.prints(&inside())?;
    Ok(())
}

fn no_way_up(engine: &Engine) -> Verdict {
    let outcome = engine.sh("cd / && cd .. && cd ../../.. && pwd && cat fixture/where")?;
    outcome.ends_with(0)?.prints(&format!("/\n{}", inside()))?;
    Ok(())
}

fn working_directory_is_root(engine: &Engine) -> Verdict {
    engine.sh("pwd; cat fixture/where")?.ends_with(0)?.prints(&format!("/\n{}", inside()))?;
    // Or it does not start.
    refusals::are_told(engine, &[], &[("chdir,fchdir", Errno::EPERM)])
}

fn default_rootfs(engine: &Engine) -> Verdict {
    engine.run(WHERE)?.ends_with(0)?.prints(&inside())?;
    let mut elsewhere = engine.command(WHERE);
    elsewhere.current_dir("/tmp");
    Outcome::of(elsewhere, b"")?.ends_with(125)?.complains_of(&["rootfs", "No such file"])
}

fn relative_rootfs(engine: &Engine) -> Verdict {
    let ways = [
        (ROOTFS, "."),
        (ROOTFS, "../rootfs/"),
        ("/slipway/bin", "../rootfs"),
        ("/", ROOTFS),
        ("/", "slipway/rootfs//"),
    ];
    for (directory, rootfs) in ways {
        let mut command = engine.command(["--rootfs", rootfs].into_iter().chain(WHERE));
        command.current_dir(directory);
        Outcome::of(command, b"")?.ends_with(0)?.prints(&inside())?;
    }
    Ok(())
}

fn command_from_rootfs(engine: &Engine) -> Verdict {
    engine.run(["only-inside", "exit", "5"])?.ends_with(5)?;
    Ok(())
}

fn command_not_from_host(engine: &Engine) -> Verdict {
    engine.run(["only-outside"])?.ends_with(127)?.complains_of(&["only-outside"])
}

fn dynamic_command(engine: &Engine) -> Verdict {
    let outcome = engine.run(["/fixture/dynamic"])?;
    outcome.ends_with(127)?.complains_of(&["/fixture/dynamic", "loader"])
}

fn no_such_rootfs(engine: &Engine) -> Verdict {
    let outcome = engine.run(["--rootfs", "no/such/dir", "/bin/true"])?;
    outcome.ends_with(125)?.complains_of(&["no/such/dir", "No such file", "./just rootfs"])
}

fn rootfs_is_a_file(engine: &Engine) -> Verdict {
    let outcome = engine.run(["--rootfs", "/fixture/text", "/bin/true"])?;
    outcome.ends_with(125)?.complains_of(&["/fixture/text", "Not a directory"])
}

fn chroot_escape_works(engine: &Engine) -> Verdict {
    // That it is in the root filesystem at first, and on the host afterwards, is what makes it an
    // escape.
    engine.run(WHERE)?.ends_with(0)?.prints(&inside())?;
    engine.run(["/bin/probe", "escape", "/fixture/where"])?.ends_with(0)?.prints(&outside())?;
    Ok(())
}

/// A line for the host's own shell, run beside the root filesystem.
pub fn host_command(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).current_dir("/slipway");
    command
}

impl Engine {
    /// Requires that the container's namespace of this kind is not the host's.
    pub fn has_own_namespace(&self, kind: &str) -> Verdict {
        let (running, _) = self.start_catching(0)?;
        let [inside, outside] = running.namespaces(kind)?;
        require(inside != outside, &running.tried, format!("not the host's {outside}"), inside)
    }
}

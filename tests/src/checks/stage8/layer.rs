//! What a container changes lies on top of the image, and goes with the container.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use serde_json::Value;
use tar::EntryType;

use super::{bare, names};
use crate::checks::engine::{Caller, Engine, Outcome};
use crate::checks::failure::{Failure, Verdict, equal, require};
use crate::checks::images::{Archive, Item, Tree};
use crate::checks::machine::Machine;
use crate::checks::running::{Running, eventually};
use crate::checks::samples;

promises! { stage 8:
    image_never_changes "whatever a container does, the image stays as it is, to the last attribute"
    layer_is_gone "when the container ends, by itself or not, what it wrote is gone"
    killed_engines_layer_is_gone "after a SIGKILL for the engine: gone with the next start"
    outliving_commands_layer_stays "a command that outlives its engine keeps its layer, until it ends"
    running_ones_stay "and the layer of a container that runs stays"
    layers_owners "files in the layer belong to the caller outside, or to one of the caller's range"
    replaced_directory "a directory that takes another one's place shows nothing of the old"
    deleted_files "what is deleted is not to be seen, and can be made anew"
    hardlinks_and_renames "hard links and renames work as on any file system"
    large_file_changed "a large file of the image may be changed in the middle"
    names_of_all_kinds "links, pipes and modes are as the image has them"
    root_directory_of_image "/ itself has the owner and the mode that the image gives it"
    each_its_own_layer "twenty containers of one image at once, each with a file of its own"
}

/// An image with something to change.
fn furnished() -> Result<String, Failure> {
    let large = vec![b'x'; 1 << 20];
    let layer = || {
        Archive::begin()
            .directory("data", 0o755)
            .file("data/kept", "kept\n")
            .file("data/lost", "lost\n")
            .directory("data/inner", 0o750)
            .file("data/inner/file", "inner\n")
            .hardlink("data/second-name", "data/kept")
            .symlink("data/link", "kept")
            .add("data/pipe", samples::pipe())
            .add("data/sgid", Item { mode: 0o2755, owner: (1000, 100), ..Item::default() })
            .add("data/closed", Item { mode: 0, content: b"closed\n", ..Item::default() })
            .add("data/large", Item { content: &large, ..Item::default() })
    };
    samples::offer_once("furnished", || (Value::Null, Some(layer())))
}

/// Lets /bin/sh run a script in it, in /data.
fn in_data(engine: &Engine, script: &str) -> Result<Outcome, Failure> {
    engine.run_image(&["-w", "/data"], &furnished()?, &["/bin/busybox", "sh", "-c", script])
}

fn image_never_changes(engine: &Engine) -> Verdict {
    let look = "cat kept lost inner/file; stat -c '%n %a %u %Y' .";
    let first = in_data(engine, look)?;
    first.ends_with(0)?;
    let rootfs = engine.pulled(&furnished()?)?;
    let before = Tree::of(&rootfs)?;
    let script = "echo more >> kept; rm lost; rm -r inner; echo > inner; chmod 777 . closed
                  chown 1000 kept sgid; touch -d @1 large; mv pipe pipe2; ln kept third
                  rm -rf /bin/cat /etc /tmp; mkdir /etc; busybox dd if=/dev/zero of=large bs=4k count=1 \
                  conv=notrunc 2>/dev/null; exit 4";
    in_data(engine, script)?.ends_with(4)?;
    let differences = before.differences(&Tree::of(&rootfs)?);
    require(differences.is_empty(), script, "an unpacked image that is as before", differences)?;
    in_data(engine, look)?.ends_with(0)?.prints(&first.stdout)?;
    Ok(())
}

/// Fills the layer with what is hard to remove.
const HARD_TO_REMOVE: &str = "mkdir -p /tmp/a/b/c; touch /tmp/a/b/c/file; rm -r /data/inner
    chown -R 1000:1000 /tmp/a; chmod 0 /tmp/a/b/c /tmp/a/b; mkdir /data/inner; chmod 0 /data/inner";

fn layer_is_gone(engine: &Engine) -> Verdict {
    engine.pulled(&furnished()?)?;
    engine.leaves_nothing(|| {
        in_data(engine, &format!("{HARD_TO_REMOVE}; exit 3"))?.ends_with(3)?;
        in_data(engine, &format!("{HARD_TO_REMOVE}; kill -9 $$; probe kill 9"))?;
        let missing = engine.run_image(&[], &furnished()?, &["/no/such/command"])?;
        missing.ends_with(127)?;
        // This fails when the layer is in use already.
        let failing = engine.run_image(&["-w", "/bin/busybox/x"], &furnished()?, &["/bin/sh"])?;
        failing.ends_with(125)?.complains_of(&["/bin/busybox/x"])?;
        let script = format!("{HARD_TO_REMOVE}; echo begin; exec sleep 312");
        let command = engine.image(&[], &furnished()?, &["/bin/sh", "-c", &script]);
        let running = Running::start(command)?;
        running.says("begin")?;
        running.signal(Signal::SIGTERM)?;
        running.ends_with(137)
    })
}

fn killed_engines_layer_is_gone(engine: &Engine) -> Verdict {
    engine.pulled(&furnished()?)?;
    engine.leaves_nothing(|| {
        let machine = Machine::now();
        let script = format!("{HARD_TO_REMOVE}; echo begin; exec sleep 313");
        let command = engine.image(&[], &furnished()?, &["/bin/sh", "-c", &script]);
        let mut running = Running::start(command)?;
        running.says("begin")?;
        running.signal(Signal::SIGKILL)?;
        running.status()?;
        machine.is_unchanged()?;
        engine.sh_in_bare(&[], "exit 0")?.ends_with(0).map(drop)
    })
}

fn outliving_commands_layer_stays(engine: &Engine) -> Verdict {
    engine.pulled(&bare(engine)?)?;
    engine.leaves_nothing(|| {
        let machine = Machine::now();
        // As a command does that changes its user by itself, such as gosu.
        let script = "echo mine > /tmp/mine; exec /bin/probe outlive";
        let command = engine.image(&[], &bare(engine)?, &["/bin/sh", "-c", script]);
        let mut running = Running::start(command)?;
        running.says("begin")?;
        let inner = running.inner()?;
        running.signal(Signal::SIGKILL)?;
        running.status()?;
        let next = engine.sh_in_bare(&[], "exit 0")?;
        let mut look = Command::new("/usr/bin/nsenter");
        look.args(["--target", &inner.to_string(), "--user", "--mount", "/bin/sh", "-c"]);
        look.arg("cat /tmp/mine && echo more > /tmp/more && cat /tmp/more");
        let look = Outcome::of(look, b"");
        let _ = kill(inner, Signal::SIGKILL);
        next.ends_with(0)?;
        look?.ends_with(0)?.prints("mine\nmore\n")?;
        // With its command the layer goes, at the next start.
        let gone = eventually(|| kill(inner, None).is_err());
        require(gone, &running.tried, "that the command ends", "it lives on")?;
        engine.sh_in_bare(&[], "exit 0")?.ends_with(0)?;
        machine.is_unchanged()
    })
}

fn running_ones_stay(engine: &Engine) -> Verdict {
    let script = "echo mine > /tmp/file; echo begin; read _; cat /tmp/file; touch /tmp/more";
    let mut running =
        Running::start(engine.image(&[], &bare(engine)?, &["/bin/sh", "-c", script]))?;
    running.says("begin")?;
    engine.sh_in_bare(&[], "exit 0")?.ends_with(0)?;
    running.close_stdin();
    running.says("mine")?;
    running.ends_with(0)
}

fn layers_owners(engine: &Engine) -> Verdict {
    let script = "touch /tmp/roots /tmp/another; chown 1000:12 /tmp/another; echo begin; read _";
    let mut running =
        Running::start(engine.image(&[], &bare(engine)?, &["/bin/sh", "-c", script]))?;
    running.says("begin")?;
    let files = names(&samples::store(engine.caller))?;
    for (name, root_sees, ada_sees) in
        [("roots", [0, 0], [1000, 1000]), ("another", [1000, 12], [100_999, 100_011])]
    {
        let expected = if engine.caller == Caller::Root { root_sees } else { ada_sees };
        let file = files.iter().find(|file| file.ends_with(name)).map(|file| file.metadata());
        let seen = file.transpose()?.map(|metadata| [metadata.uid(), metadata.gid()]);
        equal(&running.tried, &format!("owner and group of {name}"), Some(expected), seen)?;
    }
    running.close_stdin();
    running.ends_with(1)
}

fn replaced_directory(engine: &Engine) -> Verdict {
    let script = "rm -r inner && mkdir inner && ls -A inner && rmdir inner && echo > inner &&
                  rm inner && mkdir inner && touch inner/new && ls -A inner";
    in_data(engine, script)?.ends_with(0)?.prints("new\n")?;
    Ok(())
}

fn deleted_files(engine: &Engine) -> Verdict {
    let script = "rm lost && ls lost 2>/dev/null; echo again > lost && cat lost && rm lost
                  rm -r /data/* && ls -A /data && cd / && rm -r /data && echo all of it";
    in_data(engine, script)?.ends_with(0)?.prints("again\nall of it\n")?;
    Ok(())
}

fn hardlinks_and_renames(engine: &Engine) -> Verdict {
    let script = "ln lost linked && echo more >> linked && cat lost && stat -c %h lost
                  mv lost /tmp/moved && cat /tmp/moved && ls lost 2>/dev/null
                  mv inner /tmp/there && cat /tmp/there/file && ls inner 2>/dev/null
                  mv /tmp/there other && mv other inner && cat inner/file";
    let outcome =
        in_data(engine, &script.replace("mv ", "busybox mv ").replace("ln ", "busybox ln "))?;
    outcome.ends_with(0)?.prints("lost\nmore\n2\nlost\nmore\ninner\ninner\n")?;
    Ok(())
}

fn large_file_changed(engine: &Engine) -> Verdict {
    let script = "printf y | busybox dd of=large bs=1 seek=700000 conv=notrunc 2>/dev/null
                  stat -c %s large; busybox tr -d x < large; echo";
    in_data(engine, script)?.ends_with(0)?.prints("1048576\ny\n")?;
    Ok(())
}

fn names_of_all_kinds(engine: &Engine) -> Verdict {
    let script = "stat -c '%n %F %a %u:%g' kept link pipe inner; readlink link; cat second-name
                  stat -c '%a %u:%g' sgid; stat -c %a closed /tmp";
    in_data(engine, script)?.ends_with(0)?.prints(
        "kept regular file 644 0:0\nlink symbolic link 777 0:0\npipe fifo 644 0:0\n\
         inner directory 750 0:0\nkept\nkept\n2755 1000:100\n0\n1777\n",
    )?;
    Ok(())
}

fn root_directory_of_image(engine: &Engine) -> Verdict {
    let item =
        Item { kind: EntryType::Directory, mode: 0o3711, owner: (1000, 12), ..Item::default() };
    let layer = Archive::begin().add("./", item);
    let image = samples::offer("root-directory", Value::Null, Some(layer))?;
    let outcome = engine.run_image(&[], &image, &["/bin/stat", "-c", "%a %u:%g", "/"])?;
    outcome.ends_with(0)?.prints("3711 1000:12\n")?;
    Ok(())
}

fn each_its_own_layer(engine: &Engine) -> Verdict {
    let image = bare(engine)?;
    let start = |number| {
        let script = format!("echo {number} > /file; echo begin; read _; cat /file");
        Running::start(engine.image(&[], &image, &["/bin/sh", "-c", &script]))
    };
    let mut all: Vec<Running> = (0..20).map(start).collect::<Result<_, _>>()?;
    all.iter().try_for_each(|running| running.says("begin"))?;
    for one in &mut all {
        one.close_stdin();
    }
    all.into_iter().enumerate().try_for_each(|(number, running)| {
        running.says(&number.to_string())?;
        running.ends_with(0)
    })
}

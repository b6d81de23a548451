//! Whose files are whose.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use super::*;
use serde_json::json;

use crate::checks::fixture::ROOTFS;
use crate::checks::stage5::on_changed_machine;
use crate::checks::terminal::Terminal;

promises! { stage 12:
    keep_id "--userns keep-id: the command is the caller, by the same id on both sides, and the image's files are the image's"
    keep_id_as_root "with keep-id -u 0 is root inside, and a range's first id outside"
    keep_id_capabilities "with keep-id a file's capabilities and its access control list count as they do without"
    keep_id_once "an image is copied for keep-id once; half a copy is not taken for whole; and rmi takes it along"
    keep_id_sources "with keep-id a source is found that is open to the caller alone"
    keep_id_single for Ada "keep-id without a range: the caller is the only user, and with a short one it is refused"
    unshare "unshare: a command as the containers' root, among the host's files; its status, and 125 to 127"
    strange_owner for Ada "on a terminal the caller is told beforehand that a file will be a strange id's"
}

/// An image with files of several owners, one whose capabilities count, and one that its access control list opens to user 7.
/// Its upper layer hides a file of the lower one, and a whole directory. And it has a root whose name is ada's id.
fn image(home: &Home) -> Result<String, Failure> {
    home.engine().knows_pull()?;
    let busybox = fs::read(Path::new(ROOTFS).join("bin/busybox"))?;
    // CAP_CHOWN, permitted and in effect (linux/capability.h).
    let chown = [1, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    samples::offer_once("many-owners", || {
        let of = |id: u64| Item { owner: (id, id + 1), ..Item::default() };
        let capable = [("SCHILY.xattr.security.capability", &chown[..])];
        let mut layer = Archive::begin().add("of/zero", Item::default());
        for id in [7, 999, 1000, 1001] {
            layer = layer.add(&format!("of/{id}"), of(id));
        }
        let program = Item { mode: 0o755, content: &busybox, pax: &capable, ..Item::default() };
        let layer = layer.add("bin/busybox-capable", program).file("etc/.wh.group", "");
        let layer =
            layer.directory("home", 0o755).file("home/.wh..wh..opq", "").file("home/new", "");
        // The owner, user 7, the group, the mask, all others (linux/posix_acl_xattr.h).
        let entries = [
            (0x1, 6, u32::MAX),
            (0x2, 4, 7),
            (0x4, 0, u32::MAX),
            (0x10, 4, u32::MAX),
            (0x20, 0, u32::MAX),
        ];
        let mut list = vec![2, 0, 0, 0];
        for (kind, rights, id) in entries {
            list.extend([kind, 0, rights, 0]);
            list.extend(id.to_le_bytes());
        }
        let listed = [("SCHILY.xattr.system.posix_acl_access", &list[..])];
        let layer = layer.add(
            "of/listed",
            Item { mode: 0o640, content: b"listed\n", pax: &listed, ..Item::default() },
        );
        let passwd = "root:x:0:0::/root:/bin/sh\n1000:x:0:0::/root:/bin/sh\n";
        (json!({ "User": "77" }), Some(layer.file("etc/passwd", passwd)))
    })
}

const OWNERS: &str = "stat -c '%u:%g' / /etc /bin/sh /of/*; ls /home; ls /etc/group 2>/dev/null";
const OWNED: &str = "0:0\n0:0\n0:0\n1000:1001\n1001:1002\n7:8\n999:1000\n0:0\n0:0\nnew\n";

fn keep_id(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let source = source(&home)?;
    let image = image(&home)?;
    // For root every id stands for itself, so the image's user stays.
    let (id, made_by) =
        if engine.caller == Caller::Root { (77, "0:0") } else { (1000, "1000:1000") };
    if engine.caller == Caller::Root {
        fs::set_permissions(&source, fs::Permissions::from_mode(0o777))?;
    }
    let options = ["--userns=keep-id", "--volume=./src:/src"];
    let script = format!("id -u; {OWNERS}; stat -c %u:%g /src/file; touch /src/made");
    let outcome = image_sh(&home, &image, &options, &script)?;
    outcome.ends_with(0)?.prints(&format!("{id}\n{OWNED}{made_by}\n"))?;
    let owner = fs::metadata(source.join("made"))?.uid();
    equal(&outcome.tried, "the new file's owner outside", id, owner)?;
    // What the engine makes and mounts is root's.
    let script = "stat -c '%u %n' /dev /dev/pts /dev/shm /etc/hosts /new /new/place";
    let expected = "0 /dev\n0 /dev/pts\n0 /dev/shm\n0 /etc/hosts\n0 /new\n0 /new/place\n";
    image_sh(&home, &image, &["--userns=keep-id", "--tmpfs=/new/place"], script)?
        .ends_with(0)?
        .prints(expected)?;
    Ok(())
}

fn keep_id_as_root(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = image(&home)?;
    let directory = home.make_directory("open")?;
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777))?;
    let options = ["--userns=keep-id", "--user=0", "--volume=./open:/open"];
    let script = "chown 5:6 /of/7 && stat -c %u:%g /of/7; touch /open/made /made; stat -c %u /made";
    let outcome = image_sh(&home, &image, &options, script)?;
    outcome.ends_with(0)?.prints("5:6\n0\n")?;
    let expected = if engine.caller == Caller::Root { 0 } else { 100_000 };
    let owner = fs::metadata(directory.join("made"))?.uid();
    equal(&outcome.tried, "the new file's owner outside", expected, owner)
}

fn keep_id_capabilities(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = image(&home)?;
    let script = "cat /of/listed; /bin/busybox-capable chown 5 /of/7 && stat -c %u /of/7";
    for options in [&["--user=7"][..], &["--user=7", "--userns=keep-id"]] {
        image_sh(&home, &image, options, script)?.ends_with(0)?.prints("listed\n5\n")?;
    }
    Ok(())
}

fn keep_id_once(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = image(&home)?;
    let option = ["--userns=keep-id"];
    image_sh(&home, &image, &[], "true")?.ends_with(0)?;
    let store = samples::store(engine.caller);
    let copies = || copies(&store);
    // As it is when the engine is killed half-way.
    for (path, _) in copies()? {
        let half = path.with_extension("new");
        fs::rename(&path, &half)?;
        fs::write(half.join("junk"), "")?;
        crate::checks::fixture::own(&half.join("junk"), engine.caller)?;
    }
    let script = "ls /junk 2>/dev/null; ls /of";
    let all = "1000\n1001\n7\n999\nlisted\nzero\n";
    image_sh(&home, &image, &option, script)?.ends_with(0)?.prints(all)?;
    let first = copies()?;
    let outcome = image_sh(&home, &image, &option, script)?;
    outcome.ends_with(0)?.prints(all)?;
    equal(&outcome.tried, "the copies", format!("{first:?}"), format!("{:?}", copies()?))?;
    let expected = if engine.caller == Caller::Root { 0 } else { first.len().max(2) };
    equal(&outcome.tried, "how many copies", expected, first.len())?;
    Outcome::of(engine.subcommand(["rmi", "-f", &image]), b"")?.ends_with(0)?;
    let left = fs::read_dir(store.join("removed"))?.count();
    equal("rmi", "what it has left", 0, left)?;
    image_sh(&home, &image, &[], "true")?.ends_with(0).map(drop)
}

/// The copies in a store: of layers, and of what is below every image.
fn copies(store: &Path) -> Result<Vec<(PathBuf, u64)>, Failure> {
    let mut found = Vec::new();
    let layers = fs::read_dir(store.join("layers"))?.flatten().map(|entry| entry.path());
    for directory in layers.chain([store.to_owned()]) {
        for entry in fs::read_dir(directory)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.contains("-keep-") && !name.contains('.') {
                found.push((entry.path(), entry.metadata()?.ino()));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn keep_id_sources(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = image(&home)?;
    // Its owner has no id in the container, so root of the container has no power over it.
    let way = home.make_directory("way")?;
    home.make_file("way/file", 0o644, "outside\n")?;
    chown(&way, Some(0), Some(engine.caller.id()))?;
    fs::set_permissions(&way, fs::Permissions::from_mode(0o750))?;
    image_sh(&home, &image, &["--userns=keep-id", "--volume=./way/file:/f"], "cat /f")?
        .ends_with(0)?
        .prints("outside\n")?;
    Ok(())
}

fn keep_id_single(engine: &Engine) -> Verdict {
    let line = |script: &str| format!("engine --userns keep-id /bin/sh -c '{script}'");
    let show = line("id -u; stat -c %u /; cat /proc/self/uid_map");
    let outcome = on_changed_machine(engine, "mount --bind /dev/null /etc/subuid", &show)?;
    let map = format!("{:10} {:10} {:10}\n", 1000, 1000, 1);
    outcome.ends_with(0)?.prints(&format!("1000\n1000\n{map}"))?;
    let script = "mount -t tmpfs none /mnt; echo ada:100000:999 > /mnt/short
                  mount --bind /mnt/short /etc/subuid";
    on_changed_machine(engine, script, &line("true"))?
        .complains_of(&["keep the id 1000", "have 999"])
}

fn unshare(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let run = |args: &[&str]| {
        let mut command = home.engine().subcommand([&["unshare"], args].concat());
        command.current_dir(home.path());
        Outcome::of(command, b"")
    };
    home.make_file("own", 0o600, "mine\n")?;
    let script = "id -u; pwd; cat own; touch made; chown 5:6 made; stat -c %u:%g made; exit 7";
    let outcome = run(&["sh", "-c", script])?;
    let expected = format!("0\n{}\nmine\n5:6\n", home.path().display());
    outcome.ends_with(7)?.prints(&expected)?;
    let owner = fs::metadata(home.path().join("made"))?.uid();
    let expected = if engine.caller == Caller::Root { 5 } else { 100_004 };
    equal(&outcome.tried, "the new file's owner outside", expected, owner)?;
    run(&["rm", "made"])?.ends_with(0)?;
    run(&["nosuch"])?.ends_with(127)?.complains_of(&["nosuch"])?;
    run(&["./own"])?.ends_with(126)?.complains_of(&["own"])?;
    run(&[])?.complains_of(&["COMMAND"])?;
    run(&["sh", "-c", "kill -TERM $$"])?.ends_with(143)?;
    Ok(())
}

fn strange_owner(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = engine.ready(image(&home)?)?;
    let source = source(&home)?;
    let note = "note: what user 77 makes";
    for (options, is_told) in
        [(&[][..], true), (&["--user=0"], false), (&["--userns=keep-id"], false)]
    {
        for (end, is_told) in [("", is_told), (":ro", false)] {
            let volume = format!("--volume={}:/src{end}", source.display());
            let options = [&[volume.as_str()], options].concat();
            let command = home.engine().image(&options, &image, &["/bin/sh", "-c", "echo started"]);
            let argv: Vec<String> = std::iter::once(command.get_program())
                .chain(command.get_args())
                .map(|word| word.to_string_lossy().into_owned())
                .collect();
            let shown = Terminal::start(engine, &argv)?.wait_for("started")?;
            let told = shown.contains(note) && shown.contains("100076's on the host");
            equal(&argv.join(" "), "whether the caller is told", is_told, told)?;
        }
    }
    let outcome = image_sh(&home, &image, &["--volume=./src:/src"], "true")?;
    equal(&outcome.tried, "standard error of a script", "", outcome.stderr.as_str())
}

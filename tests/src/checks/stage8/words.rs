//! What the image's config says, and what the caller says against it.

use serde_json::{Value, json};

use super::{bare, tool, whole, with_host_open};
use crate::checks::engine::{Engine, Outcome};
use crate::checks::failure::{Failure, Verdict, equal, require};
use crate::checks::fixture::outside;
use crate::checks::images::Archive;
use crate::checks::samples;
use crate::checks::terminal::Terminal;

promises! { stage 8:
    cmd_alone by one "the image's Cmd is run"
    entrypoint_and_cmd by one "its Entrypoint is run, with Cmd for arguments"
    args_replace_cmd by one "arguments of the caller's take the place of Cmd"
    other_entrypoint by one "--entrypoint drops the image's, and Cmd with it; \"\" is none"
    empty_entrypoint by one "an Entrypoint of one empty word is none"
    no_command_at_all by one "neither the image nor the caller has a command: status 125"
    options_after_image by one "what follows IMAGE is the command's own, whatever it looks like"
    environment_of_image by one "the environment: the image's Env, HOME and HOSTNAME, and nothing else"
    default_path by one "without a PATH in the image there is Docker's"
    commands_on_images_path by one "the command is found on the image's PATH, and not on the caller's"
    env_option by one "-e sets a variable, hands on the caller's, or takes the image's away"
    bad_env_option by one "-e without a name: status 125"
    home_of_user by one "HOME is the user's in the image's passwd, unless somebody says otherwise"
    hostname_variable by one "HOSTNAME is the container's name"
    term_on_a_terminal by one "TERM is the caller's where standard output is a terminal, and else not there"
    working_directory_of_image by one "the command starts in WorkingDir, made if it is missing"
    workdir_through_links by one "a link to nothing in WorkingDir: what it leads to is made, in the container"
    volumes_are_made by one "the directories of VOLUME are there, whatever links lead to them"
    workdir_option by one "-w says where the command starts, also if it has to be made"
    relative_workdir by one "a relative -w: status 125"
    workdir_through_open_file by one "an open directory of the host's is no way out (CVE-2024-21626)"
}

fn cmd_alone(engine: &Engine) -> Verdict {
    let image = samples::offer("cmd", json!({ "Cmd": ["/bin/probe", "args", "a b", ""] }), None)?;
    engine.run_image(&[], &image, &[])?.ends_with(0)?.prints("a b\n\n")?;
    engine.run_image(&[], &image, &["/bin/probe", "exit", "7"])?.ends_with(7)?;
    Ok(())
}

/// An image with both.
const BOTH: fn() -> Value =
    || json!({ "Entrypoint": ["/bin/probe", "args"], "Cmd": ["from", "Cmd"] });

fn entrypoint_and_cmd(engine: &Engine) -> Verdict {
    let image = samples::offer_once("both", || (BOTH(), None))?;
    engine.run_image(&[], &image, &[])?.ends_with(0)?.prints("from\nCmd\n")?;
    Ok(())
}

fn args_replace_cmd(engine: &Engine) -> Verdict {
    let image = samples::offer_once("both", || (BOTH(), None))?;
    engine.run_image(&[], &image, &["the caller's"])?.ends_with(0)?.prints("the caller\\'s\n")?;
    Ok(())
}

fn other_entrypoint(engine: &Engine) -> Verdict {
    let image = samples::offer_once("both", || (BOTH(), None))?;
    let with = |entrypoint: &str, args: &[&str]| {
        engine.run_image(&["--entrypoint", entrypoint], &image, args)
    };
    with("/bin/sh", &["-c", "echo $0 $#"])?.ends_with(0)?.prints("/bin/sh 0\n")?;
    // With Cmd for arguments this would complain of them.
    with("/bin/sh", &[])?.ends_with(0)?.prints("")?;
    with("", &["/bin/probe", "exit", "9"])?.ends_with(9)?;
    with("", &[])?.ends_with(125)?.complains_of(&["no command"])
}

fn empty_entrypoint(engine: &Engine) -> Verdict {
    let config = json!({ "Entrypoint": [""], "Cmd": ["/bin/probe", "args", "from Cmd"] });
    let image = engine.ready(samples::offer("empty-entrypoint", config, None)?)?;
    engine.run_image(&[], &image, &[])?.ends_with(0)?.prints("from Cmd\n")?;
    engine.run_image(&[], &image, &["/bin/probe", "exit", "6"])?.ends_with(6)?;
    Ok(())
}

fn no_command_at_all(engine: &Engine) -> Verdict {
    engine.run_image(&[], &bare(engine)?, &[])?.ends_with(125)?.complains_of(&["no command"])
}

fn options_after_image(engine: &Engine) -> Verdict {
    let image = samples::offer_once("both", || (BOTH(), None))?;
    let args = ["-e", "--help", "--", "-w", "--pull", "x"];
    let expected = args.map(|arg| format!("{arg}\n")).concat();
    engine.run_image(&[], &image, &args)?.ends_with(0)?.prints(&expected)?;
    let outcome = engine.run_image(&[], &bare(engine)?, &["/bin/ls", "-a", "/tmp"])?;
    outcome.ends_with(0)?.prints(".\n..\n")?;
    Ok(())
}

fn environment_of_image(engine: &Engine) -> Verdict {
    let mut command = engine.image(&[], &whole(engine)?, &[]);
    command.env("SECRET", "of the caller").env("GREETING", "no").env("LD_PRELOAD", "/x");
    Outcome::of(command, b"")?.ends_with(0)?.prints(
        "EMPTY=\nGREETING=hello world\nHOME=/home/ada\nHOSTNAME=slipway\nPATH=/opt/bin:/bin\n",
    )?;
    Ok(())
}

const DOCKERS_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn default_path(engine: &Engine) -> Verdict {
    let mut command = engine.image(&[], &bare(engine)?, &["probe", "env"]);
    command.env("PATH", "/nowhere");
    let expected = format!("HOME=/root\nHOSTNAME=slipway\nPATH={DOCKERS_PATH}\n");
    Outcome::of(command, b"")?.ends_with(0)?.prints(&expected)?;
    Ok(())
}

fn commands_on_images_path(engine: &Engine) -> Verdict {
    let config = json!({ "Env": ["PATH=/opt/bin:/bin"] });
    let image = samples::offer("path", config, Some(tool()))?;
    let find = |path: &str, options: &[&str]| {
        let mut command = engine.image(options, &image, &["tool"]);
        command.env("PATH", path);
        Outcome::of(command, b"")
    };
    find("/nowhere", &[])?.ends_with(0)?.prints("the tool of the image\n")?;
    let outcome = find("/opt/bin:/bin", &["-e", "PATH=/bin"])?;
    outcome.ends_with(127)?.complains_of(&["tool", "PATH"])
}

fn env_option(engine: &Engine) -> Verdict {
    let options =
        ["-e", "A=1=2", "-e", "HANDED", "-e", "GREETING", "-e", "UNKNOWN", "--env=EMPTY=no"];
    let mut command = engine.image(&options, &whole(engine)?, &[]);
    command.env("HANDED", "on by the caller").env_remove("GREETING").env_remove("UNKNOWN");
    Outcome::of(command, b"")?.ends_with(0)?.prints(
        "A=1=2\nEMPTY=no\nHANDED=on by the caller\nHOME=/home/ada\nHOSTNAME=slipway\n\
         PATH=/opt/bin:/bin\n",
    )?;
    Ok(())
}

fn bad_env_option(engine: &Engine) -> Verdict {
    for value in ["=x", ""] {
        let outcome = engine.run_image(&["-e", value], &bare(engine)?, &["/bin/probe", "env"])?;
        outcome.ends_with(125)?.prints("")?.complains_of(&["--env", "NAME"])?;
    }
    Ok(())
}

fn home_of_user(engine: &Engine) -> Verdict {
    let home = |options: &[&str]| engine.sh_in_bare(options, "echo $HOME");
    home(&[])?.ends_with(0)?.prints("/root\n")?;
    home(&["-u", "ada"])?.ends_with(0)?.prints("/home/ada\n")?;
    home(&["-u", "1000:12"])?.ends_with(0)?.prints("/home/ada\n")?;
    home(&["-u", "4711"])?.ends_with(0)?.prints("/\n")?;
    home(&["-u", "ada", "-e", "HOME=/elsewhere"])?.ends_with(0)?.prints("/elsewhere\n")?;
    // An empty one is none, whoever says it.
    home(&["-u", "ada", "-e", "HOME="])?.ends_with(0)?.prints("/home/ada\n")?;
    let image = engine.ready(samples::offer("no-home", json!({ "Env": ["HOME="] }), None)?)?;
    let outcome = engine.run_image(&[], &image, &["/bin/sh", "-c", "echo $HOME"])?;
    outcome.ends_with(0)?.prints("/root\n")?;
    Ok(())
}

fn hostname_variable(engine: &Engine) -> Verdict {
    let outcome = engine.sh_in_bare(&["--hostname", "box-8"], "echo $HOSTNAME")?;
    outcome.ends_with(0)?.prints("box-8\n")?;
    Ok(())
}

fn term_on_a_terminal(engine: &Engine) -> Verdict {
    let binary = engine.binary.to_string_lossy();
    let image = bare(engine)?;
    // On a terminal it is the caller's; where only standard input is one, there is none.
    for (end, expected) in [("", "of-the-caller"), (" | cat", "none")] {
        let script = "echo term=${TERM-none}.";
        let line = format!("TERM=of-the-caller {binary} run {image} /bin/sh -c '{script}'{end}");
        let mut terminal = Terminal::start(engine, &["/bin/sh", "-c", &line])?;
        terminal.wait_for("term=")?;
        let seen = terminal.wait_for(".")?;
        equal(&line, "TERM", expected, seen.as_str())?;
    }
    let outcome = engine.sh_in_bare(&[], "echo ${TERM-none}")?;
    outcome.ends_with(0)?.prints("none\n")?;
    Ok(())
}

fn working_directory_of_image(engine: &Engine) -> Verdict {
    let outcome = engine.run_image(&["--entrypoint", "sh"], &whole(engine)?, &["-c", "pwd"])?;
    outcome.ends_with(0)?.prints("/srv/made/for it\n")?;
    // Nothing is said: /.
    engine.sh_in_bare(&[], "pwd")?.ends_with(0)?.prints("/\n")?;
    Ok(())
}

/// An image whose links lead to nothing.
fn linked(tag: &str, config: Value) -> Result<String, Failure> {
    let layer = Archive::begin()
        .symlink("absolute", "/new/absolute")
        .symlink("relative", "new/relative")
        .symlink("upwards", "../../../new/up")
        .symlink("chain", "bin/../chain-2")
        .symlink("chain-2", "/new/chain");
    samples::offer(tag, config, Some(layer))
}

fn workdir_through_links(engine: &Engine) -> Verdict {
    let image = engine.ready(linked("linked", Value::Null)?)?;
    for (directory, expected) in [
        ("/absolute", "/new/absolute"),
        ("/absolute/sub/dir", "/new/absolute/sub/dir"),
        ("/relative", "/new/relative"),
        ("/relative/sub", "/new/relative/sub"),
        ("/upwards", "/new/up"),
        ("/chain", "/new/chain"),
        ("/chain/sub", "/new/chain/sub"),
        ("/bin/../relative/../x", "/new/x"),
    ] {
        let options = ["-w", directory, "--entrypoint", "/bin/sh"];
        let outcome = engine.run_image(&options, &image, &["-c", "pwd -P; stat -c %u:%a ."])?;
        outcome.ends_with(0)?.prints(&format!("{expected}\n0:755\n"))?;
    }
    let image = engine.ready(linked("workdir-linked", json!({ "WorkingDir": "/chain/sub" }))?)?;
    let outcome = engine.run_image(&[], &image, &["/bin/sh", "-c", "pwd -P"])?;
    outcome.ends_with(0)?.prints("/new/chain/sub\n")?;
    Ok(())
}

fn volumes_are_made(engine: &Engine) -> Verdict {
    let volumes =
        json!({ "/data/deep": {}, "/chain": {}, "/relative/sub": {}, "plain": {}, "/bin": {} });
    let image = engine.ready(linked("volumes", json!({ "Volumes": volumes, "User": "ada" }))?)?;
    let script =
        "cd /; stat -c '%n %F %u:%a' data/deep new/chain new/relative/sub plain; ls bin/sh";
    let outcome = engine.run_image(&[], &image, &["/bin/sh", "-c", script])?;
    let expected: String = ["data/deep", "new/chain", "new/relative/sub", "plain"]
        .iter()
        .map(|path| format!("{path} directory 0:755\n"))
        .collect();
    outcome.ends_with(0)?.prints(&format!("{expected}bin/sh\n"))?;
    Ok(())
}

fn workdir_option(engine: &Engine) -> Verdict {
    let outcome = engine.run_image(
        &["--entrypoint", "sh", "-w", "/new/one"],
        &whole(engine)?,
        &["-c", "pwd; stat -c %u:%a ."],
    )?;
    outcome.ends_with(0)?.prints("/new/one\n0:755\n")?;
    engine.sh_in_bare(&["--workdir", "/tmp/../etc"], "pwd")?.ends_with(0)?.prints("/etc\n")?;
    Ok(())
}

fn relative_workdir(engine: &Engine) -> Verdict {
    for directory in ["etc", "../../etc", "./"] {
        let outcome = engine.sh_in_bare(&["-w", directory], "echo started")?;
        let words = [directory, "not absolute"];
        outcome.ends_with(125)?.prints("")?.complains_of(&words)?;
    }
    Ok(())
}

fn workdir_through_open_file(engine: &Engine) -> Verdict {
    engine.pulled(&bare(engine)?)?;
    // Those that the caller has open, and those that the engine may use itself.
    for number in 3..=12 {
        let directory = format!("/proc/self/fd/{number}");
        let script = "cat fixture/where; echo started";
        let command = engine.image(&["-w", &directory], &bare(engine)?, &["/bin/sh", "-c", script]);
        let outcome = Outcome::of(with_host_open(command, &[9, 10, 11, 12])?, b"")?;
        require(
            !outcome.stdout.contains(&outside()),
            &outcome.tried,
            "no file of the host's",
            &outcome.stdout,
        )?;
        outcome.ends_with(125)?.prints("")?.complains_of(&[&directory])?;
    }
    let config = json!({ "WorkingDir": "/proc/self/fd/9/fixture" });
    let image = samples::offer("way-out", config, None)?;
    engine.pulled(&image)?;
    let command = engine.image(&[], &image, &["/bin/cat", "where"]);
    let outcome = Outcome::of(with_host_open(command, &[9])?, b"")?;
    equal(&outcome.tried, "standard output", "", outcome.stdout.as_str())?;
    outcome.ends_with(125)?.complains_of(&["/proc/self/fd/9/fixture"])
}

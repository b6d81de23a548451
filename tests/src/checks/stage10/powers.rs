//! Capabilities, and who can get more of them.

use super::*;

promises! { stage 10:
    usual_capabilities "root has podman's eleven, no program gives it more, and none is handed on"
    users_have_none "a user has none, whatever the image's config or -u calls it"
    set_user_id_programs "a set-user-ID program of the image makes a user root, with the eleven and no more"
    file_capabilities "a file's own capabilities count if they are among the eleven; if not, it can't be executed"
    added_and_dropped "--cap-add and --cap-drop: with CAP_ or without, in any case, several, and ALL"
    asked_for_a_user "what --cap-add names a user has, too, and what it starts"
    no_new_privileges "--security-opt no-new-privileges: no file gives a user anything"
    wrong_capabilities by one "an unknown capability, or one that is added and dropped: 125, and its name"
    wrong_security_options by one "an unknown --security-opt: 125, and what there is"
    no_privileged by one "--privileged is refused, and the line says what to use instead"
    powers_are_gone "root can't mount, make devices or change the hostname; with --cap-add it can what is the container's"
}

fn usual_capabilities(engine: &Engine) -> Verdict {
    has(engine, &[], "/bin/probe", Power::of_root(USUAL))?;
    has(engine, &["-u", "0:100"], "/bin/probe", Power::of_root(USUAL))
}

fn users_have_none(engine: &Engine) -> Verdict {
    for user in ["1000", "ada", "4711:12"] {
        has(engine, &["-u", user], "/bin/probe", Power::none(USUAL))?;
    }
    let config = serde_json::json!({ "User": "ada" });
    let image = engine.ready(samples::offer_once("power-of-ada", || (config, None))?)?;
    let outcome = Outcome::of(engine.image(&[], &image, &["/bin/probe", "power"]), b"")?;
    let none = "0".repeat(16);
    let expected = format!(
        "CapInh {none}\nCapPrm {none}\nCapEff {none}\nCapBnd {USUAL:016x}\nCapAmb {none}\nNoNewPrivs 0\n"
    );
    outcome.ends_with(0)?.prints(&expected)?;
    Ok(())
}

fn set_user_id_programs(engine: &Engine) -> Verdict {
    has(engine, &["-u", "1000"], "/bin/setuid", Power::of_root(USUAL))?;
    has(engine, &["-u", "1000", "--cap-drop", "ALL"], "/bin/setuid", Power::of_root(0))
}

fn file_capabilities(engine: &Engine) -> Verdict {
    let with_chown = Power { effective: CHOWN, permitted: CHOWN, ..Power::none(USUAL) };
    has(engine, &["-u", "1000"], "/bin/chown-cap", with_chown)?;
    // One whose capabilities are not in effect from the start is not refused.
    let quiet = Power { permitted: CHOWN, ..Power::none(USUAL) };
    has(engine, &["-u", "1000"], "/bin/quiet-cap", quiet)?;
    let outcome = ask(engine, &["-u", "1000"], "/bin/raw-cap")?;
    outcome.ends_with(126)?.prints("")?.complains_of(&["/bin/raw-cap", "not permitted"])?;
    let all = USUAL | NET_RAW;
    let with_raw =
        Power { effective: NET_RAW, permitted: NET_RAW, inheritable: NET_RAW, ..Power::none(all) };
    has(engine, &["-u", "1000", "--cap-add", "NET_RAW"], "/bin/raw-cap", with_raw)
}

fn added_and_dropped(engine: &Engine) -> Verdict {
    let last: u32 =
        std::fs::read_to_string("/proc/sys/kernel/cap_last_cap")?.trim().parse().unwrap_or(0);
    let all = (1u64 << (last + 1)) - 1;
    for (options, expected) in [
        (&["--cap-add", "NET_RAW"][..], USUAL | NET_RAW),
        (&["--cap-add", "cap_net_raw", "--cap-add", "Sys_Admin"], USUAL | NET_RAW | SYS_ADMIN),
        (&["--cap-add=CAP_NET_RAW,SYS_ADMIN"], USUAL | NET_RAW | SYS_ADMIN),
        (&["--cap-drop", "chown"], USUAL & !CHOWN),
        (&["--cap-drop", "NET_RAW"], USUAL),
        (&["--cap-drop", "ALL"], 0),
        (&["--cap-drop", "all", "--cap-add", "CHOWN"], CHOWN),
        (&["--cap-add", "ALL"], all),
        (&["--cap-add", "ALL", "--cap-drop", "SYS_ADMIN"], all & !SYS_ADMIN),
    ] {
        has(engine, options, "/bin/probe", Power::of_root(expected))?;
    }
    Ok(())
}

fn asked_for_a_user(engine: &Engine) -> Verdict {
    let handed_on = |set: u64, bounding: u64| Power {
        effective: set,
        permitted: set,
        inheritable: set,
        ambient: set,
        ..Power::none(bounding)
    };
    let options = ["-u", "1000", "--cap-add", "NET_RAW"];
    has(engine, &options, "/bin/probe", handed_on(NET_RAW, USUAL | NET_RAW))?;
    // One of the eleven, too, if it is named.
    has(engine, &["-u", "1000", "--cap-add", "CHOWN"], "/bin/probe", handed_on(CHOWN, USUAL))?;
    // What the command starts has it as well.
    let command = ["/bin/sh", "-c", "/bin/probe power | grep Eff"];
    let outcome = Outcome::of(engine.image(&options, &image(engine)?, &command), b"")?;
    outcome.ends_with(0)?.prints(&format!("CapEff {NET_RAW:016x}\n"))?;
    Ok(())
}

fn no_new_privileges(engine: &Engine) -> Verdict {
    let none = || Power { no_new_privileges: true, ..Power::none(USUAL) };
    for word in ["no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"] {
        has(engine, &["--security-opt", word, "-u", "1000"], "/bin/setuid", none())?;
    }
    let options = ["-u", "1000", "--security-opt=no-new-privileges"];
    has(engine, &options, "/bin/chown-cap", none())?;
    // Root keeps what it has.
    let root = Power { no_new_privileges: true, ..Power::of_root(USUAL) };
    has(engine, &["--security-opt", "no-new-privileges"], "/bin/probe", root)?;
    let options = ["--security-opt", "no-new-privileges:false", "-u", "1000"];
    has(engine, &options, "/bin/setuid", Power::of_root(USUAL))
}

/// What is wrong on the command line is said before anything begins.
fn is_refused(engine: &Engine, options: &[&str], words: &[&str]) -> Verdict {
    let outcome = ask(engine, options, "/bin/probe")?;
    outcome.ends_with(125)?.prints("")?.complains_of(words)
}

fn wrong_capabilities(engine: &Engine) -> Verdict {
    for name in ["NET_ROW", "CAP_", "13", "CAP_CAP_CHOWN", "NET RAW"] {
        for option in ["--cap-add", "--cap-drop"] {
            is_refused(
                engine,
                &[option, name],
                &[option, &format!("{name:?}"), "capabilities(7)"],
            )?;
        }
    }
    let both = ["--cap-add", "NET_RAW,KILL", "--cap-drop", "cap_kill"];
    is_refused(engine, &both, &["CAP_KILL", "added and dropped"])?;
    is_refused(engine, &["--cap-add", "ALL", "--cap-drop", "ALL"], &["contradict"])
}

fn wrong_security_options(engine: &Engine) -> Verdict {
    for (word, reason) in [
        ("no-new-privs", "no-new-privileges"),
        ("label=disable", "no-new-privileges"),
        ("no-new-privileges:perhaps", "true or false"),
    ] {
        is_refused(engine, &["--security-opt", word], &["--security-opt", word, reason])?;
    }
    Ok(())
}

fn no_privileged(engine: &Engine) -> Verdict {
    is_refused(engine, &["--privileged"], &["--privileged", "--cap-add"])
}

fn powers_are_gone(engine: &Engine) -> Verdict {
    let script = "mount -t tmpfs none /tmp 2>/dev/null && echo mounted
                  mknod /tmp/device c 1 3 2>/dev/null && echo made
                  hostname other 2>/dev/null && echo named; echo end";
    engine.sh(script)?.ends_with(0)?.prints("end\n")?;
    let options = ["--cap-add", "SYS_ADMIN,MKNOD", "/bin/sh", "-c", script];
    engine.run(options)?.ends_with(0)?.prints("mounted\nnamed\nend\n")?;
    Ok(())
}

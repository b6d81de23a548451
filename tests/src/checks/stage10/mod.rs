//! Stage 10: less power.

use super::engine::{Caller, Engine, Outcome};
use super::failure::{Failure, Verdict, equal, require};
use super::images::{Archive, Item};
use super::{Check, samples};

mod beside;
mod masked;
mod powers;

/// The checks, by what they are about.
pub const CHECKS: [&[Check]; 3] = [powers::CHECKS, masked::CHECKS, beside::CHECKS];

/// Podman's default: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, SYS_CHROOT
/// and SETFCAP.
const USUAL: u64 = 0x8004_05fb;

const CHOWN: u64 = 1;
const NET_RAW: u64 = 1 << 13;
const SYS_ADMIN: u64 = 1 << 21;

/// An image with the program that says what power it has: plain, set-user-ID root, and with capabilities of the file's
/// own (CHOWN, NET_RAW, and CHOWN that is not in effect).
fn image(engine: &Engine) -> Result<String, Failure> {
    let image = samples::offer_once("power", || {
        let program = std::fs::read("/slipway/bin/probe").unwrap_or_default();
        let item = |mode, pax| Item { mode, content: &program, pax, ..Item::default() };
        // linux/capability.h, vfs_cap_data: VFS_CAP_REVISION_2 and perhaps "effective", then permitted and inheritable.
        let capabilities = |permitted: u32, effective: u8| {
            let mut data = vec![effective, 0, 0, 2];
            data.extend(permitted.to_le_bytes());
            data.extend([0; 12]);
            data
        };
        let layers = [("chown", CHOWN as u32), ("raw", NET_RAW as u32)];
        let [chown, raw] = layers.map(|(_, permitted)| capabilities(permitted, 1));
        let quiet = capabilities(CHOWN as u32 | NET_RAW as u32, 0);
        let layer = Archive::begin()
            .add("bin/setuid", item(0o4755, &[]))
            .add("bin/chown-cap", item(0o755, &[("SCHILY.xattr.security.capability", &chown)]))
            .add("bin/raw-cap", item(0o755, &[("SCHILY.xattr.security.capability", &raw)]))
            .add("bin/quiet-cap", item(0o755, &[("SCHILY.xattr.security.capability", &quiet)]));
        (serde_json::Value::Null, Some(layer))
    })?;
    engine.ready(image)
}

/// What a process has: its sets, and whether programs give it more.
#[derive(Debug, PartialEq)]
struct Power {
    effective: u64,
    permitted: u64,
    inheritable: u64,
    bounding: u64,
    ambient: u64,
    no_new_privileges: bool,
}

impl Power {
    /// Root's, with these in effect and no way to more.
    fn of_root(set: u64) -> Power {
        Power { effective: set, permitted: set, ..Power::none(set) }
    }

    /// None, and what a program could give.
    fn none(bounding: u64) -> Power {
        let (effective, permitted, inheritable, ambient) = (0, 0, 0, 0);
        let no_new_privileges = false;
        Power { effective, permitted, inheritable, bounding, ambient, no_new_privileges }
    }
}

/// Asks a program of the image what power it has.
fn power(engine: &Engine, options: &[&str], program: &str) -> Result<Power, Failure> {
    let outcome = ask(engine, options, program)?;
    let text = &outcome.ends_with(0)?.stdout;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .ok_or_else(|| outcome.failure(format!("a number after {name}")))
    };
    Ok(Power {
        effective: value("CapEff")?,
        permitted: value("CapPrm")?,
        inheritable: value("CapInh")?,
        bounding: value("CapBnd")?,
        ambient: value("CapAmb")?,
        no_new_privileges: value("NoNewPrivs")? == 1,
    })
}

fn ask(engine: &Engine, options: &[&str], program: &str) -> Result<Outcome, Failure> {
    Outcome::of(engine.image(options, &image(engine)?, &[program, "power"]), b"")
}

/// Requires that a program of the image has this power.
fn has(engine: &Engine, options: &[&str], program: &str, expected: Power) -> Verdict {
    let tried = format!("{} {program}", options.join(" "));
    let seen = power(engine, options, program)?;
    require(seen == expected, &tried, format!("{expected:x?}"), format!("{seen:x?}"))
}

//! The same image, unpacked by umoci and run by runc: what the command sees must be the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::tool;
use crate::checks::engine::{Engine, Outcome};
use crate::checks::failure::{Failure, Verdict, equal};
use crate::checks::images::Archive;
use crate::checks::images::home::PLACE;
use crate::checks::samples;

promises! { stage 8:
    like_runc_with_cmd for Root "an image with a Cmd runs as umoci and runc run it"
    like_runc_with_all for Root "and so does one with an entrypoint, a user, a directory, variables"
}

/// Says what the command sees: the environment, then the rest.
const LOOK: &str = "probe env; echo; pwd; id -u; id -g; id -G; umask; echo \"$0\" \"$@\"; exit 17";

/// What differs, and may: Docker, too, has HOSTNAME always; umoci's config has a terminal, so TERM.
const MAY_DIFFER: [&str; 2] = ["HOSTNAME=", "TERM="];

/// Runs an image with runc, as umoci unpacks it.
fn with_runc(config: &Value, layer: Option<Archive>) -> Result<Outcome, Failure> {
    let place = Path::new(PLACE).join("compared");
    let (layout, bundle) = (place.join("layout"), place.join("bundle"));
    samples::sample(config.clone(), layer)?.write(&layout)?;
    let mut umoci = Command::new("/usr/bin/umoci");
    umoci.args(["unpack", "--image"]).arg(format!("{}:image", layout.display())).arg(&bundle);
    Outcome::of(umoci, b"")?.ends_with(0)?;
    let file = bundle.join("config.json");
    let mut spec: Value = serde_json::from_slice(&fs::read(&file)?)
        .map_err(|error| Failure::new("umoci unpack", "a config.json", error))?;
    spec["process"]["terminal"] = json!(false);
    fs::write(&file, spec.to_string())?;
    let mut runc = Command::new("/usr/sbin/runc");
    runc.arg("--root").arg(place.join("runc"));
    runc.args(["run", "--bundle"]).arg(&bundle).arg("compared");
    let outcome = Outcome::of(runc, b"");
    fs::remove_dir_all(place)?;
    outcome
}

/// The environment, and the rest.
fn parts(outcome: &Outcome) -> (BTreeSet<&str>, &str) {
    let (environment, rest) = outcome.stdout.split_once("\n\n").unwrap_or_default();
    let may_differ = |line: &&str| MAY_DIFFER.iter().any(|name| line.starts_with(name));
    (environment.lines().filter(|line| !may_differ(line)).collect(), rest)
}

fn compare(engine: &Engine, tag: &str, config: &Value, layer: fn() -> Option<Archive>) -> Verdict {
    let image = samples::offer(tag, config.clone(), layer())?;
    let own = engine.run_image(&[], &image, &[])?;
    own.ends_with(17)?;
    let runc = with_runc(config, layer())?;
    runc.ends_with(17)?;
    let ((environment, rest), (expected_environment, expected)) = (parts(&own), parts(&runc));
    equal(&own.tried, "the environment, as with runc", expected_environment, environment)?;
    equal(&own.tried, "directory, ids, umask and arguments, as with runc", expected, rest)
}

fn like_runc_with_cmd(engine: &Engine) -> Verdict {
    compare(engine, "compared-cmd", &json!({ "Cmd": ["/bin/sh", "-c", LOOK] }), || None)
}

fn like_runc_with_all(engine: &Engine) -> Verdict {
    let config = json!({
        "Entrypoint": ["/bin/sh", "-c", LOOK],
        "Cmd": ["zero", "one two"],
        "Env": ["PATH=/opt/bin:/bin", "GREETING=hello world", "EMPTY="],
        "User": "ada",
        "WorkingDir": "/srv/made/for it",
    });
    compare(engine, "compared-all", &config, || Some(tool()))
}

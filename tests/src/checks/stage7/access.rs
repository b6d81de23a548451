//! How to reach a registry, and how not to.

use std::fs;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::super::engine::{Engine, Outcome};
use super::super::failure::{Failure, Verdict, equal, require};
use super::super::images::registry::{PASSWORD, USER, push};
use super::super::images::tokens::{PUBLIC, SECRET, SERVICE};
use super::super::images::{Home, Registry, Shelf};
use super::pulling::small;

promises! { stage 7:
    login_from_file by one "the login that `docker login` has left in ~/.docker/config.json"
    login_from_helper by one "the login that a credential helper knows"
    login_from_stdin by one "--username and --password-stdin, before all others"
    wrong_login by one "a wrong password: status 125, and one line without it"
    token_for_all by one "a token is asked for as the registry says: realm, service, scope"
    token_for_some by one "with the login, where the token server wants one; without: refused"
    unknown_authority by one "a certificate of an unknown authority: refused, and the cure"
    plain_http by one "plain HTTP is for this machine, and for --plain-http; none elsewhere leads to it"
    led_elsewhere by one "led to another server, it keeps its login to itself"
    busy_registry by one "a registry that is busy is asked again, no sooner than it says"
    broken_connections by one "after a broken connection only what is missing is asked for"
}

/// The name of an image in the registry that wants a password.
fn guarded() -> Result<String, Failure> {
    push(&small("guarded"), "guarded", &[])?;
    Ok(format!("{}/guarded", Registry::guarded()?))
}

/// A config.json with a login for a registry.
fn with_auth(home: &Home, registry: &str, password: &str) -> Verdict {
    let auth = BASE64_STANDARD.encode(format!("{USER}:{password}"));
    let config = json!({ "auths": { registry: { "auth": auth } } });
    home.make_file(".docker/config.json", 0o600, &config.to_string())?;
    Ok(())
}

/// Requires that an image arrives and has this text.
fn arrives(home: &Home, command: Command, stdin: &[u8], text: &str) -> Verdict {
    let outcome = Outcome::of(command, stdin)?;
    let seen = fs::read_to_string(home.rootfs(&outcome)?.join("text"))?;
    equal(&outcome.tried, "what the image says", text, seen.as_str())?;
    let _ = fs::remove_dir_all(home.store());
    Ok(())
}

fn login_from_file(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let name = guarded()?;
    home.refuses(&[&name], &["wants a login", "docker login", "--password-stdin"])?;
    with_auth(&home, Registry::guarded()?, PASSWORD)?;
    arrives(&home, home.pull(&[&name]), b"", "guarded")?;
    // As a person or another program may write it.
    let entry = json!({ "username": USER, "password": PASSWORD, "auth": null });
    let config = json!({ "credHelpers": null, "auths": { Registry::guarded()?: entry } });
    home.make_file(".docker/config.json", 0o600, &config.to_string())?;
    arrives(&home, home.pull(&[&name]), b"", "guarded")
}

fn login_from_helper(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let name = guarded()?;
    let programs = home.make_directory("bin")?;
    let registry = Registry::guarded()?;
    let answer = json!({ "ServerURL": registry, "Username": USER, "Secret": PASSWORD });
    let helper =
        format!("#!/bin/sh\nread server; [ \"$server\" = {registry} ] && echo '{answer}'\n");
    home.make_file("bin/docker-credential-checks", 0o755, &helper)?;
    let config = json!({ "credHelpers": { registry: "checks" } });
    home.make_file(".docker/config.json", 0o600, &config.to_string())?;
    let asking = || {
        let mut command = home.pull(&[&name]);
        command.env("PATH", format!("{}:/usr/bin:/bin", programs.display()));
        command
    };
    arrives(&home, asking(), b"", "guarded")?;
    // One that fails does not hide what stands in the file.
    home.make_file("bin/docker-credential-checks", 0o755, "#!/bin/sh\nexit 1\n")?;
    let auth = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let config = json!({ "credsStore": "checks", "auths": { registry: { "auth": auth } } });
    home.make_file(".docker/config.json", 0o600, &config.to_string())?;
    arrives(&home, asking(), b"", "guarded")
}

fn login_from_stdin(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let name = guarded()?;
    // What is given counts, and not what was kept.
    with_auth(&home, Registry::guarded()?, "old")?;
    let args = ["--username", USER, "--password-stdin", &name];
    arrives(&home, home.pull(&args), format!("{PASSWORD}\n").as_bytes(), "guarded")
}

fn wrong_login(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let name = guarded()?;
    let wrong = "battery staple";
    let words = ["refuses the user name or password", USER];
    let args = ["--username", USER, "--password-stdin", &name];
    home.is_refused(home.pull(&args), wrong.as_bytes(), &words)?;
    with_auth(&home, Registry::guarded()?, wrong)?;
    let outcome = Outcome::of(home.pull(&[&name]), b"")?;
    outcome.ends_with(125)?.complains_of(&words)?;
    let shown =
        outcome.stderr.contains(wrong) || outcome.stderr.contains(&BASE64_STANDARD.encode(wrong));
    if shown { Err(outcome.failure("a complaint without the password")) } else { Ok(()) }
}

/// `pull` with the authority of the registry with TLS among those to trust.
fn trusting(home: &Home, registry: &Registry, args: &[&str]) -> Command {
    let mut command = home.pull(args);
    command.env("SSL_CERT_FILE", &registry.authority);
    command
}

fn token_for_all(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    push(&small("public"), PUBLIC, &[])?;
    let registry = Registry::tls()?;
    let asked = registry.tokens.log().len();
    let name = format!("{}/{PUBLIC}", registry.tls);
    arrives(&home, trusting(&home, registry, &[&name]), b"", "public")?;
    let log = &registry.tokens.log()[asked..];
    let service = SERVICE.split(' ').next().unwrap_or_default();
    let named = log.iter().any(|request| request.contains(&format!("service={service}")));
    require(
        named,
        &format!("pull {name}"),
        "the service's name for the token server",
        log.join("; "),
    )
}

fn token_for_some(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    push(&small("secret"), SECRET, &[])?;
    let registry = Registry::tls()?;
    let name = format!("{}/{SECRET}", registry.tls);
    home.is_refused(trusting(&home, registry, &[&name]), b"", &[&name, "docker login"])?;
    with_auth(&home, &registry.tls, PASSWORD)?;
    arrives(&home, trusting(&home, registry, &[&name]), b"", "secret")
}

fn unknown_authority(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let name = format!("{}/{PUBLIC}", Registry::tls()?.tls);
    home.refuses(&[&name], &[&name, "certificate", "SSL_CERT_FILE"])
}

/// Another address of this machine, which is not loopback's, while `check` runs.
fn with_address(check: impl FnOnce(&str) -> Verdict) -> Verdict {
    let address = "192.0.2.1";
    let ip = |action: &str| {
        let mut ip = Command::new("/usr/bin/ip");
        ip.args(["address", action, &format!("{address}/32"), "dev", "lo"]);
        Outcome::of(ip, b"")?.ends_with(0).map(drop)
    };
    ip("add")?;
    let verdict = check(address);
    ip("delete")?;
    verdict
}

fn plain_http(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    with_address(|address| {
        let shelf = Shelf::at(address)?;
        shelf.offer("latest", &small("plain"));
        home.refuses(&[&shelf.name()], &[&shelf.address(), "--plain-http"])?;
        let spoken = shelf.contents().log.join("; ");
        require(spoken.is_empty(), "pull", "no request over HTTP", spoken)?;
        arrives(&home, home.pull(&["--plain-http", &shelf.name()]), b"", "plain")?;
        // What listens on this machine's own addresses is no token server of another's.
        let inside = Shelf::at("127.0.0.1")?;
        let realm = format!("Bearer realm=\"http://{}/token\"", inside.address());
        shelf.contents().challenge = Some(realm);
        home.refuses(&["--plain-http", &shelf.name()], &[&inside.address(), "this machine"])?;
        let spoken = inside.contents().log.join("; ");
        require(spoken.is_empty(), "pull", "no request to this machine", spoken)
    })
}

fn led_elsewhere(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let (door, stock) = (Shelf::with(&small("led"))?, Shelf::with(&small("led"))?);
    door.contents().challenge = Some("Basic realm=\"checks\"".into());
    door.contents().blobs_at = Some(stock.address());
    with_auth(&home, &door.address(), PASSWORD)?;
    arrives(&home, home.pull(&[&door.name()]), b"", "led")?;
    let told = |shelf: &Shelf| shelf.contents().log.join("; ");
    let (door, stock) = (told(&door), told(&stock));
    require(door.contains(" with Basic "), "pull", "the login for the registry", door)?;
    let fetched = stock.contains("GET blobs/") && !stock.contains(" with ");
    require(fetched, "pull", "blobs from the other server, and no login there", stock)
}

fn busy_registry(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let shelf = Shelf::with(&small("busy"))?;
    shelf.contents().answers = vec![
        "429 Too Many Requests\r\nRetry-After: 2",
        "503 Service Unavailable\r\nRetry-After: 0",
    ];
    arrives(&home, home.pull(&[&shelf.name()]), b"", "busy")?;
    let times = shelf.contents().times.clone();
    let waited = times[1] - times[0];
    let seen = format!("{:.1} s", waited.as_secs_f64());
    require(waited.as_secs_f64() >= 2.0, "pull", "two seconds until it asks again", seen)
}

fn broken_connections(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let text = "x".repeat(100_000);
    let image = small(&text);
    let shelf = Shelf::at("127.0.0.1")?;
    shelf.offer("latest", &image);
    let size = image.blobs[0].1.len();
    // The config arrives whole.
    shelf.contents().break_at = vec![usize::MAX, 40_000, 30_000];
    arrives(&home, home.pull(&[&shelf.name()]), b"", &text)?;
    let name = image.layer(0);
    for start in [format!("GET blobs/{name} from 40000"), format!("GET blobs/{name} from 70000")] {
        let asked = shelf.asked(&start);
        let seen = shelf.contents().log.join("; ");
        require(asked == 1, "pull", format!("{start} of {size} bytes"), seen)?;
    }
    Ok(())
}

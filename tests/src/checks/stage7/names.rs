//! Names of images: wrong ones, and right ones for what is not there.

use std::net::TcpListener;

use super::super::engine::{Engine, Outcome};
use super::super::failure::Verdict;
use super::super::images::{Home, Registry};
use super::pulling::busybox;

promises! { stage 7:
    wrong_names by one "a name that is none: status 125, and one line that points at the character"
    no_such_image by one "no such image: status 125, and the registry's answer"
    no_such_tag by one "no such tag: the same"
    nobody_there by one "where no registry answers: status 125, who was asked, and why"
}

fn wrong_names(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    for (name, character) in [
        ("Alpine", 1),
        ("127.0.0.1:5055/Busybox", 16),
        ("alpine:", 8),
        ("alpine:3 ", 9),
        ("alpine:-3", 8),
        ("a//b", 3),
        ("localhost:99999/x", 11),
        ("https://localhost/x", 1),
        ("alpine@sha256:12", 8),
        ("alp\u{ed}ne", 4),
    ] {
        let at = format!("character {character} ");
        let outcome = Outcome::of(home.pull(&[name]), b"")?;
        outcome.ends_with(125)?.prints("")?.complains_of(&[name, &at])?;
    }
    Ok(())
}

fn no_such_image(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let name = format!("{}/nothing", Registry::open()?);
    home.refuses(&[&name], &[&name, "no such image", "404"])
}

fn no_such_tag(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let name = format!("{}:nothing", busybox()?);
    home.refuses(&[&name], &[&name, "no such image", "404"])
}

fn nobody_there(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let name = format!("{address}/test");
    home.refuses(&[&name], &[&name, "Connection refused"])
}

//! `rmi` and `prune`: what nothing needs goes, and nothing else.

use nix::sys::signal::Signal;

use super::*;
use crate::checks::machine::Machine;
use crate::checks::running::Running;

promises! { stage 9:
    layers_go_with_their_last_image "rmi removes the layers that no other image has, and the others stay"
    several_names_untag "of several names one goes, and the image stays"
    removed_by_id "an image goes by its id, the beginning of one, or its digest"
    wrong_images_are_refused by one "an unknown image, and a beginning that fits two: 125, one line, nothing is gone"
    others_go_nevertheless by one "after an error the other images go, and the status is 125"
    used_images_stay "an image that a container uses stays, and the line names the container"
    forced_away "-f takes the name away at once, and the layers go when the container has ended"
    killed_engines_image "a container whose engine was killed does not keep its image"
    all_images by one "rmi -a removes all of them: then the store holds nothing but mount points"
    killed_half_way "an rmi that is killed half-way: the next one finishes, and every image is whole or gone"
    removed_while_pulling "an image that is pulled while others are removed is whole"
}

fn layers_go_with_their_last_image(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    let name = |tag: &str| format!("{}:{tag}", shelf.name());
    for tag in ["one", "two"] {
        home.pulls(&name(tag))?;
    }
    let two = on_base(Archive::begin().file("own", "the second\n"))?;
    let outcome = home.does(&["rmi", &name("one")])?;
    let untagged = format!("Untagged: {}", name("one"));
    let is_said = outcome.ends_with(0)?.stdout.lines().any(|line| line == untagged);
    require(is_said, &outcome.tried, &untagged, &outcome.stdout)?;
    home.has_layers_of(&[&two])?;
    home.sh(&name("two"), "cat /own")?.ends_with(0)?.prints("the second\n")?;
    home.does(&["run", "--pull", "never", &name("one")])?.ends_with(125)?.complains_of(&["no"])?;
    home.does(&["rmi", &name("two")])?.ends_with(0)?;
    home.has_layers_of(&[])?;
    equal("what is in the store", "the blobs", Vec::new(), home.blobs()?)
}

fn several_names_untag(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    let image = on_base(Archive::begin().file("own", "the first\n"))?;
    shelf.offer("again", &image);
    let name = |tag: &str| format!("{}:{tag}", shelf.name());
    for tag in ["one", "again"] {
        home.pulls(&name(tag))?;
    }
    let outcome = home.does(&["rmi", &name("one")])?;
    outcome.ends_with(0)?.prints(&format!("Untagged: {}\n", name("one")))?;
    home.has_layers_of(&[&image])?;
    home.sh(&name("again"), "cat /own")?.ends_with(0)?;
    Ok(())
}

fn removed_by_id(engine: &Engine) -> Verdict {
    let image = on_base(Archive::begin().file("own", "the first\n"))?;
    let id = image.manifest["config"]["digest"].as_str().unwrap_or_default().to_string();
    for way in [&id, &id[7..19], &id[7..11], &image.digest()] {
        let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
        home.pulls(&format!("{}:one", shelf.name()))?;
        home.does(&["rmi", way])?.ends_with(0)?;
        home.has_layers_of(&[])?;
    }
    Ok(())
}

fn wrong_images_are_refused(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    let mut images = Vec::new();
    // With seventeen, two begin with the same digit.
    for number in 0..17 {
        let image = on_base(Archive::begin().file("own", &number.to_string()))?;
        shelf.offer(&format!("number-{number}"), &image);
        home.pulls(&format!("{}:number-{number}", shelf.name()))?;
        images.push(image);
    }
    let digit = |image: &Image| {
        image.manifest["config"]["digest"].as_str().unwrap_or_default()[7..8].to_string()
    };
    let mut digits: Vec<String> = images.iter().map(digit).collect();
    digits.sort();
    let twice = digits.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone());
    for (argument, words) in [
        ("no-such-image", "there is no image no-such-image here"),
        ("sha256:0000000000", "there is no image sha256:0000000000 here"),
        // Of a manifest's digest no beginning counts: `images` does not show it.
        (&images[0].digest()[..40], "there is no image sha256:"),
        ("Not A Name", "there is no image Not A Name here"),
        (&twice.unwrap_or_default(), "give more digits"),
    ] {
        home.does(&["rmi", argument])?.ends_with(125)?.prints("")?.complains_of(&[words])?;
    }
    home.does(&["rmi"])?.ends_with(125)?.complains_of(&["IMAGE"])?;
    home.has_layers_of(&images.iter().collect::<Vec<_>>())
}

fn others_go_nevertheless(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    let name = |tag: &str| format!("{}:{tag}", shelf.name());
    for tag in ["one", "two"] {
        home.pulls(&name(tag))?;
    }
    let outcome = home.does(&["rmi", &name("one"), "no-such-image", &name("two")])?;
    outcome.ends_with(125)?.complains_of(&["no-such-image"])?;
    home.has_layers_of(&[])
}

/// Starts a container that lives until its input ends.
fn living(home: &Home, image: &str) -> Result<Running, Failure> {
    let script = "echo begin; read _; cat /own";
    let running = Running::start(home.image(image, &["/bin/sh", "-c", script]))?;
    running.says("begin")?;
    Ok(running)
}

fn used_images_stay(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    let name = format!("{}:one", shelf.name());
    home.pulls(&name)?;
    let image = on_base(Archive::begin().file("own", "the first\n"))?;
    let mut running = living(&home, &name)?;
    let container = home.entries("containers")?.first().cloned().unwrap_or_default();
    for argument in [&name, &image.digest()] {
        let outcome = home.does(&["rmi", argument])?;
        outcome.ends_with(125)?.prints("")?.complains_of(&["the container", &container])?;
    }
    home.does(&["rmi", "-a"])?.ends_with(125)?.complains_of(&[&container])?;
    home.does(&["prune"])?.ends_with(0)?.prints("")?;
    home.has_layers_of(&[&image])?;
    running.close_stdin();
    running.says("the first")?;
    running.ends_with(0)?;
    home.does(&["rmi", &name])?.ends_with(0)?;
    home.has_layers_of(&[])
}

fn forced_away(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    let name = format!("{}:one", shelf.name());
    home.pulls(&name)?;
    let image = on_base(Archive::begin().file("own", "the first\n"))?;
    let mut running = living(&home, &name)?;
    home.does(&["rmi", "-f", &name])?.ends_with(0)?;
    home.does(&["images", "-q"])?.ends_with(0)?.prints("")?;
    home.has_layers_of(&[&image])?;
    running.close_stdin();
    running.says("the first")?;
    running.ends_with(0)?;
    home.does(&["prune"])?.ends_with(0)?;
    home.has_layers_of(&[])
}

fn killed_engines_image(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    let name = format!("{}:one", shelf.name());
    home.pulls(&name)?;
    let machine = Machine::now();
    let mut running = living(&home, &name)?;
    running.signal(Signal::SIGKILL)?;
    running.status()?;
    machine.is_unchanged()?;
    home.does(&["rmi", &name])?.ends_with(0)?;
    home.has_layers_of(&[])?;
    equal("what is in the store", "containers", Vec::new(), home.entries("containers")?)
}

fn all_images(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    for tag in ["one", "two"] {
        home.pulls(&format!("{}:{tag}", shelf.name()))?;
    }
    home.does(&["rmi", "-a"])?.ends_with(0)?;
    home.has_layers_of(&[])?;
    equal("what is in the store", "the blobs", Vec::new(), home.blobs()?)?;
    home.does(&["rmi", "-a"])?.ends_with(0)?.prints("")?;
    Ok(())
}

/// `rmi` under strace, which kills it at a call; if a path is given, at one that has it for an argument.
fn rmi_killed_at(
    home: &Home,
    engine: &Engine,
    (call, nth, path): (&str, u32, Option<&Path>),
    name: &str,
) -> Verdict {
    let mut options = killing(call, nth);
    if let Some(path) = path {
        options.push(format!("--trace-path={}", path.display()));
    }
    let mut strace = engine.strace(options);
    strace.arg(&engine.binary).args(["rmi", name]);
    let outcome = Outcome::of(home.at_home(strace), b"")?;
    let is_killed = outcome.status.and_then(|status| status.code()) != Some(0);
    require(is_killed, &outcome.tried, "an rmi that is killed", "it went through")
}

fn killed_half_way(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    let name = |tag: &str| format!("{}:{tag}", shelf.name());
    let one = on_base(Archive::begin().file("own", "the first\n"))?;
    let two = on_base(Archive::begin().file("own", "the second\n"))?;
    let own = chain_ids(&one).pop().unwrap_or_default().replace("sha256:", "");
    let own = home.store().join("layers").join(own);
    for at in [
        // The index; the layer on its way out; its files; the blobs.
        ("rename", 1, None),
        ("rename", 1, Some(&*own)),
        ("unlinkat", 1, None),
        ("unlinkat", 2, None),
        ("unlinkat", 3, None),
        ("unlink", 1, None),
        ("unlink", 2, None),
    ] {
        for tag in ["one", "two"] {
            home.pulls(&name(tag))?;
        }
        rmi_killed_at(&home, engine, at, &name("one"))?;
        // Half a layer must not be taken for a whole one.
        home.pulls(&name("one"))?;
        home.sh(&name("one"), "cat /own")?.ends_with(0)?.prints("the first\n")?;
        rmi_killed_at(&home, engine, at, &name("one"))?;
        home.sh(&name("two"), "cat /own")?.ends_with(0)?.prints("the second\n")?;
        // It is whole, or it is not here.
        let one = home.sh(&name("one"), "cat /own")?;
        if one.status.and_then(|status| status.code()) == Some(0) {
            home.does(&["rmi", &name("one")])?.ends_with(0)?;
        } else {
            one.ends_with(125)?.complains_of(&["there is no"])?;
            home.does(&["prune"])?.ends_with(0)?;
        }
        home.has_layers_of(&[&two])?;
    }
    Ok(())
}

fn removed_while_pulling(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    let name = |tag: &str| format!("{}:{tag}", shelf.name());
    let two = on_base(Archive::begin().file("own", "the second\n"))?;
    for _ in 0..5 {
        home.pulls(&name("one"))?;
        let pull = home.pull(&[&name("two")]).stdout(std::process::Stdio::null()).spawn();
        // It may have to leave the rest to the pull, and says so then.
        home.does(&["rmi", &name("one")])?.ends_with(0)?;
        equal("pull", "its status", Some(0), pull?.wait()?.code())?;
        home.sh(&name("two"), "cat /own")?.ends_with(0)?.prints("the second\n")?;
        home.does(&["prune"])?.ends_with(0)?;
        home.has_layers_of(&[&two])?;
        home.does(&["rmi", &name("two")])?.ends_with(0)?;
    }
    Ok(())
}

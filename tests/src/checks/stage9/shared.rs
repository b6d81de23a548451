//! A layer is unpacked once, whatever images have it, and containers see it through an overlay.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use tar::EntryType;

use super::*;
use crate::checks::images::umoci::by_umoci;
use crate::checks::images::{Item, Tree};
use crate::checks::running::Running;
use crate::checks::stage7::fidelity;

promises! { stage 9:
    layer_is_unpacked_once "two images on one base: the base is unpacked once, and is the same files in both"
    second_image_costs_its_own "the second image takes as much of the disk as its own layer, and no more of the net"
    merged_is_umocis by one "odd layers, one over the other: what a container sees is what umoci unpacks"
    layers_127 "an image of 127 layers runs"
    root_of_a_lower_layer "the owner and the mode that a lower layer gives to / are those of /"
    other_names_of_a_layer "the same layer, compressed in another way: unpacked once all the same"
    false_layer_leaves_nothing "a layer that is not what the config says: refused, and nothing is left of the pull"
    unpacked_from_blobs "what an earlier step has pulled runs without a registry: its blobs are unpacked"
    own_files_cost_no_disk "hostname, hosts and resolv.conf are mounted: the container's own layer stays empty"
    own_files_are_the_containers "they are the container's, it may write to them, and the image's stay as they were"
    links_for_own_files "a link in their place leads nowhere: it is replaced in the container's layer"
    killed_pull "a pull that is killed, wherever: the next one makes all layers whole, and each once"
    pulls_at_once "ten pulls of two images at once: each layer once, and all of them run"
}

fn layer_is_unpacked_once(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    let names = ["one", "two"].map(|tag| format!("{}:{tag}", shelf.name()));
    for name in &names {
        home.pulls(name)?;
    }
    let images =
        ["the first\n", "the second\n"].map(|text| on_base(Archive::begin().file("own", text)));
    let [one, two] = images;
    home.has_layers_of(&[&one?, &two?])?;
    let script = "cat /own; stat -c %i /bin/busybox";
    let (one, two) = (home.sh(&names[0], script)?, home.sh(&names[1], script)?);
    let inode = one.ends_with(0)?.stdout.strip_prefix("the first\n").unwrap_or("none").to_string();
    two.ends_with(0)?.prints(&format!("the second\n{inode}"))?;
    // The store's own files are nobody else's to write, whatever modes the image's have.
    for layer in fs::read_dir(home.store().join("layers"))? {
        let mode = fs::metadata(layer?.path().join("size"))?.mode() & 0o777;
        equal("pull", "mode of the file `size`", "644", &format!("{mode:o}"))?;
    }
    Ok(())
}

fn second_image_costs_its_own(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    home.pulls(&format!("{}:one", shelf.name()))?;
    let before = disk_use(&home.store())?;
    let asked = shelf.asked("GET blobs/");
    home.pulls(&format!("{}:two", shelf.name()))?;
    let more = disk_use(&home.store())? - before;
    // Its blob, its files, its documents, and a directory for each.
    let seen = format!("{more} bytes more, where the base has {before}");
    require(more < 100_000 && before > 500_000, "du", "less than 100,000 bytes more", seen)?;
    let blobs = shelf.asked("GET blobs/") - asked;
    equal("what the registry was asked for", "blobs of the second image", 2, blobs)
}

fn merged_is_umocis(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let image = fidelity::odd();
    let shelf = Shelf::with(&image)?;
    let rootfs = home.pulled(&[&shelf.name()])?;
    // A file with names in two layers is two files: so it is with every overlay.
    let alone = |mut tree: Tree| {
        tree.forget_links();
        tree
    };
    let expected = alone(by_umoci(&image, "odd-layers")?);
    let expected =
        if engine.caller == super::super::Caller::Ada { expected.for_ada() } else { expected };
    let differences = expected.differences(&alone(Tree::of(&rootfs)?));
    require(differences.is_empty(), "pull", "the files that umoci has", differences)?;
    let expected = chain_ids(&image).len();
    equal("what is in the store", "the number of layers", expected, home.layers()?.len())
}

fn root_of_a_lower_layer(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let item =
        Item { kind: EntryType::Directory, mode: 0o711, owner: (1000, 12), ..Item::default() };
    let mut layers: Vec<Vec<u8>> =
        samples::sample(Value::Null, None)?.blobs.iter().map(|(_, bytes)| bytes.clone()).collect();
    layers.push(Archive::begin().add("./", item).end());
    layers.push(Archive::begin().file("own", "text").end());
    let shelf = Shelf::with(&Image::of(&layers))?;
    home.pulls(&shelf.name())?;
    home.sh(&shelf.name(), "stat -c '%a %u:%g' /")?.ends_with(0)?.prints("711 1000:12\n")?;
    equal("what is in the store", "the number of layers", layers.len(), home.layers()?.len())
}

fn layers_127(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let base = samples::sample(Value::Null, None)?;
    let mut layers: Vec<Vec<u8>> = base.blobs.iter().map(|(_, bytes)| bytes.clone()).collect();
    for number in layers.len()..127 {
        let layer = Archive::begin().file("count", &format!("{number}\n"));
        layers.push(layer.file(&format!("layer-{number}"), "x").end());
    }
    let image = Image::of(&layers);
    let shelf = Shelf::with(&image)?;
    home.pulls(&shelf.name())?;
    let outcome = home.sh(&shelf.name(), "cat /count; ls -d /layer-* | busybox wc -l")?;
    outcome.ends_with(0)?.prints("126\n126\n")?;
    equal("what is in the store", "the number of layers", 127, home.layers()?.len())
}

fn other_names_of_a_layer(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let shelf = Shelf::at("127.0.0.1")?;
    let image = on_base(Archive::begin().file("own", "text"))?;
    shelf.offer("plain", &image);
    let pack = |(name, bytes): &(String, Vec<u8>)| {
        ("tar+gzip", crate::checks::images::archive::gzip(bytes), name.clone())
    };
    shelf.offer("packed", &Image::packed(image.blobs.iter().map(pack).collect()));
    home.pulls(&format!("{}:plain", shelf.name()))?;
    home.pulls(&format!("{}:packed", shelf.name()))?;
    home.has_layers_of(&[&image])
}

fn false_layer_leaves_nothing(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    home.pulls(&format!("{}:one", shelf.name()))?;
    let one = on_base(Archive::begin().file("own", "the first\n"))?;
    let mut image = on_base(Archive::begin().file("own", "another"))?;
    image.config["rootfs"]["diff_ids"][1] = json!(digest(b"something else"));
    image.refer_to_config();
    shelf.offer("false", &image);
    home.refuses(&[&format!("{}:false", shelf.name())], &["the inflated layer", ":false"])?;
    home.has_layers_of_but_blobs(&[&one])
}

fn unpacked_from_blobs(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    let name = format!("{}:one", shelf.name());
    home.pulls(&name)?;
    // An earlier step has the blobs and the name, and unpacks in its own way.
    fs::remove_dir_all(home.store().join("layers"))?;
    shelf.close();
    home.sh(&name, "cat /own")?.ends_with(0)?.prints("the first\n")?;
    Ok(())
}

/// What is in the upper directories of the containers that are there.
fn changed(home: &Home) -> Result<Vec<PathBuf>, Failure> {
    let mut all = Vec::new();
    for container in home.entries("containers")? {
        for entry in fs::read_dir(home.store().join("containers").join(container).join("upper"))? {
            all.push(entry?.path());
        }
    }
    all.sort();
    Ok(all)
}

fn own_files_cost_no_disk(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    let name = format!("{}:one", shelf.name());
    home.pulls(&name)?;
    let script = "cat /etc/hostname; stat -c %a /etc/hostname; readlink /etc/mtab; ls /dev | grep -c host; echo begin; read _";
    let mut running = Running::start(home.image(&name, &["/bin/sh", "-c", script]))?;
    for line in ["slipway", "644", "/proc/mounts", "0", "begin"] {
        running.says(line)?;
    }
    equal(&running.tried, "files in its layer", Vec::new(), changed(&home)?)?;
    running.close_stdin();
    running.ends_with(1)
}

fn own_files_are_the_containers(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let layer = Archive::begin().file("etc/hosts", "the image's\n");
    let shelf = Shelf::with(&on_base(layer)?)?;
    home.pulls(&shelf.name())?;
    let script = "grep -c localhost /etc/hosts; echo more > /etc/hosts; cat /etc/hosts
                  rm /etc/hosts 2>/dev/null || echo mounted";
    for _ in 0..2 {
        let outcome = home.sh(&shelf.name(), script)?;
        outcome.ends_with(0)?.prints("2\nmore\nmounted\n")?;
    }
    Ok(())
}

fn links_for_own_files(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let layer = Archive::begin()
        .symlink("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf")
        .symlink("etc/hosts", "/proc/self/comm")
        .symlink("etc/hostname", "/own")
        .file("own", "not to be changed\n");
    let shelf = Shelf::with(&on_base(layer)?)?;
    home.pulls(&shelf.name())?;
    let script = "for name in hostname hosts resolv.conf; do stat -c %F /etc/$name; done; cat /own
                  busybox tail -1 /etc/hosts; grep -c ' /etc/' /proc/self/mounts; ls -d /run 2>/dev/null";
    let outcome = home.sh(&shelf.name(), script)?;
    let file = "regular file\n".repeat(3);
    outcome.ends_with(1)?.prints(&format!("{file}not to be changed\n127.0.1.1\tslipway\n3\n"))?;
    Ok(())
}

fn killed_pull(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    let name = format!("{}:one", shelf.name());
    let one = on_base(Archive::begin().file("own", "the first\n"))?;
    for (call, nth) in [
        ("rename", 1),
        ("rename", 2),
        ("rename", 3),
        ("rename", 4),
        ("umount2", 1),
        ("mkdir", 5),
        ("syncfs", 1),
    ] {
        let mut strace = engine.strace(killing(call, nth));
        strace.arg(&engine.binary).args(["pull", "-q", &name]);
        let outcome = Outcome::of(home.at_home(strace), b"")?;
        let is_killed = outcome.status.and_then(|status| status.code()) != Some(0);
        require(is_killed, &outcome.tried, "a pull that is killed", "it went through")?;
        home.pulls(&name)?;
        home.has_layers_of(&[&one])?;
        home.sh(&name, "cat /own")?.ends_with(0)?.prints("the first\n")?;
        home.does(&["rmi", &name])?.ends_with(0)?;
    }
    Ok(())
}

fn pulls_at_once(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    let name = |number: usize| format!("{}:{}", shelf.name(), ["one", "two"][number % 2]);
    let start = |number| home.pull(&[&name(number)]).stdout(std::process::Stdio::null()).spawn();
    let pulls: Vec<_> = (0..10).map(start).collect::<Result<_, _>>()?;
    let mut statuses = BTreeMap::new();
    for (number, mut pull) in pulls.into_iter().enumerate() {
        statuses.insert(number, pull.wait()?.code());
    }
    let failed: Vec<_> = statuses.iter().filter(|(_, status)| **status != Some(0)).collect();
    require(failed.is_empty(), "ten pulls at once", "status 0 of each", format!("{failed:?}"))?;
    let images = ["the first\n", "the second\n"];
    let images: Vec<Image> = images
        .iter()
        .map(|text| on_base(Archive::begin().file("own", text)))
        .collect::<Result<_, _>>()?;
    home.has_layers_of(&images.iter().collect::<Vec<_>>())?;
    for number in 0..2 {
        home.sh(&name(number), "cat /own")?.ends_with(0)?;
    }
    Ok(())
}

//! `images`: what is here, and what of it is each image's own.

use super::*;

promises! { stage 9:
    images_are_listed by one "images prints a line for each name, with the columns of Docker's"
    own_size "the last column is what would go with the image: what others share is not in it"
    ids_alone by one "images -q prints the ids, each once, and --digests the manifests'"
    as_json by one "--format json prints an object a line, by Docker's names"
    nothing_to_list by one "without images: the head of the table, and status 0"
    old_image_of_a_tag "a tag that moves leaves its old image, which is then called <none>"
}

/// The words of each line but the first. Words that belong together have one space between them.
fn cells(outcome: &Outcome) -> Vec<Vec<String>> {
    let rows = outcome.stdout.lines().skip(1);
    rows.map(|row| {
        row.split("   ")
            .map(|cell| cell.trim().to_string())
            .filter(|cell| !cell.is_empty())
            .collect()
    })
    .collect()
}

fn images_are_listed(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    for tag in ["one", "two"] {
        home.pulls(&format!("{}:{tag}", shelf.name()))?;
    }
    let outcome = home.does(&["images"])?;
    let head = outcome.ends_with(0)?.stdout.lines().next().unwrap_or_default().to_string();
    let head: Vec<&str> =
        head.split("   ").map(str::trim).filter(|word| !word.is_empty()).collect();
    let expected = vec!["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "OWN SIZE"];
    equal(&outcome.tried, "the head of the table", expected, head)?;
    let one = on_base(Archive::begin().file("own", "the first\n"))?;
    let id = one.manifest["config"]["digest"].as_str().unwrap_or_default()[7..19].to_string();
    let rows = cells(&outcome);
    equal(&outcome.tried, "the number of images", 2, rows.len())?;
    let row = rows.iter().find(|row| row.get(1).is_some_and(|tag| tag == "one"));
    let row = row.cloned().unwrap_or_default();
    equal(&outcome.tried, "the repository", Some(&shelf.name()), row.first())?;
    equal(&outcome.tried, "the image's id", Some(&id), row.get(2))?;
    let seen = row.get(3).cloned().unwrap_or_default();
    require(seen.ends_with("ago"), &outcome.tried, "how long ago it was made", seen)
}

/// A line of `--format json` for each name.
fn objects(home: &Home) -> Result<Vec<Value>, Failure> {
    let outcome = home.does(&["images", "--format", "json"])?;
    let lines = outcome.ends_with(0)?.stdout.lines().map(serde_json::from_str);
    match lines.collect::<Result<Vec<Value>, _>>() {
        Ok(objects) => Ok(objects),
        Err(error) => Err(outcome.failure(format!("a JSON object a line ({error})"))),
    }
}

/// Bytes of an image's layers, as their archives have them.
fn size(image: &Image, layers: std::ops::Range<usize>) -> u64 {
    image.blobs[layers].iter().map(|(_, bytes)| bytes.len() as u64).sum()
}

/// As Docker's tables have it, for sizes from 1 kB to 10 MB.
fn shown(bytes: u64) -> String {
    let (value, unit) =
        if bytes < 999_500 { (bytes as f64 / 1e3, "kB") } else { (bytes as f64 / 1e6, "MB") };
    let digits = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    let text = format!("{value:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

fn own_size(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    home.pulls(&format!("{}:one", shelf.name()))?;
    let image = on_base(Archive::begin().file("own", "the first\n"))?;
    let (whole, own) = (shown(size(&image, 0..2)), shown(size(&image, 1..2)));
    let alone = objects(&home)?;
    equal("images", "the size of one image alone", json!(whole), alone[0]["Size"].clone())?;
    equal("images", "all of that is its own", json!(whole), alone[0]["UniqueSize"].clone())?;
    home.pulls(&format!("{}:two", shelf.name()))?;
    for object in objects(&home)? {
        equal("images", "the size, beside another", json!(whole), object["Size"].clone())?;
        equal("images", "its own size, beside another", json!(own), object["UniqueSize"].clone())?;
    }
    Ok(())
}

fn ids_alone(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    let image = on_base(Archive::begin().file("own", "the first\n"))?;
    shelf.offer("again", &image);
    for tag in ["one", "again"] {
        home.pulls(&format!("{}:{tag}", shelf.name()))?;
    }
    let id = image.manifest["config"]["digest"].as_str().unwrap_or_default()[7..19].to_string();
    home.does(&["images", "-q"])?.ends_with(0)?.prints(&format!("{id}\n"))?;
    let digests = home.does(&["images", "--digests"])?;
    let seen = cells(&digests);
    equal(&digests.tried, "the number of names", 2, seen.len())?;
    for row in seen {
        equal(&digests.tried, "the digest", Some(&image.digest()), row.get(2))?;
    }
    Ok(())
}

fn as_json(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    home.pulls(&format!("{}:one", shelf.name()))?;
    let image = on_base(Archive::begin().file("own", "the first\n"))?;
    let object = &objects(&home)?[0];
    for (key, expected) in [
        ("Repository", json!(shelf.name())),
        ("Tag", json!("one")),
        ("Digest", json!(image.digest())),
        ("CreatedAt", json!("2024-02-29T11:00:00.5Z")),
    ] {
        equal("images --format json", key, expected, object[key].clone())?;
    }
    Ok(())
}

fn nothing_to_list(engine: &Engine) -> Verdict {
    let home = Home::new(engine)?;
    let outcome = home.does(&["images"])?;
    let lines = outcome.ends_with(0)?.stdout.lines().count();
    equal(&outcome.tried, "the number of lines", 1, lines)?;
    home.does(&["images", "-q"])?.ends_with(0)?.prints("")?;
    Ok(())
}

fn old_image_of_a_tag(engine: &Engine) -> Verdict {
    let (home, shelf) = (Home::new(engine)?, two_on_one_base()?);
    let name = format!("{}:one", shelf.name());
    home.pulls(&name)?;
    let (old, new) = ("the first\n", "a newer one\n");
    let image = |text| on_base(Archive::begin().file("own", text));
    shelf.offer("one", &image(new)?);
    home.pulls(&name)?;
    home.sh(&name, "cat /own")?.ends_with(0)?.prints(new)?;
    let rows = cells(&home.does(&["images"])?);
    let unnamed = rows.iter().filter(|row| row.first().is_some_and(|name| name == "<none>"));
    equal("images", "images without a name", 1, unnamed.count())?;
    home.has_layers_of(&[&image(old)?, &image(new)?])?;
    home.does(&["prune"])?.ends_with(0)?;
    home.has_layers_of(&[&image(new)?])?;
    home.sh(&name, "cat /own")?.ends_with(0)?.prints(new)?;
    equal("images", "images after prune", 1, objects(&home)?.len())
}

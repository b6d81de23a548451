//! What whiteouts hide, and what they leave: whatever this same layer adds, before or after them.

use super::scratch::{Layer, Scratch};

fn lower() -> Scratch {
    let scratch = Scratch::new();
    let layer = Layer::new().dir("d/", 0o755).file("d/a", "old").file("d/b", "old");
    scratch.apply(layer.dir("d/sub/", 0o755).file("d/sub/c", "old").file("top", "old"));
    scratch
}

#[test]
fn a_whiteout_hides_a_file_or_a_tree() {
    let scratch = lower();
    scratch.apply(Layer::new().file("d/.wh.a", "").file("d/.wh.sub", "").file(".wh.top", ""));
    assert_eq!(scratch.names(""), ["d"]);
    assert_eq!(scratch.names("d"), ["b"]);
}

#[test]
fn a_whiteout_of_nothing_is_none() {
    let scratch = lower();
    scratch.apply(Layer::new().file(".wh.x", "").file("no/.wh.x", "").file("top/.wh.x", ""));
    scratch.apply(Layer::new().file("no/where/.wh..wh..opq", "").file(".wh..wh.aufs", ""));
    assert_eq!(scratch.names(""), ["d", "top"]);
}

#[test]
fn a_whiteout_hides_nothing_of_its_own_layer() {
    for whiteout_comes_first in [true, false] {
        let scratch = lower();
        let whiteouts = |layer: Layer| layer.file("d/.wh.a", "").file("d/.wh.sub", "");
        let mut layer = Layer::new();
        if whiteout_comes_first {
            layer = whiteouts(layer);
        }
        layer = layer.file("d/a", "new").file("d/sub/new", "new");
        if !whiteout_comes_first {
            layer = whiteouts(layer);
        }
        scratch.apply(layer);
        assert_eq!(scratch.read("d/a"), "new");
        assert_eq!(scratch.names("d/sub"), ["new"]);
        assert_eq!(scratch.names("d"), ["a", "b", "sub"]);
    }
}

#[test]
fn an_opaque_directory_has_only_what_its_layer_adds() {
    for place in 0..5 {
        let scratch = lower();
        let mut layer = Layer::new();
        let names = ["d/", "d/new", "d/sub/new", "d/a"];
        for (i, name) in names.into_iter().enumerate() {
            if i == place {
                layer = layer.file("d/.wh..wh..opq", "");
            }
            layer = if i == 0 { layer.dir(name, 0o700) } else { layer.file(name, "new") };
        }
        if place == 4 {
            layer = layer.file("d/.wh..wh..opq", "");
        }
        scratch.apply(layer);
        assert_eq!(scratch.names("d"), ["a", "new", "sub"], "{place}");
        assert_eq!(scratch.names("d/sub"), ["new"], "{place}");
        assert_eq!(scratch.read("d/a"), "new");
        assert_eq!(scratch.mode("d"), 0o700);
        assert_eq!(scratch.read("top"), "old");
    }
}

#[test]
fn an_opaque_root_is_empty() {
    let scratch = lower();
    scratch.apply(Layer::new().file("new", "").file(".wh..wh..opq", ""));
    assert_eq!(scratch.names(""), ["new"]);
}

#[test]
fn what_a_link_of_this_layer_leads_to_is_remembered() {
    let scratch = lower();
    scratch.apply(
        Layer::new()
            .symlink("l", "d/sub")
            .file("l/new", "")
            .file("d/.wh.sub", "")
            .file("l/.wh.new", ""),
    );
    assert_eq!(scratch.names("d/sub"), ["new"]);
    let scratch = lower();
    scratch.apply(Layer::new().hardlink("h", "top").file(".wh.h", "").file(".wh.top", ""));
    assert_eq!(scratch.names(""), ["d", "h"]);
}

#[test]
fn a_directory_made_on_the_way_is_this_layers() {
    let scratch = lower();
    scratch.apply(Layer::new().file("d/x/y/z", "new").file("d/x/.wh.y", "").file("d/.wh.x", ""));
    assert_eq!(scratch.read("d/x/y/z"), "new");
    scratch.apply(Layer::new().dir("e/", 0o755).file("e/f", "").file("e/.wh.f", ""));
    assert_eq!(scratch.names("e"), ["f"]);
    scratch.apply(Layer::new().file("d/.wh.x", ""));
    assert_eq!(scratch.names("d"), ["a", "b", "sub"]);
}

#[test]
fn hiding_keeps_times_and_modes() {
    let scratch = Scratch::new();
    let layer = Layer::new().dir("r/", 0o555).file("r/old", "").dir("r/s/", 0o500);
    scratch.apply(layer.file("r/s/old", "").file("r/s/old2", ""));
    let before = [scratch.meta("r").modified().unwrap(), scratch.meta("r/s").modified().unwrap()];
    scratch.apply(Layer::new().file("r/s/new", "").file("r/.wh..wh..opq", ""));
    let after = [scratch.meta("r").modified().unwrap(), scratch.meta("r/s").modified().unwrap()];
    assert_eq!(before, after);
    assert_eq!((scratch.mode("r"), scratch.mode("r/s")), (0o555, 0o500));
    assert_eq!((scratch.names("r"), scratch.names("r/s")), (vec!["s".into()], vec!["new".into()]));
    scratch.apply(Layer::new().file(".wh.r", ""));
    assert_eq!(scratch.names("").len(), 0);
}

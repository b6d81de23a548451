//! The spellings, one by one.

use super::*;

fn bind(source: &str, target: &str, read_only: bool) -> Mount {
    Mount { source: Source::Host(source.into()), target: target.into(), read_only }
}

fn named(name: Option<&str>, target: &str, read_only: bool, filled: bool) -> Mount {
    let source = Source::Volume { name: name.map(str::to_string), filled };
    Mount { source, target: target.into(), read_only }
}

fn memory(target: &str, read_only: bool, tmpfs: Tmpfs) -> Mount {
    Mount { source: Source::Memory(tmpfs), target: target.into(), read_only }
}

/// Each text with what it means, or with words of the error.
fn require(read: fn(&str) -> Result<Mount, String>, cases: Vec<(&str, Result<Mount, &str>)>) {
    for (text, expected) in cases {
        match (read(text), expected) {
            (Ok(seen), Ok(expected)) => assert_eq!(seen, expected, "{text}"),
            (Err(seen), Err(words)) => assert!(seen.contains(words), "{text}: {seen}"),
            (seen, expected) => panic!("{text}: {seen:?} ≠ {expected:?}"),
        }
    }
}

#[test]
fn the_short_spelling() {
    let here = std::env::current_dir().unwrap();
    let at_here = |path: &str| here.join(path).to_str().unwrap().to_string();
    require(
        volume,
        vec![
            ("/a:/b", Ok(bind("/a", "/b", false))),
            ("/a:/b:ro", Ok(bind("/a", "/b", true))),
            ("/a:/b:rw", Ok(bind("/a", "/b", false))),
            ("./x:/b", Ok(bind(&at_here("x"), "/b", false))),
            ("..:/b:ro", Ok(bind(&at_here(".."), "/b", true))),
            ("data:/b", Ok(named(Some("data"), "/b", false, true))),
            ("data:/b:ro,nocopy", Ok(named(Some("data"), "/b", true, false))),
            ("/b", Ok(named(None, "/b", false, true))),
            ("data:/a/../b/./c/", Ok(named(Some("data"), "/b/c", false, true))),
            ("data", Err("not absolute")),
            ("data:b", Err("not absolute")),
            ("/a:/", Err("that is the image")),
            ("/a:/b/..", Err("that is the image")),
            ("a/b:/c", Err("say ./a/b")),
            (":/c", Err("the source is empty")),
            ("-x:/c", Err("no name for a volume")),
            ("a b:/c", Err("no name for a volume")),
            ("/a:/b:ro:x", Err("--mount takes paths with a colon")),
            ("/a:/b:x", Err("no option x")),
            ("/a:/b:U", Err("--userns keep-id")),
            ("/a:/b:Z", Err("SELinux")),
            ("/a:/b:ro,rw", Err("ro or rw is said twice")),
            ("/a:/b:ro,ro", Err("ro or rw is said twice")),
        ],
    );
}

#[test]
fn the_long_spelling() {
    let tmpfs = Tmpfs { size: Some(1 << 20), mode: 0o700, ..Tmpfs::default() };
    require(
        mount,
        vec![
            ("type=bind,source=/a,target=/b", Ok(bind("/a", "/b", false))),
            ("type=bind,src=/a:b,dst=/c:d,readonly", Ok(bind("/a:b", "/c:d", true))),
            ("type=bind,\"src=/a,b\",dst=/c,ro=false", Ok(bind("/a,b", "/c", false))),
            ("type=bind,src=/a,dst=/b,bind-propagation=rprivate", Ok(bind("/a", "/b", false))),
            ("source=data,destination=/b", Ok(named(Some("data"), "/b", false, true))),
            ("type=volume,dst=/b,volume-nocopy", Ok(named(None, "/b", false, false))),
            ("type=tmpfs,dst=/b", Ok(memory("/b", false, Tmpfs::default()))),
            ("type=tmpfs,dst=/b,tmpfs-size=1M,tmpfs-mode=700", Ok(memory("/b", false, tmpfs))),
            ("", Err("is empty")),
            ("type=bind,target=/b", Err("source is missing")),
            ("type=bind,source=/a", Err("target is missing")),
            ("type=tmpfs,src=/a,dst=/b", Err("no source")),
            ("type=bind,src=/a,dst=/b,tmpfs-size=1", Err("not for bind")),
            ("type=npipe,src=/a,dst=/b", Err("no type npipe")),
            ("type=bind,src=/a,dst=/b,ro=maybe", Err("true or false")),
            ("type=bind,src=/a,dst=/b,bind-propagation=shared", Err("no bind-propagation=shared")),
            ("type=bind,src=/a,dst=b", Err("not absolute")),
            ("type=volume,src=a/b,dst=/c", Err("no name for a volume")),
            ("type=bind,type=tmpfs,dst=/c", Err("type is said twice")),
            ("src=a,source=b,dst=/c", Err("source is said twice")),
            ("type=bind,src=/a,dst=/c,volume-nocopy", Err("volume-nocopy is not for bind")),
            ("type=tmpfs,dst=/c,tmpfs-size=0", Err("size of 0")),
            ("type=tmpfs,dst=/c\ntype=bind", Err("more than one line")),
        ],
    );
}

#[test]
fn memory_and_its_options() {
    let large = Tmpfs { size: Some(64 << 20), mode: 0o755, ..Tmpfs::default() };
    let executable = Tmpfs { executable: true, ..Tmpfs::default() };
    require(
        tmpfs,
        vec![
            ("/t", Ok(memory("/t", false, Tmpfs::default()))),
            ("/t:size=64m,mode=0755", Ok(memory("/t", false, large))),
            ("/t:rw,exec,nosuid,nodev", Ok(memory("/t", false, executable))),
            ("/t:ro,noexec", Ok(memory("/t", true, Tmpfs::default()))),
            ("t", Err("not absolute")),
            ("/t:size=lots", Err("64M")),
            ("/t:mode=8", Err("base 8")),
            ("/t:dev", Err("no option dev")),
            ("/t:ro,rw", Err("ro or rw is said twice")),
            ("/t:size=0", Err("size of 0")),
        ],
    );
}

//! The config of an image: what its root filesystem is made of, and how to run it.

use std::collections::BTreeMap;

use reference::Digest;
use serde::Deserialize;
use serde::de::IgnoredAny;
use shared::{Error, shown};

use crate::json::{or_default, read};
use crate::{Manifest, Platform};

/// OCI image specification, "Image Configuration".
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Config {
    #[serde(default, deserialize_with = "or_default")]
    pub os: String,
    #[serde(default, deserialize_with = "or_default")]
    pub architecture: String,
    #[serde(default, deserialize_with = "or_default")]
    pub variant: String,
    #[serde(default, deserialize_with = "or_default")]
    pub config: Defaults,
    pub rootfs: RootFs,
}

/// How the image's author means it to be run. What is empty was not given.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Defaults {
    /// `uid`, `user`, `uid:gid`, `user:group`
    #[serde(default, deserialize_with = "or_default")]
    pub user: String,
    /// `NAME=value`
    #[serde(default, deserialize_with = "or_default")]
    pub env: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub entrypoint: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub cmd: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub working_dir: String,
    /// Directories that are made if they are missing. The values mean nothing.
    #[serde(default, deserialize_with = "or_default")]
    pub volumes: BTreeMap<String, IgnoredAny>,
    /// The name or the number of a signal: what `stop` sends. So far no step has a `stop`, and none
    /// uses this.
    #[serde(default, deserialize_with = "or_default")]
    pub stop_signal: String,
}

/// OCI image specification, "Image Configuration", `rootfs`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RootFs {
    /// `layers`
    #[serde(rename = "type")]
    pub kind: String,
    /// The digests of the layers' archives, not compressed. The lowest first.
    #[serde(default, deserialize_with = "or_default")]
    pub diff_ids: Vec<Digest>,
}

impl Config {
    /// Reads a config.
    ///
    /// # Errors
    ///
    /// It is none. The error names the part of it that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Config, Error> {
        let config: Config = read("config", bytes)?;
        match config.rootfs.kind.as_str() {
            "layers" => Ok(config),
            other => Err(Error::new(format!(
                "the config's rootfs.type is {}, not \"layers\"",
                shown(other)
            ))),
        }
    }

    /// Fails, naming both, unless the image runs on `wanted`. One that does not say is believed.
    ///
    /// An index has told before; for an image without one only its config does.
    pub fn require_platform(&self, wanted: &Platform) -> Result<(), Error> {
        let own = Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
        };
        if !own.is_known() || wanted.runs().contains(&own.normal()) {
            return Ok(());
        }
        Err(Error::new(format!(
            "the image is for {own}, not for {wanted} (to have it all the same: --platform {own})"
        )))
    }
}

/// Fails unless the config is about as many layers as the manifest has.
pub fn check(manifest: &Manifest, config: &Config) -> Result<(), Error> {
    let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
    if layers == diff_ids {
        Ok(())
    } else {
        Err(Error::new(format!(
            "the manifest has {layers} layers, but the config's rootfs.diff_ids are {diff_ids}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::Descriptor;

    fn parsed(json: &Value) -> Result<Config, String> {
        Config::parse(json.to_string().as_bytes()).map_err(|error| error.to_string())
    }

    fn of(os: &str, architecture: &str, variant: &str) -> Config {
        let rootfs = json!({ "type": "layers" });
        let (os, architecture, variant) = (json!(os), json!(architecture), json!(variant));
        parsed(&json!({ "os": os, "architecture": architecture, "variant": variant, "rootfs": rootfs }))
            .unwrap()
    }

    #[test]
    fn a_config_is_read_whether_things_are_there_or_null() {
        let digest = Digest::of(b"");
        let defaults = json!({
            "User": "1:2", "Env": ["A=b"], "Entrypoint": ["/e", "f"], "Cmd": null,
            "WorkingDir": "/w", "Volumes": { "/v": {} }, "Labels": null, "OnBuild": [],
        });
        let config = parsed(&json!({
            "created": "2026-01-01T00:00:00Z", "os": "linux", "architecture": "arm",
            "variant": "v7", "config": defaults, "history": [{}],
            "rootfs": { "type": "layers", "diff_ids": [digest] },
        }))
        .unwrap();
        assert_eq!((config.os.as_str(), config.variant.as_str()), ("linux", "v7"));
        assert_eq!(config.config.user, "1:2");
        assert_eq!(config.config.env, ["A=b"]);
        assert_eq!(config.config.entrypoint, ["/e", "f"]);
        assert!(config.config.cmd.is_empty());
        assert_eq!(config.config.working_dir, "/w");
        assert_eq!(config.config.volumes.keys().collect::<Vec<_>>(), ["/v"]);
        assert_eq!(config.rootfs.diff_ids, [digest]);

        let rootfs = json!({ "type": "layers", "diff_ids": null });
        let config = parsed(&json!({ "os": null, "config": null, "rootfs": rootfs })).unwrap();
        assert_eq!((config.config, config.rootfs.diff_ids), (Defaults::default(), vec![]));
    }

    #[test]
    fn an_error_names_the_place() {
        let rootfs = json!({ "type": "layers" });
        for (json, what) in [
            (json!({}), "the config is wrong: missing field `rootfs`"),
            (json!({ "rootfs": {} }), "the config's rootfs is wrong: missing field `type`"),
            (json!({ "rootfs": { "type": "tree" } }), "rootfs.type is \"tree\", not \"layers\""),
            (
                json!({ "rootfs": { "type": "layers", "diff_ids": ["x"] } }),
                "the config's rootfs.diff_ids[0] is wrong: \"x\" is no digest",
            ),
            (
                json!({ "rootfs": rootfs, "config": { "Env": ["A=b", 1] } }),
                "the config's config.Env[1] is wrong: invalid type: integer",
            ),
            (json!({ "rootfs": rootfs, "config": { "Cmd": "sh" } }), "config.Cmd is wrong"),
        ] {
            let error = parsed(&json).unwrap_err();
            assert!(error.contains(what), "{error} ≠ {what}");
        }
    }

    #[test]
    fn every_layer_needs_its_diff_id() {
        let mut config = of("linux", "amd64", "");
        let layer = Descriptor::of(b"", "a/b");
        let (media_type, layers) = (String::new(), vec![layer.clone()]);
        let manifest = Manifest { media_type, config: layer, layers };
        let error = check(&manifest, &config).unwrap_err().to_string();
        assert!(error.contains("has 1 layers, but the config's rootfs.diff_ids are 0"), "{error}");
        config.rootfs.diff_ids = vec![Digest::of(b"")];
        check(&manifest, &config).unwrap();
    }

    #[test]
    fn an_image_for_another_platform_is_refused() {
        let amd64: Platform = "linux/amd64".parse().unwrap();
        for config in [of("linux", "amd64", ""), of("linux", "386", ""), of("", "", "")] {
            config.require_platform(&amd64).unwrap();
        }
        let error = of("linux", "arm64", "v8").require_platform(&amd64).unwrap_err().to_string();
        assert!(error.contains("for linux/arm64/v8, not for linux/amd64"), "{error}");
        let arm64 = "linux/arm64/v8".parse().unwrap();
        of("linux", "arm64", "v8").require_platform(&arm64).unwrap();
    }
}

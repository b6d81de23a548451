//! What an image runs on: `linux/amd64`, `linux/arm/v7`.

use std::env::consts;
use std::fmt::{self, Display};
use std::fs;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::json::or_default;

/// OCI image specification, "Image Index": the names are those that Go has for them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Platform {
    #[serde(default, deserialize_with = "or_default")]
    pub os: String,
    #[serde(default, deserialize_with = "or_default")]
    pub architecture: String,
    /// `v7`; empty if not given.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

impl Platform {
    fn new(os: &str, architecture: &str, variant: &str) -> Platform {
        Platform { os: os.into(), architecture: architecture.into(), variant: variant.into() }
    }

    /// This machine.
    pub fn here() -> Platform {
        let architecture = match consts::ARCH {
            "x86" => "386",
            "loongarch64" => "loong64",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "powerpc64" => "ppc64",
            same => same,
        };
        let variant = match architecture {
            "arm" => arm_variant(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            _ => "",
        };
        Platform::new(consts::OS, architecture, variant).normal()
    }

    /// Whether these are names. `unknown/unknown` are no images but what a builder says about them.
    pub fn is_known(&self) -> bool {
        let is_word = |text: &String| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            text.len() <= 64 && text.bytes().all(is_plain)
        };
        let is_name = |text: &String| is_word(text) && !text.is_empty() && text != "unknown";
        is_name(&self.os) && is_name(&self.architecture) && is_word(&self.variant)
    }

    /// The one name among several for the same (containerd's `platforms.Normalize`).
    pub fn normal(&self) -> Platform {
        let (os, architecture) = (self.os.to_lowercase(), self.architecture.to_lowercase());
        let variant = self.variant.to_lowercase();
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("i386", _) => ("386", ""),
            ("amd64" | "x86_64" | "x86-64", "v1") => ("amd64", ""),
            ("amd64" | "x86_64" | "x86-64", variant) => ("amd64", variant),
            ("arm64" | "aarch64", "8" | "v8") => ("arm64", ""),
            ("arm64" | "aarch64", variant) => ("arm64", variant),
            ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
            ("armel", _) | ("arm", "6") => ("arm", "v6"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "8") => ("arm", "v8"),
            same => same,
        };
        Platform::new(&os, architecture, variant)
    }

    /// The platforms whose images run here, the best first (containerd's `platforms.Only`).
    pub fn runs(&self) -> Vec<Platform> {
        let normal = self.normal();
        let mut variants = vec![normal.variant.clone()];
        let mut others = Vec::new();
        let number = normal.variant.trim_start_matches('v');
        let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
        let (major, minor) = (major.parse::<u8>().unwrap_or(0), minor.parse::<u8>().unwrap_or(0));
        match normal.architecture.as_str() {
            "amd64" => {
                variants.extend((1..major).rev().map(|version| format!("v{version}")));
                others.push(("386", ""));
            }
            "arm" => variants.extend((5..major).rev().map(|version| format!("v{version}"))),
            "arm64" => {
                let mut minor = u32::from(minor);
                if major == 9 {
                    variants.extend((1..minor).rev().map(|minor| format!("v9.{minor}")));
                    variants.push("v9".into());
                    // What 9.0 has 8.5 had (Arm Architecture Reference Manual, A-profile).
                    minor += 6;
                }
                variants.extend((1..minor).rev().map(|minor| format!("v8.{minor}")));
                variants.push("v8".into());
                others.extend([("arm", "v8"), ("arm", "v7"), ("arm", "v6"), ("arm", "v5")]);
            }
            _ => {}
        }
        let same = variants.iter().map(|variant| (normal.architecture.as_str(), variant.as_str()));
        let all =
            same.chain(others).map(|(name, variant)| Platform::new(&normal.os, name, variant));
        let mut platforms: Vec<Platform> = all.map(|platform| platform.normal()).collect();
        platforms.dedup();
        platforms
    }
}

impl Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

impl FromStr for Platform {
    type Err = String;

    /// The error says what a platform looks like, without the text itself.
    fn from_str(text: &str) -> Result<Platform, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let platform = match parts[..] {
            [os, architecture] => Platform::new(os, architecture, ""),
            [os, architecture, variant] if !variant.is_empty() => {
                Platform::new(os, architecture, variant)
            }
            _ => Platform::default(),
        };
        if platform.is_known() {
            Ok(platform.normal())
        } else {
            Err("give OS/ARCHITECTURE[/VARIANT], as in linux/arm64 or linux/arm/v7".into())
        }
    }
}

/// The variant of a 32-bit Arm processor that /proc/cpuinfo is about (as containerd finds it).
fn arm_variant(cpuinfo: &str) -> &'static str {
    let value = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim())
    };
    match value("CPU architecture") {
        // The first Raspberry Pi says 7.
        Some("7") if value("model name").is_some_and(|name| name.starts_with("ARMv6")) => "v6",
        Some("8" | "AArch64") => "v8",
        Some("6" | "6TEJ") => "v6",
        Some("5" | "5T" | "5TE" | "5TEJ") => "v5",
        _ => "v7",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        text.parse::<Platform>().unwrap().to_string()
    }

    fn runs(text: &str) -> String {
        let platforms = text.parse::<Platform>().unwrap().runs();
        platforms
            .iter()
            .map(Platform::to_string)
            .collect::<Vec<_>>()
            .join(" ")
            .replace("linux/", "")
    }

    #[test]
    fn a_platform_has_one_name() {
        for (text, name) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/V9", "linux/arm64/v9"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("windows/amd64", "windows/amd64"),
            ("linux/riscv64", "linux/riscv64"),
        ] {
            assert_eq!(read(text), name);
        }
    }

    #[test]
    fn what_is_no_platform_is_refused() {
        for bad in [
            "",
            "linux",
            "amd64",
            "linux/",
            "/amd64",
            "linux/arm/",
            "linux//v7",
            "linux/arm/v7/x",
            "linux amd64",
            "linux/amd 64",
            "linux/amd64 ",
            "unknown/unknown",
            "linux/ä",
        ] {
            let error = bad.parse::<Platform>().expect_err(bad);
            assert!(error.contains("linux/arm/v7"), "{bad}");
        }
    }

    #[test]
    fn images_for_older_processors_run_too() {
        assert_eq!(runs("linux/amd64"), "amd64 386");
        assert_eq!(runs("linux/amd64/v3"), "amd64/v3 amd64/v2 amd64 386");
        assert_eq!(runs("linux/386"), "386");
        assert_eq!(runs("linux/s390x"), "s390x");
        assert_eq!(runs("linux/arm"), "arm/v7 arm/v6 arm/v5");
        assert_eq!(runs("linux/arm/v5"), "arm/v5");
        let arm = "arm/v8 arm/v7 arm/v6 arm/v5";
        assert_eq!(runs("linux/arm64"), format!("arm64 {arm}"));
        assert_eq!(runs("linux/arm64/v8.2"), format!("arm64/v8.2 arm64/v8.1 arm64 {arm}"));
        let v8 = "arm64/v8.6 arm64/v8.5 arm64/v8.4 arm64/v8.3 arm64/v8.2 arm64/v8.1 arm64";
        assert_eq!(runs("linux/arm64/v9.1"), format!("arm64/v9.1 arm64/v9 {v8} {arm}"));
    }

    #[test]
    fn this_machine_is_a_linux_with_a_go_name() {
        let here = Platform::here();
        assert_eq!(here.os, "linux");
        assert!(here.is_known() && here == here.normal(), "{here}");
        assert!(!["x86_64", "aarch64", "x86"].contains(&here.architecture.as_str()), "{here}");
    }

    #[test]
    fn cpuinfo_tells_arm_processors_apart() {
        let of = |version: &str, model: &str| {
            arm_variant(&format!(
                "processor\t: 0\nmodel name\t: {model}\nCPU architecture: {version}\n"
            ))
        };
        assert_eq!(of("7", "ARMv7 Processor rev 4 (v7l)"), "v7");
        assert_eq!(of("7", "ARMv6-compatible processor rev 7 (v6l)"), "v6");
        assert_eq!(of("5TEJ", "ARM926EJ-S rev 5 (v5l)"), "v5");
        assert_eq!(of("8", "ARMv8 Processor rev 3 (v8l)"), "v8");
        assert_eq!(arm_variant(""), "v7");
    }
}

//! The environment that the command starts with: nothing of the caller's, unless asked for.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::builder::{OsStringValueParser, TypedValueParser};
use shared::Error;

/// Where programs are, if the image does not say: as in Docker.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables, in the order in which they were first set.
#[derive(Clone, Debug, PartialEq)]
pub struct Environment(Vec<(OsString, OsString)>);

/// One that the caller wants. None: not to be there.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    name: OsString,
    value: Option<OsString>,
}

impl Environment {
    /// What there is before image and caller are asked.
    pub fn new(hostname: &OsStr) -> Environment {
        let mut own = vec![("PATH".into(), PATH.into()), ("HOSTNAME".into(), hostname.into())];
        if io::stdout().is_terminal() {
            own.push(("TERM".into(), env::var_os("TERM").unwrap_or("xterm".into())));
        }
        Environment(own)
    }

    /// Sets the image's.
    pub fn set_all_of_image(&mut self, variables: &[String]) -> Result<(), Error> {
        variables.iter().try_for_each(|text| match split(OsStr::new(text)) {
            Some(variable) if variable.value.is_some() && !text.contains('\0') => {
                self.set(&variable);
                Ok(())
            }
            _ => Err(Error::new(format!("the image's Env has {text:?}, which is no NAME=VALUE"))),
        })
    }

    /// Sets a variable, or takes it away.
    pub fn set(&mut self, Variable { name, value }: &Variable) {
        let place = self.0.iter().position(|(other, _)| other == name);
        match (place, value) {
            (Some(place), Some(value)) => self.0[place].1 = value.clone(),
            (Some(place), None) => _ = self.0.remove(place),
            (None, Some(value)) => self.0.push((name.clone(), value.clone())),
            (None, None) => {}
        }
    }

    /// Makes it this process's own. So `exec` looks for the command in *its* PATH.
    pub fn take_on(&self, home: &OsStr) {
        // SAFETY: this process has one thread: nobody else reads the environment meanwhile.
        unsafe { libc::clearenv() };
        // SAFETY: as above.
        let set = |name: &OsStr, value: &OsStr| unsafe { env::set_var(name, value) };
        for (name, value) in &self.0 {
            set(name, value);
        }
        // Also an empty one: with it a shell's `cd` would go nowhere.
        if env::var_os("HOME").is_none_or(|home| home.is_empty()) {
            set(OsStr::new("HOME"), home);
        }
    }
}

/// Reads `NAME=VALUE`; or `NAME`, which is then the caller's, and may be none.
pub fn variable() -> impl TypedValueParser<Value = Variable> {
    OsStringValueParser::new().try_map(|text| {
        let Variable { name, value } = split(&text).ok_or("give NAME=VALUE, or NAME")?;
        let value = value.or_else(|| env::var_os(&name));
        Ok::<_, &str>(Variable { name, value })
    })
}

/// Splits at the first `=`. A name of nothing is none.
fn split(text: &OsStr) -> Option<Variable> {
    let mut parts = text.as_bytes().splitn(2, |byte| *byte == b'=');
    let mut next = || parts.next().map(|part| OsString::from_vec(part.to_vec()));
    let variable = Variable { name: next()?, value: next() };
    (!variable.name.is_empty()).then_some(variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Variable {
        Variable { name: name.into(), value: Some(value.into()) }
    }

    #[test]
    fn the_last_word_counts() {
        let mut environment = Environment(vec![("PATH".into(), PATH.into())]);
        environment.set_all_of_image(&["A=1".into(), "PATH=/x".into(), "B=".into()]).unwrap();
        environment.set(&set("A", "2=2"));
        environment.set(&Variable { name: "B".into(), value: None });
        environment.set(&Variable { name: "C".into(), value: None });
        assert_eq!(environment.0, [("PATH".into(), "/x".into()), ("A".into(), "2=2".into())]);
    }

    #[test]
    fn an_images_variable_is_name_and_value() {
        for bad in ["A", "", "=x", "A=\0"] {
            let mut environment = Environment(Vec::new());
            let error = environment.set_all_of_image(&[bad.into()]).unwrap_err();
            assert!(error.to_string().contains("no NAME=VALUE"), "{error}");
        }
    }

    #[test]
    fn a_callers_variable_may_be_a_name() {
        assert_eq!(split(OsStr::new("A=b=c")), Some(set("A", "b=c")));
        assert_eq!(split(OsStr::new("A=")), Some(set("A", "")));
        assert_eq!(split(OsStr::new("A")), Some(Variable { name: "A".into(), value: None }));
        assert_eq!(split(OsStr::new("=A")), None);
        assert_eq!(split(OsStr::new("")), None);
    }
}

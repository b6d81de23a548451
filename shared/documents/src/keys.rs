//! The keys of JSON objects, as Go's `encoding/json` knows them: a field's name in any case. serde
//! would know them as they are written only, and in a document with `layers` and `LAYERS` see another
//! image than Docker does.
//!
//! serde asks a deserializer for a struct by the names of its fields. So this is a deserializer around
//! another that passes on all it is asked for; only where it is asked for a struct it looks at the
//! keys. Those of maps, as annotations are, stay as they are.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

/// Around a deserializer, and around what it is made of.
pub struct AsGo<T>(pub T);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for AsGo<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Struct { fields, visitor })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(AsGo(visitor))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_seq(AsGo(visitor))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(AsGo(visitor))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_ignored_any(visitor)
    }

    /// Text, numbers: they hold nothing that would have keys.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct tuple tuple_struct enum identifier
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for AsGo<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, some: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(AsGo(some))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(AsGo(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(AsGo(entries))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for AsGo<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(AsGo(deserializer))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for AsGo<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(AsGo(seed))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for AsGo<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(AsGo(seed))
    }
}

/// Where a struct is due. A list, which serde would take for its fields in order, is an error.
struct Struct<V> {
    fields: &'static [&'static str],
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Struct<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Fields { entries, fields: self.fields })
    }
}

/// The entries of an object that is a struct: only those that are fields of it, by their own names.
struct Fields<A> {
    entries: A,
    fields: &'static [&'static str],
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        while let Some(key) = self.entries.next_key::<String>()? {
            let key = folded(&key);
            let Some(field) = self.fields.iter().find(|field| folded(field) == key) else {
                self.entries.next_value::<IgnoredAny>()?;
                continue;
            };
            // One that is there twice serde refuses: engines differ in which of the two they take.
            return seed.deserialize(StrDeserializer::new(field)).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.entries.next_value_seed(AsGo(seed))
    }
}

/// A key without its case. For Go two letters outside ASCII are an `s` and a `k` as well: the long s
/// of old prints and the sign for kelvin.
fn folded(key: &str) -> String {
    let letter = |letter| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    key.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Outer {
        disk_size: u64,
        inner: Option<Vec<Inner>>,
        labels: BTreeMap<String, String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        diff_ids: Vec<String>,
    }

    fn read(json: &str) -> Result<Outer, String> {
        let mut json = serde_json::Deserializer::from_str(json);
        Outer::deserialize(AsGo(&mut json)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_fields_name_may_be_in_any_case_but_not_twice() {
        let outer = |disk_size| Outer { disk_size, ..Outer::default() };
        for key in ["diskSize", "disksize", "DISKSIZE", "di\u{17f}\u{212a}size", "disk\\u0053ize"] {
            assert_eq!(read(&format!("{{\"{key}\": 7}}")), Ok(outer(7)), "{key}");
            let twice = format!("{{\"{key}\": 7, \"diskSize\": 7}}");
            assert!(read(&twice).unwrap_err().starts_with("duplicate field `diskSize`"), "{key}");
        }
        for key in ["disk_size", "diskSize ", "di\u{df}kSize", ""] {
            assert_eq!(read(&format!("{{\"{key}\": 7}}")), Ok(outer(0)), "{key}");
        }
    }

    #[test]
    fn a_struct_may_lie_deeper() {
        let inner = |json| read(json).map(|outer| outer.inner.unwrap_or_default());
        let ids = |id: &str| Inner { diff_ids: vec![id.into()] };
        let two = inner(r#"{"INNER": [{"DIFF_IDS": ["a"]}, {"Diff_IDs": ["b"], "x": {}}]}"#);
        assert_eq!(two, Ok(vec![ids("a"), ids("b")]));
        assert_eq!(inner(r#"{"inner": null}"#), Ok(vec![]));
        let error = inner(r#"{"inner": [{"diff_ids": [], "Diff_ids": []}]}"#).unwrap_err();
        assert!(error.starts_with("duplicate field `diff_ids`"), "{error}");
    }

    #[test]
    fn the_keys_of_a_map_are_its_own() {
        let labels = read(r#"{"labels": {"labels": "a", "Labels": "b"}}"#).unwrap().labels;
        assert_eq!(labels.len(), 2);
    }

    #[test]
    fn a_list_is_no_struct() {
        for json in [r#"[7, null, {}]"#, r#"{"inner": [[["a"]]]}"#] {
            assert!(read(json).unwrap_err().contains("invalid type: sequence"), "{json}");
        }
    }
}

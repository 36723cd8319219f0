//! Values and keys of deploy.toml with their places in the file.

use std::{borrow::Cow, collections::BTreeMap, ops::Range};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

/// A value and where in the file it stands, in bytes.
///
/// The default is a value that the file lacks. [`super::check`] has complained about it by then, so that nothing else
/// needs to: a problem at its place is dropped.
#[derive(Debug, Clone)]
pub(super) struct Located<T> {
    /// The value.
    pub value: T,
    /// Its place in the file.
    pub span: Range<usize>,
}

/// The place of a value that the file lacks.
pub(super) const NOWHERE: Range<usize> = usize::MAX..usize::MAX;

impl<T: Default> Default for Located<T> {
    fn default() -> Self {
        Self {
            value: T::default(),
            span: NOWHERE,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = toml::Spanned::<T>::deserialize(deserializer)?;
        Ok(Self {
            span: spanned.span(),
            value: spanned.into_inner(),
        })
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
    fn inline_schema() -> bool {
        T::inline_schema()
    }
}

/// A map from names to values, each name with its place in the file.
pub(super) type Named<T> = BTreeMap<Key, T>;

/// A text, without its place.
pub(super) fn text(said: Option<&Located<String>>) -> Option<String> {
    said.map(|text| text.value.clone())
}

/// The texts of a table, without their places.
pub(super) fn texts(table: &Named<Located<String>>) -> BTreeMap<String, String> {
    let pairs = table.iter();
    pairs
        .map(|(key, text)| (key.name().to_owned(), text.value.clone()))
        .collect()
}

/// A table's key and where it stands. Ordered and compared by its text alone.
#[derive(Debug, Clone)]
pub(super) struct Key(pub Located<String>);

impl Key {
    /// The key's text.
    pub(super) fn name(&self) -> &str {
        &self.0.value
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}
impl Eq for Key {}
impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.name().cmp(other.name())
    }
}
impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Located::deserialize(deserializer).map(Self)
    }
}
impl JsonSchema for Key {
    fn schema_name() -> Cow<'static, str> {
        String::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

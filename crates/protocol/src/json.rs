//! JSON text that is passed on without being read: results, arguments, schemas.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;
use std::sync::Arc;

/// One JSON value as its text; cheap to clone, known to be well-formed.
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// Checks that the text is one JSON value and keeps it.
    ///
    /// # Errors
    /// When the text is not JSON.
    pub fn parse(text: String) -> Result<Self, serde_json::Error> {
        Ok(Self(RawValue::from_string(text)?.into()))
    }

    /// The text of a value already in memory.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        let raw = serde_json::value::to_raw_value(value);
        Self(raw.expect("maps with text keys always serialise").into())
    }

    /// JSON `null`.
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned().into())
    }

    /// The text.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// Reads the text as a value.
    ///
    /// # Errors
    /// When the value does not have the form of `T`, numbers out of range included.
    pub fn read<'de, T: Deserialize<'de>>(&'de self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.text())
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        self.text() == "null"
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Box::<RawValue>::deserialize(deserializer)?.into()))
    }
}

/// For a member of a tagged value, which is read into memory first: there a value travels as its text.
pub(crate) mod as_text {
    use super::Json;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(json: &Json, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(json.text())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Json, D::Error> {
        Json::parse(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// For a member that may be absent: one that is there is a value, `null` included.
pub(crate) fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use crate::{Budget, Entry, Json, WorkflowRequest};
    use loopwright_types::GuestId;

    #[test]
    fn null_is_a_value_and_not_an_absent_one() {
        for value in [None, Some(Json::null())] {
            let entry = Entry::GuestEnded { guest: GuestId(0), value, error: None };
            assert_eq!(Entry::decode(&entry.encode()).unwrap(), entry);
        }
        let args = |text: &str| serde_json::from_str::<WorkflowRequest>(text).unwrap().args;
        assert_eq!(args(r#"{"name":"a"}"#), None);
        assert_eq!(args(r#"{"name":"a","args":null}"#), Some(Json::null()));
    }

    #[test]
    fn a_budget_is_a_number_of_output_tokens_or_an_object() {
        let read = |text: &str| serde_json::from_str::<Budget>(text).unwrap();
        assert_eq!(read("7"), Budget { output_tokens: Some(7.0), ..Budget::default() });
        assert_eq!(read(r#"{"usd":0.5}"#), Budget { usd: Some(0.5), ..Budget::default() });
        assert!(serde_json::from_str::<Budget>("\"much\"").is_err());
    }
}
